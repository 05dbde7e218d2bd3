"""The pieces of work on one project's line: its Studies, single files, and what an earlier process left to repair.

Each gets its turn and meets its own weather, so that none holds up another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any, Final

from coatcheck.bench import Bench
from coatcheck.deid import pseudonyms
from coatcheck.delivery import folder as outbox
from coatcheck.job import Phase, StudyJob
from coatcheck.recovery import Repair
from coatcheck.single import SingleFile
from coatcheck.spool import Errand
from coatcheck.weather import Weather
from coatcheck.workload import BATCH

_STUDIES: Final = 32  # worked on at a time; further ones wait, so that the first are out soon
_AT_LEAST: Final = 8  # of them begin together
_PLACES: Final = 4  # batches of larger Studies for each place in the pool, likewise
_SINGLES: Final = 64  # files without a Study, likewise
STAGED: Final = 16 << 30
"""Bytes of originals whose results may be in staging at a time, beside the one Study that goes on in any case."""

_HOLDING: Final = frozenset({Phase.OPENING, Phase.WORKING, Phase.SEALING, Phase.RECORDING, Phase.RELEASING})
Piece = StudyJob | SingleFile | Errand | Repair


class Pieces:
    """What is under way, and what waits for its turn."""

    def __init__(self, bench: Bench, weather: Weather) -> None:
        self._bench = bench
        self._begun: list[StudyJob] = []
        self._fresh: deque[StudyJob] = deque()
        self._size: dict[StudyJob, int] = {}
        self.singles: list[SingleFile | Errand] = []
        self._repairs: list[Repair] = []
        self._secret = bench.key.pseudonym_secret
        self._weather = weather

    def __iter__(self) -> Iterator[Piece]:
        yield from self._repairs
        yield from self._begun
        yield from self._fresh
        yield from self.singles

    @property
    def jobs(self) -> tuple[StudyJob, ...]:
        """The Studies, those that are begun first."""
        return (*self._begun, *self._fresh)

    @property
    def wants_more(self) -> bool:
        """Whether Studies may come that are due: a few at a time, for it takes some time to find them."""
        return not self._fresh and len(self._well()) <= _STUDIES - _AT_LEAST

    def room(self) -> Callable[[int], bool]:
        """Whether a Study of so many Instances may come beside those that came. One beyond a batch waits where there
        are many Instances already, those of the largest Study not counted: what cannot begin need not be at hand.
        """
        most = _PLACES * BATCH * self._bench.pool.depth
        sizes = [job.instances for job in self._well()]
        large = [size for size in sizes if size > BATCH]

        def fits(instances: int) -> bool:
            if len(sizes) >= _STUDIES or (instances > BATCH and sum(large) - max(large, default=0) >= most):
                return False
            sizes.append(instances)
            if instances > BATCH:
                large.append(instances)
            return True

        return fits

    def add(self, job: StudyJob) -> None:
        """Takes a Study, which waits until there is room for it."""
        self._fresh.append(job)
        self._size[job] = job.study.size

    def clear(self) -> None:
        """Lets go of all Studies."""
        self._begun.clear()
        self._fresh.clear()
        self._size.clear()

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

    def in_hand(self) -> set[str]:
        """Paths of what is worked on now."""
        studies = {one.arrival.path for job in self.jobs for one in job.study.instances}
        return studies | {single.arrival.path for single in self.singles if isinstance(single, SingleFile)}

    def running(self) -> Callable[[str], bool]:
        """Tells of a Study whether it is being decided over. One of which only originals are left is not."""

        @cache  # Thousands may wait, and it is asked at each turn of the loop, mostly to hear of none.
        def known() -> tuple[set[str], set[str]]:
            uids = {job.study_uid for job in self.jobs if job.phase is not Phase.DISPOSING}
            return uids, {repair.ticket for repair in self._repairs if repair.ticket}

        def is_running(uid: str) -> bool:
            uids, tickets = known()
            return uid in uids or (bool(tickets) and pseudonyms.ticket(self._secret, uid) in tickets)

        return is_running

    def is_busy(self, ticket: str) -> bool:
        """Whether anything of a Study is under way. What an earlier process left may be any Study's."""
        return bool(self._repairs) or any(job.ticket == ticket for job in self.jobs)

    def _turn(self) -> list[Piece]:
        """All that is begun, and what else there is room for. What meets weather takes no place from others."""
        while self._fresh and self._has_room(self._fresh[0]):
            self._begun.append(self._fresh.popleft())
        return [*self._repairs, *self._begun, *self._some_singles()]

    def _well(self) -> list[StudyJob]:
        """Those that are begun and meet no weather."""
        return [job for job in self._begun if not self._weather.failures(job)]

    def _has_room(self, study: StudyJob) -> bool:
        """Whether another Study may begin. One goes on whatever its size, so that a large one comes out too."""
        well = self._well()
        if len(well) >= _STUDIES:
            return False
        held = sum(self._size[job] for job in self._begun if job.phase in _HOLDING)
        if not any(job.phase in _HOLDING for job in well):
            return True
        return held + self._size[study] <= min(STAGED, outbox.free_bytes(self._bench.project.outbox))

    def _some_singles(self) -> Iterator[SingleFile | Errand]:
        """The first of them. Those behind were never tried, so none of them waits for weather."""
        room = _SINGLES
        for single in self.singles:
            room -= not self._weather.failures(single)
            if room < 0:
                return
            yield single

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
            self._begun.remove(piece)
            del self._size[piece]
        elif isinstance(piece, Repair):
            self._repairs.remove(piece)
        else:
            self.singles.remove(piece)


def _is_over(piece: Piece) -> bool:
    """Of a piece that went on: only a Study does so in several steps."""
    return not isinstance(piece, StudyJob) or piece.phase is Phase.ENDED
