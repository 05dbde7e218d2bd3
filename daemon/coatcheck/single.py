"""One file that belongs to no Study: set aside in the quarantine, or put with the originals, as a DICOMDIR."""

from __future__ import annotations

import logging
import os
from typing import Final, NamedTuple

from coatcheck import quarantine
from coatcheck.bench import Bench
from coatcheck.disposal import Disposal, close_refusal
from coatcheck.fates import Fate
from coatcheck.ledger import is_detail
from coatcheck.model import Arrival, Refusal
from coatcheck.paths import is_unpacked
from coatcheck.putting import UNPACKED, kept, set_aside
from coatcheck.reasons import Reason


class Companion(NamedTuple):
    """A kind of file that came with Studies and goes where their originals go; it alarms nobody."""

    folder: str  # of the archive, where they lie
    deleted: str  # as the vault's audit has it where it is deleted
    said: str


_ERRAND: Final = "single files"  # in the pool they share their turns
DICOMDIR: Final = Companion("dicomdir", "delete dicomdir", "a DICOMDIR went to the originals, unread")
MARKER: Final = Companion("done", "delete marker", "a marker released the Studies of its folder")


def archive_of(name: str) -> Companion:
    """An archive file of which nothing is left to do; ``name`` is its ID in the spool."""
    return Companion(f"{UNPACKED}/{name}", "delete archive", "an archive was put away: all in it is dealt with")


def alarms(refusal: Refusal) -> bool:
    """Whether a person should look at it: what the project excludes is set aside in silence."""
    return refusal.reason is not Reason.EXCLUDED


class SingleFile:
    """The way of one file: a companion of Studies, or what was refused."""

    def __init__(self, bench: Bench, arrival: Arrival, what: Companion | Refusal) -> None:
        self._bench = bench
        self.arrival = arrival
        self.refusal = what if isinstance(what, Refusal) else None
        self._companion = what if isinstance(what, Companion) else DICOMDIR
        self._disposal: Disposal | None = None
        self._refusal_id: int | None = None

    def step(self) -> bool:
        """Goes on as far as it can; True when the file has gone. Raises OSError or StateError for weather."""
        if self.refusal is None:
            return self._set_companion_aside()
        if self._disposal is None:
            self._disposal = self._record(self.refusal)
        if not self._disposal.step():
            return False
        assert self._refusal_id is not None
        close_refusal(self._bench, self._refusal_id)
        return True

    def _record(self, refusal: Refusal) -> Disposal:
        """Vault first, then the ledger: what is not in the ledger never happened."""
        bench = self._bench
        detail = refusal.detail if is_detail(refusal.detail) else ""
        where = quarantine.folder(refusal.reason, None)
        planned = set_aside(self.arrival, refusal.reason, None)
        quarantine.explain(bench.project.quarantine, where, refusal.reason, "")
        refusal_id = bench.ledger.next_refusal_id()
        rows = bench.vault.plan(bench.project.name, refusal_id=refusal_id, files=[planned])
        try:
            self._refusal_id = bench.ledger.refuse_file(
                project=bench.project.name,
                reason=refusal.reason,
                detail=detail,
                folder=where,
                now=bench.utc(),
                refusal_id=refusal_id,
            )
        except Exception:
            bench.vault.drop_plans(refusal_ids=[refusal_id])  # The next refusal will have this number.
            raise
        level = logging.WARNING if alarms(refusal) else logging.INFO
        bench.log(level, "quarantined as %s: 1 file %s", refusal.reason.value, detail)
        return Disposal(bench, list(zip(rows, [planned], strict=True)), _ERRAND)

    def _set_companion_aside(self) -> bool:
        """A DICOMDIR describes files by where they were dropped: it is of no use without them, and never leaves.

        It needs no journal: until it is moved it lies in the inbox, and is found there again. What is deleted leaves
        a row in the vault's audit, with its path sealed, for nothing else would tell that it was there.
        """
        bench, companion = self._bench, self._companion
        if self._disposal is None:
            planned = kept(bench, self.arrival, companion.folder)
            if planned.fate is Fate.DELETE and not is_unpacked(self.arrival.path):
                subject = os.fsencode(self.arrival.path).decode(errors="backslashreplace")
                bench.vault.audit(
                    bench.project.name, who="service", action=companion.deleted, subject=subject, now=bench.utc()
                )
            self._disposal = Disposal(bench, [(0, planned)], _ERRAND)
        if not self._disposal.step():
            return False
        bench.log(logging.INFO, companion.said)
        return True
