"""What comes into one project: files that settle in its inbox, and what is unpacked of the archives among them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError
from coatcheck.intake.scan import Listing
from coatcheck.intake.settle import Settle
from coatcheck.model import Arrival, Fingerprint, Refusal, Unready
from coatcheck.paths import is_unpacked
from coatcheck.reasons import Reason
from coatcheck.spool import Errand, Spool
from coatcheck.weather import Weather

_UNREADABLE: Final = "a file in the inbox cannot be read ({})"
_READ_IT: Final = "give the service the right to read it, or look at the disk's health; others of its Study go on"


class Inflow:
    """The files of the inbox that were not handed out yet, and of those that were handed out which are still known."""

    def __init__(self, bench: Bench) -> None:
        self._name = bench.project.name
        self.settle = Settle(bench.project.file_settle)
        self.spool = Spool(bench)
        self.weather = Weather(bench, "file")  # by path

    def take(self, listing: Listing, now: float, held: Collection[str]) -> tuple[list[Arrival], list[Refusal]]:
        """Files that have settled, to be read, and what is no file. ``held`` is in the hands of earlier work."""
        places = (listing.files, listing.odd, self.spool.files)
        self.weather.forget_others(lambda path: any(path in files for files in places))
        files = listing.files
        if listing.odd or held:  # else it need not be copied, and may be large
            files = {path: mark for path, mark in {**files, **listing.odd}.items() if path not in held}
        settled = self._settled(files, listing, now)
        odd = [Refusal(arrival=one, reason=Reason.NOT_A_FILE) for one in settled if one.path in listing.odd]
        return [one for one in settled if one.path not in listing.odd], odd

    def _settled(self, files: Mapping[str, Fingerprint], listing: Listing, now: float) -> list[Arrival]:
        found = self.settle.update(files, now, root=listing.root, unseen=listing.unseen)
        return [Arrival(project=self._name, path=path, fingerprint=mark) for path, mark in found]

    def look(
        self, listing: Listing, now: float, held: Collection[str], in_hand: Callable[[], set[str]]
    ) -> tuple[list[Arrival], list[tuple[str, Arrival]]]:
        """Files that were unpacked, to be read, and archives of which nothing is left to do, with their IDs."""
        members, empty, vanished = self.spool.look(listing, now, held, in_hand)
        for archive in vanished:
            self.give_back(Unready(arrival=archive), now)
        return members, empty

    def ended(self, errand: Errand, now: float) -> list[Refusal]:
        """An errand of the spool came to its end; gives the archive that is to be refused for it."""
        result = self.spool.ended(errand)
        if isinstance(result, Unready):
            self.give_back(result, now)
        return [result] if isinstance(result, Refusal) else []

    def give_back(self, unready: Unready, now: float) -> None:
        """A file settles again. One that is there and cannot be read is a fault, and holds up no other."""
        path = unready.arrival.path
        self._settle_of(path).give_back(path, now)
        if unready.fault:
            self.weather.strike(path, CoatcheckError(_UNREADABLE.format(unready.fault), _READ_IT), now)
        else:
            self.weather.clear(path)

    def forget(self, arrival: Arrival, *, given_back: bool = False) -> None:
        """The work on a file is over: it was dealt with or given back; see :meth:`Settle.forget`."""
        self.spool.forget(arrival.path, given_back=given_back)
        self._settle_of(arrival.path).forget(arrival.path, arrival.fingerprint)

    def waiting(self, now: float) -> int:
        """How many files wait: to settle, or to be unpacked."""
        both = self.settle.waiting(now).files + self.spool.settle.waiting(now).files
        return both + len(self.spool.waiting_paths())

    def changing(self) -> list[str]:
        """The paths of files that have not settled, and of archives whose files are not known yet."""
        return [*self.settle.waiting_paths(), *self.spool.settle.waiting_paths(), *self.spool.waiting_paths()]

    def next_due(self, now: float) -> float | None:
        """When the inbox is to be listed for what may have settled then."""
        times = [one.next_due(now) for one in (self.settle, self.spool.settle)]
        return min((time for time in times if time is not None), default=None)

    def _settle_of(self, path: str) -> Settle:
        return self.spool.settle if is_unpacked(path) else self.settle
