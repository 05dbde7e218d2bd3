"""When a file in an inbox is whole: after nothing about it changed for a while on the daemon's own clock. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from coatcheck.model import Fingerprint

RETRY_SECONDS = 1.0
"""A file that was given back waits at least this long, so that a ``file_settle`` of 0 does not spin."""

RETRY_LONGEST = 60.0
"""One that is given back again and again although nothing about it changes waits twice as long each time, up to this:
somebody holds it open and does not write."""


class Waiting(NamedTuple):
    """How many files wait, and for how many seconds the first of them has been known."""

    files: int
    oldest_seconds: float


class _Wait(NamedTuple):
    fingerprint: Fingerprint
    due: float
    first_seen: float


class _Returned(NamedTuple):
    """A file that was given back, and has not changed since: when that was first, and how long it waits now."""

    first_seen: float
    delay: float


class Settle:
    """Carries "unchanged since" from one listing of an inbox to the next.

    ``file_settle`` is in seconds; all times are readings of one monotonic clock. Each state of a file is handed out
    once: a path with the same Fingerprint is not handed out again until it vanishes or is given back. A file that
    never stops changing waits for ever: that is no verdict. With a ``file_settle`` of 0 a file is handed out at its
    first sight. While an inbox has a fault nothing is to be called, and what is known stays.
    """

    def __init__(self, file_settle: float) -> None:
        self._next: float | None = None  # when the first of those that wait may be whole, if it is known
        self.news = False  # whether any file of the last listing was new, or another than before
        self._file_settle = file_settle
        self._waiting: dict[str, _Wait] = {}
        self._taken: dict[str, Fingerprint] = {}
        self._returned: dict[str, _Returned] = {}
        self._root: tuple[int, int] | None = None
        self._parked: tuple[tuple[int, int] | None, dict[str, Fingerprint]] = (None, {})

    @property
    def taken(self) -> Mapping[str, Fingerprint]:
        """What was handed out."""
        return self._taken

    def update(
        self,
        listing: Mapping[str, Fingerprint],
        now: float,
        *,
        root: tuple[int, int] | None = None,
        unseen: Collection[str] = (),
    ) -> list[tuple[str, Fingerprint]]:
        """Take a full listing and return the files that became whole, in the listing's order.

        ``root`` is the inbox's (device, inode). Where it changes, the share was probably unmounted: what was handed
        out from the folder before is remembered until that folder comes back. ``unseen`` are paths that could not be
        looked at; files there and below stay as they are.
        """
        self._follow(root)
        self.news = False
        self._next = None
        settled = [(path, mark) for path, mark in listing.items() if self._is_settled(path, mark, now)]
        if len(self._waiting) + len(self._taken) > len(listing) or self._returned:
            self._forget_absent(listing, unseen)
        return settled

    def give_back(self, path: str, now: float) -> None:
        """Let a file that was handed out, but was not ready, wait anew. A path that is not known is no error.

        It may be one of the folder before: then it is new when that folder comes back.
        """
        self._parked[1].pop(path, None)
        mark = self._taken.pop(path, None)
        if mark is None:
            return
        before = self._returned.get(path)
        delay = max(self._file_settle, RETRY_SECONDS)
        if before is not None:
            delay = max(delay, min(2 * before.delay, RETRY_LONGEST))
        first_seen = now if before is None else before.first_seen
        self._next = None
        self._returned[path] = _Returned(first_seen, delay)
        self._waiting[path] = _Wait(mark, now + delay, first_seen)

    def forget(self, path: str, mark: Fingerprint) -> None:
        """Drop what is known of a file that was dealt with. If it lies there all the same, it is new.

        It does where its share went away while it was being put away, and came back. A file that came under the same
        path meanwhile is not meant.
        """
        for taken in (self._taken, self._parked[1]):
            if taken.get(path) == mark:
                del taken[path]

    def waiting(self, now: float) -> Waiting:
        """Tell how many files wait and how long the oldest has, counted from its first sight."""
        first = min((wait.first_seen for wait in self._waiting.values()), default=now)
        return Waiting(len(self._waiting), max(0.0, now - first))

    def waiting_paths(self) -> list[str]:
        """Name the files that wait, in the order of their first sight. The names are as people dropped them."""
        return list(self._waiting)

    def next_due(self, now: float) -> float | None:
        """Return when the next file may be whole (``now`` if that has passed), or None if no file waits."""
        if not self._waiting:
            return None
        if self._next is None:  # Thousands may wait, and it is asked at each turn of the loop.
            self._next = min(wait.due for wait in self._waiting.values())
        return max(now, self._next)

    def _is_settled(self, path: str, mark: Fingerprint, now: float) -> bool:
        if self._taken.get(path) == mark:
            return False
        wait = self._waiting.get(path)
        if wait is None or wait.fingerprint != mark:
            wait = _Wait(mark, now + self._file_settle, now if wait is None else wait.first_seen)
            self._taken.pop(path, None)
            self._returned.pop(path, None)
            self.news = True
        if now < wait.due:
            self._waiting[path] = wait
            return False
        self._waiting.pop(path, None)
        self._taken[path] = mark
        return True

    def _follow(self, root: tuple[int, int] | None) -> None:
        """Change folders: keep what was handed out from the last one, and take up what is known of this one."""
        if root == self._root:
            return
        if self._root is not None:
            back = self._parked[1] if self._parked[0] == root else {}
            self._parked = (self._root, self._taken)
            self._taken = back
            self._waiting = {}
            self._returned = {}
        self._root = root

    def _forget_absent(self, listing: Mapping[str, Fingerprint], unseen: Collection[str]) -> None:
        known: dict[str, _Wait] | dict[str, Fingerprint] | dict[str, _Returned]
        for known in (self._waiting, self._taken, self._returned):
            for path in [path for path in known if path not in listing and not _is_below(path, unseen)]:
                del known[path]


def _is_below(path: str, places: Collection[str]) -> bool:
    """Tell whether ``path`` is one of ``places`` or below one; the place "" is the inbox itself."""
    if not places:
        return False
    while path not in places:
        if not path:
            return False
        path = path.rpartition("/")[0]
    return True
