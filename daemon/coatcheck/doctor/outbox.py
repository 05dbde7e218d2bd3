"""What lies in the outboxes: every folder whole as it was delivered, none unknown, and no staging that is nobody's."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import Final

from coatcheck.config import Project
from coatcheck.delivery.folder import STAGING, sweep
from coatcheck.doctor.arranged import instances_in
from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.errors import CoatcheckError
from coatcheck.folders import way
from coatcheck.ledger import DeliveryRow, DeliveryState
from coatcheck.ledger.inspect import LedgerInspection

_OUT: Final = (DeliveryState.RELEASED, DeliveryState.DONE)
_GIVEN_UP: Final = (DeliveryState.ABANDONED, DeliveryState.QUARANTINED)
_PAGE: Final = 500


@dataclass(slots=True)
class _Seen:
    """What the outbox of one project was found to hold."""

    whole: int = 0
    collected: int = 0
    partial: Tally = field(default_factory=Tally)
    changed: Tally = field(default_factory=Tally)
    added: Tally = field(default_factory=Tally)
    blocked: Tally = field(default_factory=Tally)


def look(visit: Visit) -> Iterator[Finding]:
    """Deliveries against folders, folders against deliveries, then the staging."""
    seen: dict[str, _Seen] = {name: _Seen() for name in visit.projects}
    last = 0
    while page := visit.ledger.deliveries_after(last):
        for row in page:
            if row.project in seen and row.folder is not None and row.state in _OUT:
                _judge(visit.ledger, visit.projects[row.project].outbox, row, seen[row.project])
        last = page[-1].id
    for name, project in visit.projects.items():
        yield from _said(name, seen[name])
        yield from _unknown(visit, project)
        yield from _staging(visit, project)


def _judge(ledger: LedgerInspection, outbox: Path, row: DeliveryRow, seen: _Seen) -> None:
    """One delivery. A folder that is gone was collected, and so was one of which nothing is left."""
    assert row.folder is not None
    name = f"{row.ticket} ({row.number})"
    os.stat(outbox)  # one that is not there is weather: nothing in it was collected
    try:
        here = instances_in(outbox, row) if row.layout else _files(outbox, row.folder)
    except FileNotFoundError:
        seen.collected += 1
        return
    except CoatcheckError:
        seen.blocked.add(name)
        return
    missing = changed = 0
    for path, size in ledger.files_of(row):
        found = here.pop(PurePath(path).stem if row.layout else path, None)
        missing += found is None
        changed += found is not None and found != size
    expected = row.instances - row.duplicates - row.refused
    nothing_left = missing == expected and not (row.layout and here)  # what is there may be a zip that is broken
    if missing and (nothing_left or not _is_there(outbox, row.folder)):
        seen.collected += 1
        return
    seen.whole += not missing and not changed
    for tally, number in ((seen.partial, missing), (seen.changed, changed), (seen.added, len(here))):
        if number:
            tally.add(name)


def _files(outbox: Path, folder: str) -> dict[str, int]:
    """Everything in a Study's folder: SERIES/NAME and the size, -1 for what is no regular file."""
    found = {}
    with way(outbox, folder.split("/")) as study:
        for series in os.listdir(study):
            try:
                with way(Path(f"/proc/self/fd/{study}"), [series]) as fd:
                    for name in os.listdir(fd):
                        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                        found[f"{series}/{name}"] = status.st_size if stat.S_ISREG(status.st_mode) else -1
            except CoatcheckError:
                found[series] = -1
            except FileNotFoundError:  # It is collected in this very moment.
                continue
    return found


def _is_there(outbox: Path, folder: str) -> bool:
    return os.path.lexists(outbox / folder)


def _said(name: str, seen: _Seen) -> Iterator[Finding]:
    problems = (
        (seen.partial, "lack files in the outbox", "if they are collected file by file, look again when that is done"),
        (seen.changed, "have files in the outbox whose size is not what was delivered", "find out who changed them"),
        (seen.blocked, "have a link or something else in place of their folder", "find out who put it there"),
    )
    for tally, what, hint in problems:
        if tally:
            text = f"{tally.count} deliveries {what}: {tally}"
            yield Finding(level=Level.PROBLEM, check="outbox", project=name, what=text, hint=hint)
    if seen.added:
        what = f"{seen.added.count} deliveries have files beside their own in the outbox: {seen.added}"
        yield Finding(level=Level.NOTE, check="outbox", project=name, what=what)
    if not any(tally for tally, *_ in problems):
        what = f"{seen.whole} deliveries lie whole in the outbox, {seen.collected} were collected"
        yield Finding(level=Level.OK, check="outbox", project=name, what=what)


