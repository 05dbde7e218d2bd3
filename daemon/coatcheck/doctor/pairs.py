"""Ledger and vault against each other: were they written by one service, and restored together if they were restored?

What is written last is read first: the vault is written before the ledger, so whatever one page of the ledger says must
stand in a vault that is read after it. Fates are the exception: their deliveries are in the ledger before them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.fates import FateState
from coatcheck.ledger import DeliveryRow, DeliveryState, StudyRow
from coatcheck.profile_file import profile_of
from coatcheck.vault import Kind
from coatcheck.vault.restored import Restored

_SETTLED: Final = frozenset(
    {DeliveryState.STAGED, DeliveryState.RELEASED, DeliveryState.DONE, DeliveryState.QUARANTINED}
)
_OURS: Final = "2.25."  # what every UID that was made begins with (PS3.5, B.2); one that was kept needs no mapping
_SAMPLE: Final = 1  # Instances of each Study that are looked up, where not all are
_TOGETHER: Final = "ledger.db and vault.db are not of one time: restore both from one backup"


def look(visit: Visit) -> Iterator[Finding]:
    """Every fate has its owner, every outcome its fates, and what is out can be traced back."""
    findings = [*_owners(visit), *_fates(visit), *_mappings(visit)]
    yield from findings
    if not findings:
        yield Finding(level=Level.OK, check="pair", what="ledger and vault know the same")


def _owners(visit: Visit) -> Iterator[Finding]:
    """Fates whose delivery or refusal the ledger does not have."""
    last, lost, restored, dropped = 0, Tally(), Tally(), Tally()
    ranges = visit.vault.restorations()
    while page := visit.vault.fates_after(last):
        for row in _ownerless(visit, page):
            if any(_is_lacked(one, row) for one in ranges):
                restored.add(row["id"])
            elif not _may_be_missing(row):
                of = ("delivery", "refusal")[row["delivery_id"] is None]
                lost.add(f"{of} {row[f'{of}_id']}")
            elif row["state"] == FateState.PLANNED:
                dropped.add(row["id"])
        last = page[-1]["id"]
    if lost:
        what = f"the vault knows {lost.count} originals of which the ledger knows nothing: {lost}"
        yield Finding(level=Level.PROBLEM, check="pair", what=what, hint=_TOGETHER)
    if restored:
        what = f"{restored.count} originals were put away after the backup that these records come from"
        yield Finding(level=Level.NOTE, check="pair", what=what, hint="RESTORE.txt of the backup says what to do")
    if dropped and not visit.service.running:
        what = f"{dropped.count} originals are planned for a refusal that was not recorded any more"
        yield Finding(level=Level.NOTE, check="pair", what=what, hint="the next start drops the plan")


def _ownerless(visit: Visit, page: Sequence[sqlite3.Row]) -> Iterator[sqlite3.Row]:
    deliveries = visit.ledger.projects_of_deliveries({row["delivery_id"] for row in page} - {None})
    refusals = visit.ledger.projects_of_refusals({row["refusal_id"] for row in page} - {None})
    for row in page:
        alone = row["delivery_id"] is None
        owner = refusals.get(row["refusal_id"]) if alone else deliveries.get(row["delivery_id"])
        if owner != row["project"] and visit.concerns(row["project"]):
            yield row


def _is_lacked(one: Restored, row: sqlite3.Row) -> bool:
    """Whether the ledger cannot know the owner of a fate, since it was put back from a backup."""
    if row["delivery_id"] is None:
        return one.lacks_refusal(row["refusal_id"])
    return one.lacks_delivery(row["delivery_id"])


def _may_be_missing(row: sqlite3.Row) -> bool:
    """A refusal without a delivery is in the vault first: a crash in between leaves the plan without its owner."""
    return row["refusal_id"] is not None and row["state"] != FateState.DONE


def _fates(visit: Visit) -> Iterator[Finding]:
    """Outcomes without the fates of their originals."""
    last, lost = 0, Tally()
    while page := visit.ledger.deliveries_after(last):
        settled = [row for row in page if row.state in _SETTLED and _is_looked_up(visit, row.project)]
        found = visit.vault.fates_of_deliveries([row.id for row in settled])
        for row in settled:
            if found.get(row.id, 0) < _originals(row):
                lost.add(f"delivery {row.id}")
        last = page[-1].id
    last = 0
    while refusals := visit.ledger.refusals_after(last):
        alone = [row for row in refusals if row.delivery_id is None and _is_looked_up(visit, row.project)]
        found = visit.vault.fates_of_refusals([row.id for row in alone])
        for refusal in alone:
            if not found.get(refusal.id):
                lost.add(f"refusal {refusal.id}")
        last = refusals[-1].id
    if lost:
        what = f"the vault does not know what became of the originals of {lost.count}: {lost}"
        yield Finding(level=Level.PROBLEM, check="pair", what=what, hint=_TOGETHER)


def _originals(row: DeliveryRow) -> int:
    """How many fates a delivery has at least. Of a Study that was refused, some files may have gone on changing."""
    return row.refused if row.state is DeliveryState.QUARANTINED else row.instances


def _is_looked_up(visit: Visit, project: str) -> bool:
    return visit.concerns(project) and project not in visit.destroyed


def _mappings(visit: Visit) -> Iterator[Finding]:
    """What was delivered and cannot be traced back."""
    keeping = {name for name in visit.keys if _keeps_uids(visit, name)}
    last, studies, instances = 0, Tally(), Tally()
    limit = None if visit.thorough else _SAMPLE
    while page := visit.ledger.studies_after(last):
        for name in {row.project for row in page} & visit.keys.keys():
            if visit.concerns(name) and name not in keeping and name not in visit.destroyed:
                _look_up(visit, [row for row in page if row.project == name], limit, studies, instances)
        last = page[-1].id
    if studies or instances:
        what = f"the vault has no original for {instances.count} delivered instances of studies {studies}"
        hint = f"{_TOGETHER}; or give the originals in again: they come out under the same identifiers"
        yield Finding(level=Level.PROBLEM, check="pair", what=what, hint=hint)


def _look_up(visit: Visit, page: Sequence[StudyRow], limit: int | None, studies: Tally, instances: Tally) -> None:
    """Each Study of which something is out, and its Instances."""
    project = page[0].project
    wanted: dict[str, StudyRow] = {}
    for study in page:
        for uids in visit.ledger.sop_uids(study, limit):
            wanted |= dict.fromkeys([study.study_uid, *uids], study)
            if len(wanted) >= 1000:
                _judge(visit, project, wanted, studies, instances)
                wanted = {}
    _judge(visit, project, wanted, studies, instances)


def _judge(visit: Visit, project: str, wanted: dict[str, StudyRow], studies: Tally, instances: Tally) -> None:
    made = {uid: study for uid, study in wanted.items() if uid.startswith(_OURS)}
    known = visit.vault.replacements_known(project, Kind.UID, made)
    for ticket in dict.fromkeys(study.ticket for uid, study in made.items() if uid not in known):
        studies.add(ticket)
    for uid in made:
        if uid not in known:
            instances.add(uid)


def _keeps_uids(visit: Visit, name: str) -> bool:
    """Whether a project's profile keeps UIDs, of which one may begin like those that were made."""
    config = visit.settings.config
    return profile_of(config.projects[name], config.path.parent).retains_uids
