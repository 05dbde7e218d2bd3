"""Carries out what was journalled for originals, until nothing is left of it. Weather is raised, and tried again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coatcheck.batches import Again, Batches
from coatcheck.bench import Bench
from coatcheck.originals import carry_out
from coatcheck.vault import FateState, PlannedFile

_BATCH: Final = 200


class Disposal:
    """The fates of the files of one delivery or refusal, by their rows in the vault."""

    def __init__(self, bench: Bench, rows: Sequence[tuple[int, PlannedFile]]) -> None:
        self._bench = bench
        self._row_of = {file: row for row, file in rows}
        self._batches = Batches(bench.pool)
        self._batches.add(carry_out, bench.places, [file for _, file in rows], self._take, size=_BATCH)

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises OSError for weather; call it again later."""
        return self._batches.step()

    def _take(self, files: Sequence[PlannedFile], results: list[FateState | OSError]) -> Again | None:
        """Records what was carried out. What a dead worker left undone is repeated like what weather forbade."""
        pairs = list(zip(files, results, strict=True))
        for state in (FateState.DONE, FateState.SUPERSEDED):
            self._bench.vault.settle_fate([self._row_of[file] for file, result in pairs if result is state], state)
        left = [file for file, result in pairs if not isinstance(result, FateState)]
        if not left:
            return None
        weather = next((result for result in results if isinstance(result, OSError)), OSError("a worker process ended"))
        return Again(items=left, weather=weather)