def _unknown(visit: Visit, project: Project) -> Iterator[Finding]:
    """Folders that look like deliveries and are none that the ledger knows. They are read before the ledger is."""
    count = _unknown_among(visit, project, _folders(project.outbox, ""), 1)
    if count:
        what = f"{count} folders lie in the outbox that no delivery knows"
        hint = "they were delivered after the backup that was restored, or somebody else put them there"
        yield Finding(level=Level.NOTE, check="outbox", project=project.name, what=what, hint=hint)


def _unknown_among(visit: Visit, project: Project, names: Iterator[str], depth: int) -> int:
    """How many of some folders, or of those below, are no delivery. At the top they may be those of subjects."""
    count = 0
    while page := list(islice(names, _PAGE)):
        known = visit.ledger.folders_known(project.name, page)
        rest = [name for name in page if name not in known]
        ways = [name for name in rest if depth == 1 or visit.ledger.is_above_deliveries(project.name, name)]
        count += len(rest) - len(ways)
        if ways:
            below = chain.from_iterable(_folders(project.outbox, name) for name in ways)
            count += _unknown_among(visit, project, below, depth + 1)
    return count


def _folders(outbox: Path, name: str) -> Iterator[str]:
    """The folders in one of the outbox, relative to it."""
    try:
        with os.scandir(outbox / name) as found:
            for one in found:
                if not one.name.startswith(".") and one.is_dir(follow_symlinks=False):
                    yield f"{name}/{one.name}" if name else one.name
    except FileNotFoundError:  # It is collected in this very moment.
        if not name:
            raise


def _staging(visit: Visit, project: Project) -> Iterator[Finding]:
    """What lies in the dot-folder: of work that goes on, of work that is over, or of nobody."""
    folder = project.outbox / STAGING
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    left, foreign = [], []
    for name in names:
        row = _owner(visit.ledger, project, name)
        if row is None:
            foreign.append(name)
        elif (_is_given_up(row) or row.state in _OUT) and (not visit.service.running or visit.is_old(row.changed)):
            left.append(name)
    left, foreign = ([name for name in some if os.path.lexists(folder / name)] for some in (left, foreign))
    if left:
        what = f"{len(left)} folders of work that is over lie in the outbox's {STAGING}"
        mend = _sweep(visit.settings.config.state_dir / "ledger.db", project)
        yield Finding(level=Level.NOTE, check="staging", project=project.name, what=what, mend=mend)
    if foreign:
        what = f"{len(foreign)} things lie in the outbox's {STAGING} that belong to no work that the ledger knows"
        hint = "results that nobody searched may be among them: keep them from others, and remove them by hand"
        yield Finding(level=Level.NOTE, check="staging", project=project.name, what=what, hint=hint)


def _owner(ledger: LedgerInspection, project: Project, name: str) -> DeliveryRow | None:
    """The delivery that a folder TICKET-ID of the staging belongs to."""
    ticket, _, number = name.rpartition("-")
    row = ledger.delivery(int(number)) if number.isascii() and number.isdigit() and len(number) < 19 else None
    return row if row is not None and (row.ticket, row.project) == (ticket, project.name) else None


def _is_given_up(row: DeliveryRow) -> bool:
    """Whether nothing will come out of a delivery any more. One that is open is abandoned by the next start."""
    return row.state in _GIVEN_UP or (row.state is DeliveryState.DONE and row.folder is None)


def _sweep(path: Path, project: Project) -> Callable[[], None]:
    """Does what the next start would do, by the ledger as it is then."""

    def mend() -> None:
        with closing(LedgerInspection.open(path)) as ledger:

            def owner(ticket: str, number: int) -> DeliveryRow | None:
                return _owner(ledger, project, f"{ticket}-{number}")

            def is_given_up(ticket: str, number: int) -> bool:
                row = owner(ticket, number)
                return row is not None and _is_given_up(row)

            def is_out(ticket: str, number: int) -> bool:
                row = owner(ticket, number)
                return row is not None and row.state in _OUT

            sweep(project.outbox, is_given_up, is_out)

    return mend
