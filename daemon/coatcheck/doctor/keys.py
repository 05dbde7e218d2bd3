"""The keys, what they open, the numbers that wait for a word, and the chain of the audit."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from coatcheck.config_subjects import Sequential
from coatcheck.delivery.folder import STAGING
from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Settings, Visit
from coatcheck.errors import CoatcheckError, KeyFileError
from coatcheck.keys import ProjectKey, key_path, read_key
from coatcheck.service_lock import Service
from coatcheck.vault.inspect import VaultInspection

_BACK: Final = "restore the key file from your copy; without it nothing can be traced back"
_LOST: Final = "if systemd hands it over, run this with it as systemd/README.md shows; else restore it from your copy"


def read_keys(settings: Settings) -> tuple[dict[str, ProjectKey], dict[str, KeyFileError]]:
    """The keys of the projects that are looked at, and why others cannot be read."""
    keys, faults = {}, {}
    for name in settings.projects:
        path = key_path(settings.config.key_dir, name, settings.credentials)
        try:
            keys[name] = read_key(path, settings.credentials)
        except KeyFileError as error:
            faults[name] = error
    return keys, faults


def sort_out(
    vault: VaultInspection, found: Mapping[str, ProjectKey], destroyed: Mapping[str, str]
) -> tuple[dict[str, ProjectKey], dict[str, KeyFileError]]:
    """Keys that are the vault's, and why others are not: what these cannot open says nothing of the records."""
    fit, unfit = {}, {}
    for name, key in found.items():
        try:
            if name not in destroyed:
                vault.vouch(name, key)
            fit[name] = key
        except KeyFileError as error:
            unfit[name] = error
    return fit, unfit


def look_at_files(
    settings: Settings,
    service: Service,
    faults: Mapping[str, KeyFileError],
    destroyed: Mapping[str, str],
    vault: VaultInspection,
) -> Iterator[Finding]:
    """Keys that are not there, or cannot be read by this user while the service has them."""
    for name in settings.projects:
        if name in destroyed:
            what = f"its key was destroyed on {destroyed[name]}: what it delivered is anonymised"
            yield Finding(level=Level.OK, check="keys", project=name, what=what)
        elif name in faults:
            path = key_path(settings.config.key_dir, name, settings.credentials)
            hint, level = _LOST if vault.is_known(name) else faults[name].hint, Level.PROBLEM
            if name in service.projects and not os.access(path, os.R_OK):
                hint, level = "what is sealed was not looked at: run this as a user who can read it", Level.NOTE
            elif _is_open(path):  # said with the files
                hint, level = "what is sealed was not looked at: run this again when that is mended", Level.NOTE
            yield Finding(level=level, check="keys", project=name, what=faults[name].what, hint=hint)


def _is_open(path: Path) -> bool:
    """Whether nothing but the file's rights keeps the key from being read."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o077)


def was_rotated(visit: Visit) -> bool:
    """Whether a key is another one by now: what could not be opened then says nothing."""
    return read_keys(visit.settings)[0] != visit.found


def look(visit: Visit) -> Iterator[Finding]:
    """Whether each key is the one that its project began with, and opens what the vault holds."""
    found = [*_strange(visit), *_closed(visit)]
    yield from found
    if visit.keys and not any(one.level is Level.PROBLEM for one in found):
        yield Finding(level=Level.OK, check="keys", what=f"{len(visit.keys)} keys open what they sealed")


def _strange(visit: Visit) -> Iterator[Finding]:
    for name, error in visit.unfit.items():
        yield Finding(level=Level.PROBLEM, check="keys", project=name, what=error.what, hint=error.hint)


def _closed(visit: Visit) -> Iterator[Finding]:
    """One finding for each thing that is wrong with a project's sealed rows."""
    foreign, told = set[str](), set[tuple[str, str]]()
    for one in visit.vault.specimens():
        if one.project in visit.destroyed or not visit.concerns(one.project):
            continue
        if one.project not in visit.keys:
            foreign.add(one.project)
            continue
        try:
            visit.vault.open_specimen(one)
        except CoatcheckError as error:
            if (one.project, error.what) not in told:
                told.add((one.project, error.what))
                yield Finding(level=Level.PROBLEM, check="keys", project=one.project, what=error.what, hint=_BACK)
    for name in sorted(foreign - visit.projects.keys()):
        what = "the vault holds mappings of it, and the configuration does not name it"
        yield Finding(level=Level.NOTE, check="keys", project=name, what=what, hint="keep its key")


def look_at_sequences(visit: Visit) -> Iterator[Finding]:
    """Sequences that give no numbers until a person says where they go on: see :mod:`coatcheck.vault.restored`."""
    for name, project in visit.projects.items():
        subjects = project.subjects
        if not isinstance(subjects, Sequential):
            continue
        begun = os.path.lexists(project.outbox / STAGING)
        at = visit.vault.held_since(name, subjects.start, begun=begun)
        if at is not None:
            highest = _highest(project.outbox, subjects)
            seen = f"the highest in the outbox is {highest}" if highest is not None else "the outbox tells of none"
            what = f"the records are those of {at}, so new patients get no number yet"
            hint = f"write a `start` in `subjects` above every number that was ever given, and reload; {seen}"
            yield Finding(level=Level.PROBLEM, check="sequence", project=name, what=what, hint=hint)


def _highest(outbox: Path, subjects: Sequential) -> int | None:
    found = [name.removeprefix(subjects.prefix) for name in os.listdir(outbox) if name.startswith(subjects.prefix)]
    return max((int(text) for text in found if text.isascii() and text.isdigit() and len(text) < 19), default=None)


def look_at_audit(visit: Visit) -> Iterator[Finding]:
    """The chain of audit rows, and that its end is where the ledger saw it."""
    anchor = visit.ledger.audit_anchor()  # before the chain, which only grows
    faults = Tally()
    for fault in visit.vault.audit_faults(anchor):
        faults.add(fault)
    if faults:
        what = f"the audit was changed by something else: {faults}"
        hint = "compare it with a backup, and find out who could write to vault.db"
        yield Finding(level=Level.PROBLEM, check="audit", what=what, hint=hint)
    else:
        yield Finding(level=Level.OK, check="audit", what="the chain of the audit is whole")
