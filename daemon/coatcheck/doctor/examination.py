"""One examination after the other, then what can be mended, in the hands of nobody else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final

from coatcheck.doctor import databases, history, keys, originals, outbox, pairs, state, work
from coatcheck.doctor.findings import Finding, Level
from coatcheck.doctor.visit import Settings, Visit
from coatcheck.errors import CoatcheckError, Mistake, StateError
from coatcheck.ledger.inspect import LedgerInspection
from coatcheck.service_lock import Service, hold_lock, read_service
from coatcheck.vault.inspect import VaultInspection

_LOOKS: Final[Sequence[tuple[str, Callable[[Visit], Iterator[Finding]]]]] = (
    ("databases", databases.look),
    ("history", history.look),
    ("work", work.look),
    ("pair", pairs.look),
    ("keys", keys.look),
    ("sequence", keys.look_at_sequences),
    ("audit", keys.look_at_audit),
    ("outbox", outbox.look),
    ("originals", originals.look),
)
_SEALED: Final = ("pair", "keys", "originals")  # what is looked at with the keys
_LATER: Final = "`coatcheck doctor`, run by the owner of state_dir while no service runs, mends it"


def examine(settings: Settings, *, mend: bool) -> Iterator[Finding]:
    """Everything that was found, as it is found; what was mended comes last. Reads only, unless ``mend``.

    Nothing is changed where a service runs, or where this user is not the service's own.
    """
    to_mend = []
    for finding in _findings(settings):
        if finding.mend is None:
            yield finding
        else:
            to_mend.append(finding)
    yield from _mended(settings, to_mend) if mend else map(_told, to_mend)


def _findings(settings: Settings) -> Iterator[Finding]:
    service = Service(running=False)
    try:
        service = read_service(settings.config.state_dir)
    except CoatcheckError as error:
        yield Finding(level=Level.PROBLEM, check="service", what=error.what, hint=error.hint)
    yield from _careful("service", lambda: state.look_at_service(settings, service))
    yield from _careful("files", lambda: state.look_at_files(settings))
    yield from _careful("disks", lambda: state.look_at_disks(settings))
    folder = settings.config.state_dir
    there = [name for name in ("ledger.db", "vault.db") if (folder / name).exists()]
    if not there:
        yield Finding(level=Level.OK, check="records", what="there are no records yet: no service ever ran")
    elif len(there) == 1:
        what = f"of ledger.db and vault.db, only {there[0]} is there"
        hint = "restore both from one backup before the service starts, which would begin the other one anew"
        yield Finding(level=Level.PROBLEM, check="records", what=what, hint=hint)
    else:
        yield from _records(settings, service)


def _records(settings: Settings, service: Service) -> Iterator[Finding]:
    found, faults = keys.read_keys(settings)
    folder = settings.config.state_dir
    try:
        ledger = LedgerInspection.open(folder / "ledger.db")
    except CoatcheckError as error:
        yield _unusable(error)
        return
    with closing(ledger):
        try:
            vault = VaultInspection.open(folder / "vault.db", found, readonly=True)
        except CoatcheckError as error:
            yield _unusable(error)
            return
        with closing(vault):
            destroyed = vault.destroyed_projects()
            yield from keys.look_at_files(settings, service, faults, destroyed, vault)
            fit, unfit = keys.sort_out(vault, found, destroyed)
            visit = Visit(
                settings=settings,
                service=service,
                ledger=ledger,
                vault=vault,
                found=found,
                keys=fit,
                unfit=unfit,
                destroyed=destroyed,
            )
            for name, look in _LOOKS:
                yield from _unless_rotated(visit, name, look)


def _unless_rotated(visit: Visit, name: str, look: Callable[[Visit], Iterator[Finding]]) -> Iterator[Finding]:
    for finding in _careful(name, lambda: look(visit)):
        if finding.level is Level.PROBLEM and name in _SEALED and keys.was_rotated(visit):
            what = f"{name} was not looked at to the end, for a key was rotated meanwhile"
            yield Finding(level=Level.NOTE, check=name, what=what, hint="run this again")
            return
        yield finding


def _unusable(error: CoatcheckError) -> Finding:
    return Finding(level=Level.PROBLEM, check="databases", what=error.what, hint=error.hint)


def _careful(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """One examination, which must not end the others whatever is in its way."""
    try:
        yield from look()
    except CoatcheckError as error:
        yield Finding(level=Level.PROBLEM, check=name, what=error.what, hint=error.hint)
    except OSError as error:
        what = f"{name} could not be looked at to the end ({error.strerror or type(error).__name__})"
        hint = "mount what is missing, run this as the service's user, and look again"
        yield Finding(level=Level.PROBLEM, check=name, what=what, hint=hint)
    except Exception as error:
        mistake = Mistake.of(error)
        yield Finding(level=Level.PROBLEM, check=name, what=mistake.what, hint=mistake.hint)


def _told(finding: Finding) -> Finding:
    """A finding that could be mended, and is not now."""
    return replace(finding, hint="; ".join(part for part in (finding.hint, _LATER) if part), mend=None)


def _mended(settings: Settings, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Mends under the service's lock, so that none starts meanwhile."""
    folder = settings.config.state_dir
    if not findings:
        return
    # A lock that another user makes could keep the service from starting.
    if os.stat(folder).st_uid != os.geteuid():
        yield from map(_told, findings)
        return
    try:
        with hold_lock(folder):
            for finding in findings:
                yield _mend(finding)
    except (StateError, OSError):  # A service runs, or came just now.
        yield from map(_told, findings)


def _mend(finding: Finding) -> Finding:
    assert finding.mend is not None
    try:
        finding.mend()
    except (OSError, CoatcheckError):
        return replace(finding, hint=finding.hint or "it could not be mended: look at the rights there", mend=None)
    return replace(finding, level=Level.MENDED, hint="", mend=None)
