"""When an inbox is listed, and how it is watched in between: events only ring, the listing is the truth."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from coatcheck.errors import InboxFault
from coatcheck.intake.folder import Doorbell, Mode, Setting, choose_mode
from coatcheck.intake.scan import Listing, prune_empty, scan

_PERIOD: Final[dict[Mode, float]] = {"events": 30.0, "polling": 2.0}  # seconds between full listings
_SHARE_OF_TIME: Final = 20  # listing may take one part in so many of the time
_GAP: Final = 0.2  # seconds in which events are folded into one listing
_GLANCE_PERIOD: Final = 2.0
_PRUNE_PERIOD: Final = 60.0
_PRUNE_AGE: Final = 600.0  # seconds that an empty folder stays, for people make one and then fill it


class Inbox:
    """One project's inbox. ``now`` is the monotonic clock, in seconds."""

    def __init__(self, project: str, folder: Path, setting: Setting, doorbell: Doorbell) -> None:
        self.rung = True
        self.cost = 0.0  # seconds that the last listing took
        self.left_alone = 0
        self.gaps: InboxFault | None = None  # what the last listing could not look at
        self.looked = float("-inf")
        self._project = project
        self._folder = folder
        self._setting = setting
        self._doorbell = doorbell
        self._mode: Mode = "polling"
        self._device: int | None = None
        self._pruned: float | None = None
        self._glanced = float("-inf")

    @property
    def watch(self) -> Mode:
        """How it is watched now: by events only if the kernel has watches for all of its folders."""
        return "polling" if self._doorbell.limited(self._project) else self._mode

    @property
    def period(self) -> float:
        """Seconds between two full listings if nothing rings."""
        return max(_PERIOD[self.watch], _SHARE_OF_TIME * self.cost)

    def next_look(self, settle_due: float | None) -> float:
        """When to list it next. ``settle_due`` is when a file that waits has to be looked at again."""
        times = [self.looked + self.period]
        gap = max(_GAP, 2 * self.cost)
        if self.rung:
            times.append(self.looked + gap)
        if settle_due is not None:
            times.append(max(settle_due, self.looked + gap))
        return min(times)

    def glance(self, now: float) -> None:
        """A quick look whether it is still the folder that is watched: one that is gone cannot ring."""
        if now - self._glanced >= _GLANCE_PERIOD:
            self._glanced = now
            self.rung = self.rung or not self._doorbell.healthy(self._project)

    def look(self, now: float) -> Listing:
        """Lists it. Raises InboxFault where that cannot be done, or its file system is not mounted."""
        if not self._doorbell.healthy(self._project):
            self._mode = choose_mode(self._folder, self._setting)
            self._doorbell.watch(self._project, self._folder, self._mode)
        self.rung = False
        begun = time.perf_counter()
        listing = scan(self._folder)
        self.cost = time.perf_counter() - begun
        self.left_alone = listing.left_alone
        self._refuse_empty_mount_point(listing)
        self.gaps = self._gaps(listing)
        self.looked = now
        return listing

    def tidy(self, now: float) -> None:
        """Removes empty folders that people left behind long ago."""
        if self._pruned is None:
            self._pruned = now
        elif now - self._pruned > _PRUNE_PERIOD:
            self._pruned = now
            prune_empty(self._folder, _PRUNE_AGE, time.time())

    def stop(self) -> None:
        """Ends the watching."""
        self._doorbell.unwatch(self._project)

    def _gaps(self, listing: Listing) -> InboxFault | None:
        """What was not listed is never taken; the rest is. It is counted, for no fault may hold dropped names."""
        if listing.unreadable:
            return InboxFault(
                f"inbox {self._shown}: {listing.unreadable} folders or files in it cannot be looked at",
                "give the service the right to read, enter and write all folders of the inbox; what lies there waits",
            )
        if listing.cut_short:
            return InboxFault(
                f"inbox {self._shown}: it holds more files and folders than can be listed",
                "move a part of them out of it; what was not listed waits until the rest has gone its way",
            )
        return None

    @property
    def _shown(self) -> str:
        return os.fsencode(self._folder).decode(errors="replace")

    def _refuse_empty_mount_point(self, listing: Listing) -> None:
        """A share that is not mounted looks like an empty folder of another file system: a fault, and no deletion."""
        device = listing.root.device
        if self._device is not None and device != self._device and not listing.files:
            raise InboxFault(
                f"inbox {self._shown}: it is empty and on another file system than before",
                "check that the share is mounted; it is listed again shortly",
            )
        self._device = device
