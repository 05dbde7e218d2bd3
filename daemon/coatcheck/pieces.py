"""The pieces of work on one project's line: its Studies, single files, and what an earlier process left to repair.

Each gets its turn and meets its own weather, so that none holds up another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.job import Phase, StudyJob
from coatcheck.recovery import Repair
from coatcheck.single import SingleFile
from coatcheck.spool import Errand
from coatcheck.weather import Weather

_STUDIES: Final = 32  # worked on at a time; further ones wait, so that the first are out soon
Piece = StudyJob | SingleFile | Errand | Repair


class Pieces:
    """What is under way, and what waits for its turn."""

    def __init__(self, bench: Bench, weather: Weather) -> None:
        self.jobs: list[StudyJob] = []
        self.singles: list[SingleFile | Errand] = []
        self._repairs: list[Repair] = []
        self._secret = bench.key.pseudonym_secret
        self._weather = weather

    def __iter__(self) -> Iterator[Piece]:
        yield from self._repairs
        yield from self.jobs
        yield from self.singles

    def repair(self, repairs: Iterable[Repair]) -> None:
        """Takes what an earlier process left."""
        self._repairs = list(repairs)

    def step(self, now: float, ended: Callable[[Piece], None]) -> None:
        """Gives each piece its turn; ``ended`` is called for each that has come to its end."""
        room_came = True
        while room_came:
            room_came = False
            for piece in self._turn():
                if self._weather.attempt(piece, partial(self._went_on, piece), now) and _is_over(piece):
                    self._strike_off(piece)
                    ended(piece)
                    room_came = True

    def snapshot(self) -> list[dict[str, Any]]:
        """What the status says of the Studies."""
        return [{"ticket": job.ticket, "state": job.phase.value, "instances": job.instances} for job in self.jobs]

    def tried(self, times: int) -> bool:
        """Whether all that is left has failed so often in a row."""
        return all(self._weather.failures(piece) >= times for piece in self)

    @property
    def held(self) -> frozenset[str]:
        """Paths in the inbox that belong to work which an earlier process began: they are no new files."""
        return frozenset[str]().union(*(repair.held for repair in self._repairs))

    def running(self) -> Callable[[str], bool]:
        """Tells of a Study whether it is being decided over. One of which only originals are left is not."""
        uids = {job.study_uid for job in self.jobs if job.phase is not Phase.DISPOSING}
        tickets = {repair.ticket for repair in self._repairs if repair.ticket}
        return lambda uid: uid in uids or (bool(tickets) and pseudonyms.ticket(self._secret, uid) in tickets)

    def is_busy(self, ticket: str) -> bool:
        """Whether anything of a Study is under way. What an earlier process left may be any Study's."""
        return bool(self._repairs) or any(job.ticket == ticket for job in self.jobs)

    def _turn(self) -> list[Piece]:
        """All that is begun, and some Studies that are not. What meets weather takes no place from others."""
        well = [job for job in self.jobs if not self._weather.failures(job)]
        room = _STUDIES - sum(job.phase is not Phase.OPENING for job in well)
        waiting = [job for job in well if job.phase is Phase.OPENING]
        left_out = set(waiting[max(room, 0) :])
        return [piece for piece in self if piece not in left_out]

    def _went_on(self, piece: Piece) -> bool:
        if not isinstance(piece, StudyJob):
            return piece.step()
        before = piece.reached
        try:
            piece.step()
        except Exception:
            if piece.reached > before:
                self._weather.clear(piece)
            raise
        return piece.reached > before

    def _strike_off(self, piece: Piece) -> None:
        if isinstance(piece, StudyJob):
            self.jobs.remove(piece)
        elif isinstance(piece, Repair):
            self._repairs.remove(piece)
        else:
            self.singles.remove(piece)


def _is_over(piece: Piece) -> bool:
    """Of a piece that went on: only a Study does so in several steps."""
    return not isinstance(piece, StudyJob) or piece.phase is Phase.ENDED
