"""What became of the originals: plans that were carried out, files that lie where the records say, and no others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from coatcheck.config import Project
from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.fates import LEAVING, Fate, FateState
from coatcheck.ledger import DeliveryState, RefusalRow, RefusalState
from coatcheck.quarantine import NOTE
from coatcheck.vault import FateRow
from coatcheck.whereabouts import Finder

_COMMITTED: Final = frozenset(
    {DeliveryState.STAGED, DeliveryState.RELEASED, DeliveryState.DONE, DeliveryState.QUARANTINED}
)
_SAMPLE: Final = 50  # of so many deliveries the archive is looked at for one, where it is not for all
_LYING: Final = (RefusalState.PLANNED, RefusalState.QUARANTINED)
_TEMPORARY: Final = ".coatcheck-"  # a copy from another file system that is not whole yet
_VOID: Final = FateState.SUPERSEDED
_TICKET: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_PAGE: Final = 500


def look(visit: Visit) -> Iterator[Finding]:
    """The journal, the archives and the quarantines."""
    yield from _planned(visit)
    for name, project in visit.projects.items():
        if name in visit.keys and name not in visit.destroyed:
            yield from _archive(visit, project)
            yield from _quarantine(visit, project)


def _planned(visit: Visit) -> Iterator[Finding]:
    """Fates that are still to be carried out, and those of work that never came to an end."""
    last, waiting, void, forgotten = 0, 0, 0, Tally()
    while page := visit.vault.fates_after(last):
        for row in page:
            if row["state"] != FateState.PLANNED or not visit.concerns(row["project"]):
                continue
            since, ticket, committed = _outcome(visit, row["delivery_id"], row["refusal_id"])
            waiting += committed
            void += not committed
            running = visit.service.running and row["project"] in visit.service.projects
            resting = running and since and visit.is_old(since) and not visit.has_in_hand(row["project"], ticket)
            if resting and visit.vault.is_planned(row["id"]):  # It may be done by now.
                forgotten.add(row["delivery_id"] or row["refusal_id"])
        last = page[-1]["id"]
    if forgotten:
        what = (
            f"{forgotten.count} originals are still to be put away, and the service does not speak of them: {forgotten}"
        )
        hint = "look at the service's log, and restart it: the next start finishes this"
        yield Finding(level=Level.PROBLEM, check="originals", what=what, hint=hint)
    elif (waiting or void) and not visit.service.running:
        what = f"{waiting} originals are still to be put away, and {void} belong to work that is to be repeated"
        yield Finding(level=Level.NOTE, check="originals", what=what, hint="the next start sees to both")
    else:
        yield Finding(level=Level.OK, check="originals", what="every original has met its fate, or is about to")


def _outcome(visit: Visit, delivery_id: int | None, refusal_id: int | None) -> tuple[str | None, str | None, bool]:
    """When the outcome that a fate belongs to was decided, its ticket, and whether it is committed."""
    if delivery_id is not None:
        delivery = visit.ledger.delivery(delivery_id)
        return (delivery.changed, delivery.ticket, delivery.state in _COMMITTED) if delivery else (None, None, False)
    refusal = visit.ledger.refusal(refusal_id) if refusal_id is not None else None
    return (refusal.at, refusal.ticket, True) if refusal else (None, None, False)


def _archive(visit: Visit, project: Project) -> Iterator[Finding]:
    """Originals that are in the archive by the records; a part of them, where not all are looked at."""
    if project.archive is None:
        return
    looked = gone = last = 0
    while page := visit.ledger.deliveries_after(last):
        for row in page:
            last = row.id
            if row.project == project.name and (visit.thorough or row.id % _SAMPLE == 1):
                fates = visit.vault.fates(project.name, delivery_id=row.id)
                kept = [one for one in fates if one.file.fate is Fate.ARCHIVE and one.state is FateState.DONE]
                looked += len(kept)
                gone += len(kept) - len(Finder(project.archive).find(row.ticket, kept))
    some = "" if visit.thorough else " of those that were looked for"
    if gone:
        what = f"{gone} of {looked} originals{some} do not lie in the archive any more"
        yield Finding(level=Level.NOTE, check="archive", project=project.name, what=what, hint="somebody moved them")
    strange = _unknown_tickets(visit, project.name, project.archive)
    if strange:
        what = f"the archive holds originals of {strange} studies that the ledger does not know"
        hint = "after a backup was restored: give them in again, and they come out under the same identifiers"
        yield Finding(level=Level.NOTE, check="archive", project=project.name, what=what, hint=hint)
    if not gone:
        what = f"{looked} originals{some} lie in the archive"
        yield Finding(level=Level.OK, check="archive", project=project.name, what=what)


def _unknown_tickets(visit: Visit, name: str, archive: Path) -> int:
    """Folders of the archive that are named like a ticket, and like none of the ledger's."""
    strange, page = 0, []
    with os.scandir(archive) as entries:
        for entry in entries:
            if _TICKET.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                page.append(entry.name)
            if len(page) == _PAGE:
                strange += len(page) - len(visit.ledger.tickets_known(name, page))
                page = []
    return strange + len(page) - len(visit.ledger.tickets_known(name, page))


