"""Carries out what was journalled for originals, until nothing is left of it. Weather is raised, and tried again."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.bench import Bench
from coatcheck.originals import carry_out
from coatcheck.vault import FateState, PlannedFile

_BATCH = 200


class Disposal:
    """The fates of the files of one delivery or refusal, by their rows in the vault."""

    def __init__(self, bench: Bench, rows: Sequence[tuple[int, PlannedFile]]) -> None:
        self._bench = bench
        self._todo = list(rows)
        self._under_way = 0
        self._weather: OSError | None = None

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises OSError for weather; call it again later."""
        if self._weather is not None and not self._under_way:
            weather, self._weather = self._weather, None
            raise weather
        while self._todo and self._weather is None:
            batch, self._todo = self._todo[:_BATCH], self._todo[_BATCH:]
            self._submit(batch)
        return not self._under_way and not self._todo

    def _submit(self, batch: list[tuple[int, PlannedFile]]) -> None:
        self._under_way += 1

        def done(results: list[FateState | OSError]) -> None:
            self._under_way -= 1
            for state in (FateState.DONE, FateState.SUPERSEDED):
                ids = [row for (row, _), result in zip(batch, results, strict=True) if result is state]
                if ids:
                    self._bench.vault.settle_fate(ids, state)
            left = [one for one, result in zip(batch, results, strict=True) if not isinstance(result, FateState)]
            self._todo.extend(left)
            self._weather = next((result for result in results if isinstance(result, OSError)), self._weather)

        def failed(error: OSError) -> None:
            self._under_way -= 1
            self._todo.extend(batch)
            self._weather = error

        files = [file for _, file in batch]
        self._bench.pool.submit(carry_out, self._bench.places, files, done, failed)
