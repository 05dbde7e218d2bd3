"""When an inbox is listed, and how it is watched in between: events only ring, the listing is the truth."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from coatcheck.errors import InboxFault
from coatcheck.files import Mount, mount_of
from coatcheck.intake.folder import EVENT_FILE_SYSTEMS, Doorbell, Mode, Setting, choose_mode
from coatcheck.intake.scan import NOTHING_KNOWN, FolderId, Listing, prune_empty, scan
from coatcheck.model import Fingerprint

_PERIOD: Final[dict[Mode, float]] = {"events": 30.0, "polling": 2.0}  # seconds between full listings
_SHARE_OF_TIME: Final = 20  # listing may take one part in so many of the time
_RUNG_SHARE_OF_TIME: Final = 10  # and one in so many where something rings
_CALM_AFTER: Final = 60.0  # seconds without anything new, after which it may be listed more rarely:
_CALM_SHARE_OF_TIME: Final = 5000  # so that many inboxes with many files cost next to nothing
_CALM_LONGEST: Final = 120.0
_GAP: Final = 0.2  # seconds in which events are folded into one listing
_GLANCE_PERIOD: Final = 2.0
_WATCH_AGAIN: Final = 300.0  # seconds until watches are asked for again where the kernel had too few
_PRUNE_PERIOD: Final = 60.0
_PRUNE_AGE: Final = 600.0  # seconds that an empty folder stays, for people make one and then fill it

Say = Callable[[int, str], None]


class Inbox:
    """One project's inbox. ``now`` is the monotonic clock, in seconds; ``say`` writes one line to the log."""

    def __init__(self, project: str, folder: Path, setting: Setting, doorbell: Doorbell, say: Say) -> None:
        self.rung = True
        self.cost = 0.0  # seconds that the last listing took
        self.effort = 0.0  # of processor time
        self.left_alone = 0
        self.unreadable = 0
        self.gaps: InboxFault | None = None  # what the last listing could not look at
        self.looked = float("-inf")
        self.device_here: int | None = None  # its device, if all who write there go through this kernel
        self._project = project
        self._folder = folder
        self._setting = setting
        self._doorbell = doorbell
        self._say = say
        self._mode: Mode = "polling"
        self._watched = float("-inf")
        self._lost_before = 0
        self._said_lost = self._said_limited = False
        self._root: FolderId | None = None
        self._mount = Mount("", "")
        self._news = float("inf")  # when something new was last in it; at first all of it is
        self._pruned: float | None = None
        self._glanced = float("-inf")

    @property
    def watch(self) -> Mode:
        """How it is watched now: by events only if the kernel has watches for all of its folders."""
        return "polling" if self.limited else self._mode

    @property
    def limited(self) -> bool:
        """Whether the kernel has too few watches for it, so that it is polled."""
        return self._doorbell.limited(self._project)

    @property
    def events_lost(self) -> int:
        """How often the kernel's queue of events ran over."""
        return self._lost_before + self._doorbell.overflows(self._project)

    @property
    def period(self) -> float:
        """Seconds between two full listings if nothing rings. A calm inbox that is much work is listed more rarely."""
        usual = max(_PERIOD[self.watch], _SHARE_OF_TIME * self.cost)
        if self.looked - self._news < _CALM_AFTER:
            return usual
        return max(usual, min(_CALM_SHARE_OF_TIME * self.effort, _CALM_LONGEST))

    def next_look(self, settle_due: float | None) -> float:
        """When to list it next. ``settle_due`` is when a file that waits has to be looked at again."""
        times = [self.looked + self.period]
        gap = max(_GAP, _RUNG_SHARE_OF_TIME * self.cost)
        if self.rung:
            times.append(self.looked + gap)
        if settle_due is not None:
            times.append(max(settle_due, self.looked + gap))
        return min(times)

    def is_due(self, now: float, settle_due: float | None) -> bool:
        """Whether it is time to list it, or to glance at it."""
        return now >= self.next_look(settle_due) or now - self._glanced >= _GLANCE_PERIOD

    def glance(self, now: float) -> None:
        """A quick look whether it is still the folder that is watched: one that is gone cannot ring."""
        if now - self._glanced >= _GLANCE_PERIOD:
            self._glanced = now
            self.rung = self.rung or not self._doorbell.healthy(self._project)

    def look(self, now: float, known: Mapping[str, Fingerprint] = NOTHING_KNOWN) -> Listing:
        """Lists it, as :func:`scan`. Raises InboxFault where that fails, or its file system is not mounted."""
        if not self._doorbell.healthy(self._project) or (self.limited and now - self._watched >= _WATCH_AGAIN):
            self._watch(now)
        self.rung = False
        begun, before = time.perf_counter(), time.thread_time()
        listing = scan(self._folder, known=known)
        self.cost, self.effort = time.perf_counter() - begun, time.thread_time() - before
        self.left_alone, self.unreadable = listing.left_alone, listing.unreadable
        if listing.root != self._root:
            self._enter(listing)
        self.gaps = self._gaps(listing)
        self.looked = now
        self._news = min(self._news, now)
        self._tell()
        return listing

    def news(self, now: float) -> None:
        """The last listing had something new in it."""
        self._news = now

    def tidy(self, now: float) -> None:
        """Removes empty folders that people left behind long ago."""
        if self._pruned is None:
            self._pruned = now
        elif now - self._pruned > _PRUNE_PERIOD:
            self._pruned = now
            prune_empty(self._folder, _PRUNE_AGE, time.time())

    def snapshot(self) -> dict[str, str | int | float]:
        """What the status says of it."""
        return {
            "watch": self.watch,
            "watch_limited": self.limited,
            "events_lost": self.events_lost,
            "scan_seconds": round(self.cost, 6),
            "scan_period": round(self.period, 1),
            "left_alone": self.left_alone,
            "unreadable": self.unreadable,
        }

    def stop(self) -> None:
        """Ends the watching."""
        self._doorbell.unwatch(self._project)

    def _watch(self, now: float) -> None:
        self._watched = now
        self._lost_before = self.events_lost
        self._doorbell.unwatch(self._project)
        self._mode = choose_mode(self._folder, self._setting)
        self._doorbell.watch(self._project, self._folder, self._mode)

    def _tell(self) -> None:
        """Says once what the kernel could not do for it."""
        if self.events_lost and not self._said_lost:
            self._said_lost = True
            self._say(logging.WARNING, "the kernel lost events of the inbox: it is listed instead, nothing is missed")
        if self.limited and not self._said_limited:
            self._say(
                logging.WARNING,
                "the kernel has too few inotify watches for the inbox: it is polled: raise"
                " fs.inotify.max_user_watches and max_user_instances",
            )
        if self._said_limited and not self.limited:
            self._say(logging.INFO, "the kernel has watches enough for the inbox again")
        self._said_limited = self.limited

    def _gaps(self, listing: Listing) -> InboxFault | None:
        """What was not listed is never taken; the rest is. No number stands here, so that it is one fault while it
        lasts, and no name, for none that was dropped may be told.
        """
        if listing.unreadable:
            return InboxFault(
                f"inbox {self._shown}: folders or files in it cannot be looked at",
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

    def _enter(self, listing: Listing) -> None:
        """It is another folder than before. One that is empty, below where a share was mounted, is a fault: the share
        is gone, and no file of it was taken away.
        """
        try:
            mount = mount_of(self._folder)
        except OSError as error:
            raise InboxFault(f"inbox {self._shown}: it went away while it was listed", "it is listed again") from error
        if not listing.files and _is_above(mount.point, self._mount.point):
            raise InboxFault(
                f"inbox {self._shown}: it is empty, and the file system that was mounted there is gone",
                "check that the share is mounted; it is listed again shortly",
            )
        self._root, self._mount = listing.root, mount
        self.device_here = listing.root.device if mount.kind in EVENT_FILE_SYSTEMS else None


def _is_above(point: str, below: str) -> bool:
    """Whether a mount point is a folder above another one."""
    return point != below and below.startswith(point.rstrip("/") + "/")