def _quarantine(visit: Visit, project: Project) -> Iterator[Finding]:
    """Files of refusals that are gone, and files that no refusal knows. The only copies, perhaps."""
    finder, gone, known, back = Finder(project.quarantine), Tally(), 0, 0
    before = visit.ledger.last_ids()
    for refusals in _by_owner(visit, project.name):
        for refusal, fates in _with_fates(visit, refusals):
            found = finder.find(refusal.folder, fates)
            known += sum(one.fingerprint is not None for one in found)
            moved = sum(one.state is FateState.DONE for one in fates)
            if refusal.state is not RefusalState.QUARANTINED or len(found) >= moved:
                continue
            again = visit.ledger.refusal(refusal.id)  # A person may have given it back just now.
            if again is None or again.state is not RefusalState.QUARANTINED:
                continue
            if any(one.file.fate in LEAVING and one.state is not _VOID for one in _journal(visit, refusal)):
                back += 1
            else:
                gone.add(refusal.id)
    lying, halves = _files(project.quarantine)
    moving = visit.ledger.last_ids() != before or bool(visit.ledger.refusals(project.name, state=RefusalState.PLANNED))
    strange = 0 if moving else max(0, lying - known)
    yield from _judged(project.name, gone, back, strange, running=visit.service.running)
    if not visit.service.running:  # else one may be in the making
        for path in halves:
            what = "a half-made copy of an original lies in the quarantine; the original is whole where it was"
            yield Finding(level=Level.NOTE, check="quarantine", project=project.name, what=what, mend=path.unlink)


def _journal(visit: Visit, refusal: RefusalRow) -> list[FateRow]:
    return visit.vault.fates(refusal.project, refusal_id=refusal.id)


def _judged(name: str, gone: Tally, back: int, unknown: int, *, running: bool) -> Iterator[Finding]:
    if gone:
        what = f"files of {gone.count} refusals lie in the quarantine no more: {gone}"
        hint = "they may have been the only copies; if somebody took them, `coatcheck quarantine drop` forgets them"
        yield Finding(level=Level.PROBLEM, check="quarantine", project=name, what=what, hint=hint)
    if back and not running:
        what = f"{back} refusals were being given back or dropped"
        yield Finding(level=Level.NOTE, check="quarantine", project=name, what=what, hint="the next start finishes it")
    if unknown:
        what = f"{unknown} files lie in the quarantine that no refusal knows"
        hint = "nobody will give them back by itself: look at them, and put them into the inbox or away"
        yield Finding(level=Level.NOTE, check="quarantine", project=name, what=what, hint=hint)
    if not gone:
        yield Finding(level=Level.OK, check="quarantine", project=name, what="what was refused lies in the quarantine")


def _by_owner(visit: Visit, project: str) -> Iterator[list[RefusalRow]]:
    """The refusals of one project: those of one delivery together, for its journal is in their order."""
    last = 0
    while page := visit.ledger.refusals_after(last):
        last = page[-1].id
        mine = [row for row in page if row.project == project]
        for delivery_id, some in groupby(mine, key=lambda row: row.delivery_id):
            rows = list(some)
            if delivery_id is None:
                yield from ([row] for row in rows if row.state in _LYING)
                continue
            every = visit.ledger.refusals(delivery_id=delivery_id)
            if every[0].id == rows[0].id and any(row.state in _LYING for row in every):
                yield every  # At its first page; what is on the next one is among them.


def _with_fates(visit: Visit, refusals: Sequence[RefusalRow]) -> Iterator[tuple[RefusalRow, list[FateRow]]]:
    """Each refusal that lies in the quarantine with the rows of its files."""
    first = refusals[0]
    rows: Iterable[FateRow]
    if first.delivery_id is None:
        rows = _journal(visit, first)
    else:
        journal = visit.vault.fates(first.project, delivery_id=first.delivery_id)
        rows = sorted({row.file.path: row for row in journal}.values(), key=lambda row: row.id)
    fates = [row for row in rows if row.file.fate is Fate.QUARANTINE]
    start = 0
    for refusal in refusals:
        if refusal.state in _LYING:
            yield refusal, fates[start : start + refusal.files]
        start += refusal.files


def _files(root: Path) -> tuple[int, list[Path]]:
    """How many originals lie below a quarantine, and the copies that are not whole."""
    lying, halves = 0, []
    for place, _, names in os.walk(root):
        for name in names:
            if name.startswith(_TEMPORARY) and name.endswith(".tmp"):
                halves.append(Path(place, name))
            elif name != NOTE:
                lying += 1
    return lying, halves
