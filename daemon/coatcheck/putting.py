"""Where a dropped file is to go once its outcome is safe. What was unpacked has its archive for an original."""

from __future__ import annotations

from coatcheck import quarantine
from coatcheck.bench import Bench
from coatcheck.fates import Fate, PlannedFile
from coatcheck.model import Arrival
from coatcheck.paths import dropped, is_unpacked
from coatcheck.reasons import Reason

UNPACKED = "unpacked"  # the folder of the archive in which archives lie, each in a folder called like its ID


def kept(bench: Bench, arrival: Arrival, folder: str) -> PlannedFile:
    """To the ``folder`` of the archive, or away. A file that was unpacked goes in any case: the archive file, which has
    it too, stays until all that was in it is dealt with. Its destination tells where that will be.
    """
    if is_unpacked(arrival.path):
        return _planned(arrival, Fate.DELETE, f"{UNPACKED}/{arrival.path.split('/', 2)[1]}")
    return _planned(arrival, bench.kept, f"{folder}/{arrival.path}" if bench.kept is Fate.ARCHIVE else "")


def set_aside(arrival: Arrival, reason: Reason, ticket: str | None) -> PlannedFile:
    """To the quarantine, under the path as people know it."""
    return _planned(arrival, Fate.QUARANTINE, f"{quarantine.folder(reason, ticket)}/{dropped(arrival.path)}")


def _planned(arrival: Arrival, fate: Fate, destination: str) -> PlannedFile:
    return PlannedFile(path=arrival.path, fingerprint=arrival.fingerprint, fate=fate, destination=destination)
