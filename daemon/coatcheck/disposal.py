"""Carries out what was journalled for originals, until nothing is left of it. Weather is raised, and tried again."""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Final

from coatcheck.batches import Again, Batches
from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.ledger import DeliveryState, RefusalRow, RefusalState
from coatcheck.originals import Outcome, carry_out
from coatcheck.pool import Crashed
from coatcheck.vault import FateRow

_BATCH: Final = 200
_DELETED: Final = 1000  # what takes time is to make it durable, once for each batch


class Disposal:
    """The fates of the files of one delivery or refusal, by their rows in the vault."""

    def __init__(self, bench: Bench, rows: Sequence[tuple[int, PlannedFile]], errand: Hashable = None) -> None:
        self._bench = bench
        self._row_of = {file: row for row, file in rows}
        self._batches = Batches(bench.pool, errand)
        deleted = [file for _, file in rows if file.fate is Fate.DELETE]
        others = [file for _, file in rows if file.fate is not Fate.DELETE]
        self._batches.add(carry_out, bench.places, deleted, self._take, size=_DELETED)
        self._batches.add(carry_out, bench.places, others, self._take, size=_BATCH)

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises weather; call it again later."""
        return self._batches.step()

    def _take(self, files: Sequence[PlannedFile], results: list[Outcome | Crashed]) -> Again | None:
        """Records what was carried out. What a dead worker left undone is repeated like what weather forbade."""
        pairs = list(zip(files, results, strict=True))
        for state in (FateState.DONE, FateState.SUPERSEDED):
            self._bench.vault.settle_fate([self._row_of[file] for file, result in pairs if result is state], state)
        left = [file for file, result in pairs if not isinstance(result, FateState)]
        if not left:
            return None
        weather = next((one for one in results if isinstance(one, OSError | CoatcheckError)), OSError())
        return Again(items=left, weather=_fault(weather))


def _fault(weather: OSError | CoatcheckError) -> CoatcheckError:
    if isinstance(weather, CoatcheckError):
        return weather
    code = errno.errorcode.get(weather.errno or 0, "EIO")
    return CoatcheckError(
        f"originals cannot be put away now ({code})",
        "look at the rights of the folders in the inbox and at the disk of archive and quarantine; results are not held"
        " up, and it is tried again",
    )


def close_delivery(bench: Bench, delivery_id: int) -> None:
    """Records that every original of a delivery has met its fate. Repeating it does no harm."""
    refusals = bench.ledger.refusals(delivery_id=delivery_id, state=RefusalState.PLANNED)
    if refusals:
        _close(bench, refusals, bench.vault.fates(bench.project.name, delivery_id=delivery_id))
    row = bench.ledger.delivery(delivery_id)
    if row is not None and row.state is DeliveryState.RELEASED:
        bench.ledger.done(delivery_id, bench.utc())


def close_refusal(bench: Bench, refusal_id: int) -> None:
    """Records that a file without a Study has met its fate. Repeating it does no harm."""
    refusal = bench.ledger.refusal(refusal_id)
    if refusal is not None and refusal.state is RefusalState.PLANNED:
        _close(bench, [refusal], bench.vault.fates(bench.project.name, refusal_id=refusal_id))


def _close(bench: Bench, refusals: Sequence[RefusalRow], fates: Sequence[FateRow]) -> None:
    """What was refused lies in the quarantine; of a file that became another one meanwhile the refusal is dropped."""
    set_aside = {fate.file.destination for fate in fates if fate.state is FateState.DONE}
    never = {fate.file.destination for fate in fates if fate.state is FateState.SUPERSEDED} - set_aside
    gone = Counter("/".join(destination.split("/", 2)[:2]) for destination in never)
    for refusal in refusals:
        if gone[refusal.folder] >= refusal.files:
            gone[refusal.folder] -= refusal.files
            bench.ledger.settle_refusal(refusal.id, RefusalState.DROPPED, bench.utc())
        else:
            bench.ledger.refusal_done(refusal.id, bench.utc())
