"""What becomes of a file that was read: it joins its Study, is set aside, goes with the originals, or waits again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coatcheck import worker
from coatcheck.assembly import Assembly
from coatcheck.bench import Bench
from coatcheck.choice import Choice
from coatcheck.gathering import Gathering
from coatcheck.inflow import Inflow
from coatcheck.markers import Markers, folder_of, marks
from coatcheck.model import Arrival, Directory, Instance, Packed, Refusal, Unready
from coatcheck.pieces import Pieces
from coatcheck.pool import Crashed
from coatcheck.reader import Reader
from coatcheck.reasons import Reason
from coatcheck.single import DICOMDIR, MARKER, Companion, SingleFile


class Sorter:
    """Reads the files of one project and sorts them. ``clock`` is monotonic, in seconds."""

    def __init__(
        self, bench: Bench, inflow: Inflow, assembly: Assembly, pieces: Pieces, clock: Callable[[], float]
    ) -> None:
        self.reader = Reader(bench.pool, self._sort)
        self.gathering = Gathering(assembly)
        self._bench = bench
        self._inflow = inflow
        self._assembly = assembly
        self._pieces = pieces
        self._clock = clock
        self._markers = Markers()
        project = bench.project
        self._choice = Choice(include=project.include, exclude=project.exclude, marker=project.done_marker)

    def read(self, arrivals: Sequence[Arrival], device_here: int | None, now: float) -> None:
        """Takes files that settled ``now``."""
        inbox = self._bench.project.inbox
        self.reader.add(worker.Reading(inbox=inbox, device_here=device_here, choice=self._choice), arrivals, now)

    def _sort(self, arrival: Arrival, result: object, settled: float) -> None:
        if isinstance(result, Instance):
            self.gathering.add(arrival, result, settled)
        elif isinstance(result, Refusal):
            self.refuse(result)
        elif isinstance(result, Directory):
            self.put_away(arrival, DICOMDIR)
        elif isinstance(result, Packed):
            self._inflow.spool.add(arrival)
        elif isinstance(result, Crashed):
            self.refuse(Refusal(arrival=arrival, reason=Reason.CRASHED))
        elif isinstance(result, Unready):
            self._inflow.give_back(result, self._clock())

    def refuse(self, refusal: Refusal) -> None:
        """One file is set aside, unless it is a marker."""
        if marks(refusal, self._bench.project.done_marker):
            self._markers.add(refusal.arrival)
        else:
            self.put_away(refusal.arrival, refusal)

    def put_away(self, arrival: Arrival, what: Companion | Refusal) -> None:
        """One file goes to the quarantine or where originals go."""
        self._pieces.singles.append(SingleFile(self._bench, arrival, what))

    def follow_markers(self, now: float) -> None:
        """What lies in the folder of a marker is complete, and does not wait for more."""
        for marker in self._markers.due(now, self._inflow.changing, self.reader.oldest()):
            self._assembly.complete(folder_of(marker))
            self.put_away(marker, MARKER)
