"""The marker by which people say that a folder is complete: a file called DONE, or what the project calls it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from coatcheck.model import Arrival, Refusal
from coatcheck.paths import dropped, is_below, is_marker
from coatcheck.reasons import Reason


def marks(refusal: Refusal, name: str) -> bool:
    """Whether what was refused is a marker. A file of that name that is DICOM, be it broken, is none."""
    return refusal.reason is Reason.NOT_DICOM and is_marker(refusal.arrival.path, name)


class Markers:
    """The markers that came. Each waits until all that lies in its folder, or below, has settled and was read.

    So one that is copied first, in the middle of its folder, releases nothing before the rest.
    """

    def __init__(self) -> None:
        self._quiet: dict[Arrival, float | None] = {}  # since when nothing in its folder is still changing

    def add(self, arrival: Arrival) -> None:
        """Takes a marker."""
        self._quiet[arrival] = None

    def due(self, now: float, changing: Callable[[], Iterable[str]], unread: float) -> list[Arrival]:
        """Hands out the markers whose folders are complete.

        ``changing`` gives the paths that have not settled, and ``unread`` is when the first file that is not read yet
        settled (infinity if all are read).
        """
        if not self._quiet:
            return []
        paths = list(changing())
        for arrival, since in self._quiet.items():
            loud = any(is_below(dropped(path), folder_of(arrival)) for path in paths)
            self._quiet[arrival] = None if loud else now if since is None else since
        ready = [one for one, since in self._quiet.items() if since is not None and since < unread]
        for one in ready:
            del self._quiet[one]
        return ready


def folder_of(marker: Arrival) -> str:
    """The folder that a marker stands in, as people know it."""
    return dropped(marker.path).rpartition("/")[0]
