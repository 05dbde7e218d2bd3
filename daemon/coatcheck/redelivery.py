"""A Study delivered anew out of the archive: its originals are read again and come out as the next numbered delivery.

The originals stay where they are. All of the Study comes out under the identifiers that it has, or nothing does: an
original that is gone, changed or refused by the profile ends the work, and the records say so. A crash leaves an open
delivery, which the next start abandons, or a staged one, which it releases: it has to be asked for again, or is done.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from coatcheck import worker
from coatcheck.batches import Batches
from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.deid.profile import Profile
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.job import Phase, StudyJob
from coatcheck.ledger import Note, StudyRow
from coatcheck.model import Arrival, Identity, Instance, Refusal, Study
from coatcheck.pool import Crashed
from coatcheck.putting import UNPACKED
from coatcheck.reasons import Reason
from coatcheck.whereabouts import Finder, Found

REPROCESS: Final = "reprocess"
_BATCH: Final = 100


class Redelivery(StudyJob):
    """The work on a Study whose originals lie in the archive. ``problem`` says why nothing came out, else it is ""."""

    def __init__(
        self, bench: Bench, archive: Path, study: Study, identity: frozenset[Identity], dropped: dict[str, str]
    ) -> None:
        super().__init__(bench, study, identity)
        self._source = archive
        self._dropped = dropped  # by the path in the archive
        self.problem = ""

    @property
    def folder(self) -> str:
        """Where it came out, below the outbox; once it has ended without a problem."""
        return self._folder

    def _judged(self) -> tuple[Reason, str] | None:
        """Anything but a result for each original of which something was delivered is in the way."""
        results = self.results
        known = self._bench.ledger.digests(self._row().id, [one.sop_uid for one in results.staged])
        if results.refused:
            counts = Counter(f"{one.reason.value} {one.detail}".strip() for one in results.refused)
            reasons = ", ".join(f"{files} as {reason}" for reason, files in sorted(counts.items()))
            self.problem = f"under this profile are refused {reasons}"
        elif results.given_back:
            self.problem = f"{len(results.given_back)} of its originals changed, or cannot be read now"
        elif any(one.digest != known.get(one.sop_uid) for one in results.staged):
            self.problem = "what lies in the archive is not what was delivered"
        else:
            return None
        return Reason.FAILED, ""

    def _taken(self) -> dict[str, bytes]:
        """Nothing is a duplicate: what was delivered before is to come out again."""
        return {}

    def _refuse(self) -> Phase:
        """Nothing comes out, and no original moves."""
        if not self.problem:  # It was refused before it was worked on.
            reason, detail = self._verdict or (Reason.FAILED, "")
            self.problem = f"the whole Study is refused as {reason.value} {detail}".strip()
        self._give_up_on_it()
        return Phase.ENDED

    def _repeat(self) -> Phase:
        self._bench.vault.drop_plans(delivery_ids=[self._job.delivery_id])
        self.problem = "its results vanished from the outbox before they were released"
        self._give_up_on_it()
        return Phase.ENDED

    def _give_up_on_it(self) -> None:
        self._abandon(Note.NOT_ANEW)
        self.results.refused, self.results.given_back = [], []  # They are no files of the inbox.

    def _plan(self, planned: Sequence[PlannedFile]) -> None:
        """Each original is in the archive, and stays: its row says from where this delivery was made."""
        super()._plan(
            [
                PlannedFile(
                    path=self._dropped[one.path], fingerprint=one.fingerprint, fate=Fate.ARCHIVE, destination=one.path
                )
                for one in planned
            ]
        )


class Reprocess:
    """One request: the originals are found and read, and once nothing else is decided over the Study, it is begun.

    ``is_busy`` tells whether the line works on a Study, by its ticket; ``begin`` hands it the work.
    """

    def __init__(
        self,
        bench: Bench,
        profile: Profile,
        ticket: str,
        who: str,
        *,
        is_busy: Callable[[str], bool],
        begin: Callable[[StudyJob], None],
    ) -> None:
        self._bench = replace(bench, profile=profile)
        self._ticket = ticket
        self._who = who
        self._is_busy = is_busy
        self._begin = begin
        self._reading: Batches | None = None
        self._instances: list[Instance] = []
        self._unread: Counter[str] = Counter()
        self._job: Redelivery | None = None
        self.problem = ""

    def answer(self) -> dict[str, Any]:
        """What came of it, as plain values."""
        job, profile = self._job, self._bench.profile
        folder = job.folder if job is not None and job.phase is Phase.ENDED and not self.problem else None
        return {
            "ticket": self._ticket,
            "folder": folder,
            "instances": job.instances if folder and job is not None else 0,
            "profile": profile.name,
            "profile_digest": profile.digest,
            "problem": self.problem,
        }

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises OSError or CoatcheckError; call it again later."""
        if self._job is None:
            return self._prepared() is not None
        if self._job.phase is not Phase.ENDED:
            return False
        self.problem = self._job.problem
        return True

    def _prepared(self) -> str | None:
        """None while there is something to wait for, else the problem."""
        if self._reading is None:
            if self._is_busy(self._ticket):
                return None  # Its originals may be on their way.
            self._reading = Batches(self._bench.pool)
            self.problem = self._find(self._reading)
        if self.problem:
            return self.problem
        if not self._reading.step() or self._is_busy(self._ticket):
            return None
        self.problem = self._open()
        return self.problem or None

    def _find(self, reading: Batches) -> str:
        """Looks for the originals, and has them read. Gives the problem, or ""."""
        bench, archive = self._bench, self._bench.project.archive
        row = bench.ledger.study(bench.project.name, self._ticket)
        if row is None or archive is None:
            return "this project has no such Study" if row is None else "this project has no archive"
        fates = [
            fate
            for delivery in bench.ledger.deliveries_of(row.id)
            for fate in bench.vault.fates(bench.project.name, delivery_id=delivery.id)
            if fate.state is FateState.DONE
        ]
        kept = [fate for fate in fates if fate.file.fate is Fate.ARCHIVE]
        found = [one for one in Finder(archive).find(self._ticket, kept) if one.fingerprint is not None]
        if not found:
            return _why_none([fate.file for fate in fates if fate.file.fate is Fate.DELETE])
        self._dropped = {one.place: one.dropped for one in found}
        context = worker.Reading(inbox=archive)
        reading.add(worker.examine, context, list(_arrivals(bench.project.name, found)), self._read, size=_BATCH)
        return ""

    def _read(self, batch: Sequence[Arrival], results: list[Any]) -> None:
        for result in results:
            if isinstance(result, Instance):
                self._instances.append(result)
            elif isinstance(result, Refusal):
                self._unread[result.reason.value] += 1
            else:
                self._unread[Reason.CRASHED if isinstance(result, Crashed) else "unreadable"] += 1

    def _open(self) -> str:
        """Hands the Study to the line. Gives the problem, or ""."""
        bench, row = self._bench, self._bench.ledger.study(self._bench.project.name, self._ticket)
        assert row is not None  # as _find saw
        first = {one.sop_uid: one for one in sorted(self._instances, key=lambda one: one.arrival.path, reverse=True)}
        problem = self._missing(row, first)
        if problem:
            return problem
        instances = tuple(sorted(first.values(), key=lambda one: one.arrival.path))
        study = Study(project=bench.project.name, study_uid=instances[0].study_uid, instances=instances)
        identity = frozenset[Identity]().union(*(one.identity for one in self._instances))
        assert bench.project.archive is not None
        job = Redelivery(bench, bench.project.archive, study, identity, self._dropped)
        reason = f"{self._ticket} {bench.profile.name} {bench.profile.digest}"
        bench.vault.audit(bench.project.name, who=self._who, action=REPROCESS, reason=reason, now=bench.utc())
        self._begin(job)
        self._job = job
        return ""

    def _missing(self, row: StudyRow, found: dict[str, Instance]) -> str:
        """Why the Study cannot come out whole and under the identifiers that it has; "" if it can."""
        secret, uid = self._bench.key.pseudonym_secret, self._bench.profile.uid
        if self._unread:
            reasons = ", ".join(f"{files} {reason}" for reason, files in sorted(self._unread.items()))
            return f"not all of its originals can be read: {reasons}"
        if any(pseudonyms.ticket(secret, one.study_uid) != self._ticket for one in found.values()):
            return "what lies in the archive is not what was delivered"
        if any(uid(secret, one.study_uid) != row.study_uid for one in found.values()):
            return "this profile gives it another Study Instance UID: choose one that treats UIDs like the one before"
        delivered = self._bench.ledger.delivered_uids(row.id)
        left = delivered - {uid(secret, one) for one in found}
        return f"{len(left)} of its {len(delivered)} originals are not in the archive" if left else ""


def _why_none(away: Sequence[PlannedFile]) -> str:
    """Why no original lies in the archive by itself; ``away`` are those that are not to lie there."""
    ours = re.compile(rf"{UNPACKED}/\w+")  # with a number of ours, and no word of those who dropped it
    packed = next((file.destination for file in away if ours.fullmatch(file.destination)), "")
    if packed:
        return f"its originals lie packed in {packed} of the archive: drop that again"
    return "its originals were deleted after delivery" if away else "its originals left the archive"


def _arrivals(project: str, found: Iterable[Found]) -> Iterable[Arrival]:
    for one in found:
        if one.fingerprint is not None:
            yield Arrival(project=project, path=one.place, fingerprint=one.fingerprint)
