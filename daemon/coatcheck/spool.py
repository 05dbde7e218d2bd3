"""The archives of one inbox: unpacked one after the other, watched until all that was in them has gone its way.

Nothing is kept in memory that a start would need: each archive has its folder in the spool, by an ID that is a keyed
function of its path and of what the file system says of it. While the folder holds files they are worked on like files
of the inbox. When it is empty the archive goes where originals go; when the archive is gone the folder is swept.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any, Final, NamedTuple

from coatcheck.batches import Again, Batches, Function
from coatcheck.bench import Bench
from coatcheck.deid.pseudonyms import derive
from coatcheck.errors import InboxFault
from coatcheck.intake.scan import FolderId, Listing, scan
from coatcheck.intake.settle import Settle
from coatcheck.model import Arrival, Fingerprint, Refusal, Unready
from coatcheck.paths import SPOOL, is_archive
from coatcheck.reasons import Reason
from coatcheck.unpacking import UNFINISHED, Unpacked, Unpacking, sweep, unpack

_NOTHING: Final = Listing(
    root=FolderId(0, 0), files={}, odd={}, left_alone=0, unreadable=0, unseen=frozenset(), cut_short=False
)


class Errand:
    """One thing that is done for the spool in the pool: an archive is unpacked, or folders are swept.

    Only one is at work at a time. One that meets weather lets the others go on, and waits until none is.
    """

    def __init__(
        self, spool: Spool, bench: Bench, function: Function, context: object, item: object, archive: Arrival | None
    ) -> None:
        self._spool = spool
        self._batches = Batches(bench.pool)
        self._batches.add(function, context, [item], self._take, size=1)
        self.archive = archive
        self.result: object = None

    def step(self) -> bool:
        """Goes on as far as it can; True when it is done. Raises weather."""
        if self._spool.at_work not in (None, self):
            return False
        self._spool.at_work = self
        try:
            done = self._batches.step()
        except Exception:
            self._spool.at_work = None
            raise
        self._spool.at_work = None if done else self
        return done

    def _take(self, items: Sequence[Any], results: list[Any]) -> Again | None:
        self.result = results[0]
        return None


class Seen(NamedTuple):
    """What a look into the spool found: files to be read, archives of which nothing is left to do, and archives whose
    folder is gone although it was there: somebody took it away, and they are to settle anew.
    """

    members: list[Arrival]
    empty: list[tuple[str, Arrival]]
    vanished: list[Arrival]


class Spool:
    """What is known of the archives of one project, and of what came out of them."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._inbox = bench.project.inbox
        self.settle = Settle(0.0)  # what was unpacked is complete
        self.files: Mapping[str, Fingerprint] = {}  # that lie in the spool
        self._there: dict[str, Arrival] = {}  # the archives in the inbox, by their IDs
        self._folders: frozenset[str] = frozenset()
        self._strange: frozenset[str] = frozenset()  # folders that no archive belongs to
        self._bare: bool | None = None  # an earlier process left the spool without a folder in it; None: not looked yet
        self._queue: deque[Arrival] = deque()
        self._errands: list[Errand] = []
        self.at_work: Errand | None = None  # the one that takes up room now
        self._fresh: dict[str, Arrival] = {}  # unpacked, and not seen in the spool since
        self._leaving: set[str] = set()
        self._owed: set[str] = set()  # files that were seen in the spool, and not dealt with yet

    @property
    def in_use(self) -> bool:
        """Whether the inbox is to be listed again when something was done."""
        return bool(self._errands or self._queue or self._fresh or self._folders)

    @property
    def busy(self) -> bool:
        """Whether an errand is to begin, or the inbox to be listed, for something to go on."""
        return self.at_work is None and bool(self._queue or self._fresh or self._to_sweep)

    @property
    def _to_sweep(self) -> bool:
        """Whether there are strange folders, or a bare spool, and no errand was sent for them."""
        return bool(self._strange or self._bare) and all(errand.archive for errand in self._errands)

    def waiting_paths(self) -> list[str]:
        """Archives whose files are not known yet."""
        under_way = [errand.archive for errand in self._errands if errand.archive]
        return [one.path for one in (*self._queue, *self._fresh.values(), *under_way)]

    def add(self, arrival: Arrival) -> None:
        """Takes an archive that has settled. One that an earlier process unpacked is not unpacked again."""
        if self._identify(arrival.path, arrival.fingerprint) not in self._folders:
            self._queue.append(arrival)

    def next_errand(self, device_here: int | None) -> Errand | None:
        """What is to be done next, one thing at a time, so that one archive after the other takes up room."""
        if self.at_work is not None:
            return None
        if self._to_sweep:
            errand = Errand(self, self._bench, sweep, self._inbox, tuple(self._strange), None)
        elif self._queue:
            archive = self._queue.popleft()
            context = Unpacking(inbox=self._inbox, device_here=device_here)
            item = (self._identify(archive.path, archive.fingerprint), archive)
            errand = Errand(self, self._bench, unpack, context, item, archive)
        else:
            return None
        self._errands.append(errand)
        self.at_work = errand
        return errand

    def ended(self, errand: Errand) -> Refusal | Unready | None:
        """An errand came to its end: what is the matter with its archive, if anything is."""
        archive, result = errand.archive, errand.result
        self._errands.remove(errand)
        if archive is None:
            self._folders -= self._strange
            self._strange, self._bare = frozenset(), False
            return None
        if isinstance(result, Unpacked):
            self._fresh[self._identify(archive.path, archive.fingerprint)] = archive
            self._bench.log(logging.INFO, "an archive was unpacked: %d files", result.files)
            return None
        if isinstance(result, Refusal | Unready):
            return result
        return Refusal(arrival=archive, reason=Reason.CRASHED)

    def forget(self, path: str, *, given_back: bool = False) -> None:
        """A file was dealt with, unless it was given back."""
        if not given_back:
            self._owed.discard(path)

    def look(self, listing: Listing, now: float, held: Collection[str], in_hand: Callable[[], set[str]]) -> Seen:
        """Looks into the spool after the inbox was listed. Raises InboxFault where that cannot be done.

        ``held`` are paths that work of an earlier process holds, ``in_hand`` tells those of what is under way now.
        """
        self._find_archives(listing)
        before, (folders, found) = self._folders.union(self._fresh), self._list()
        self._folders = folders or frozenset()
        if self._bare is None:
            self._bare = folders is not None and not folders
        complete = not (listing.unseen or listing.cut_short or found.unseen or found.cut_short)
        self.files = {f"{SPOOL}/{path}": mark for path, mark in {**found.files, **found.odd}.items()}
        full = set(map(_owner, self.files))
        ready = {path: mark for path, mark in self.files.items() if _owner(path) in self._there and path not in held}
        settled = self.settle.update(ready, now, root=listing.root, unseen=() if complete else [SPOOL])
        self._fresh, self._strange = {}, frozenset()
        self._owed = {path for path in self._owed.union(self.files).difference(held) if _owner(path) in self._there}
        self._leaving &= self._there.keys()
        vanished = [self._there[one] for one in (before - self._folders - self._leaving) & self._there.keys()]
        empty: list[tuple[str, Arrival]] = []
        if complete:
            self._strange = self._folders - self._there.keys() - self._under_way()
            done = (self._folders & self._there.keys()) - full - self._leaving - self._under_way()
            empty = [(one, self._there[one]) for one in done - self._robbed(done, in_hand)]
        self._leaving.update(name for name, _ in empty)
        return Seen([self._arrival(*one) for one in settled], empty, vanished)

    def _robbed(self, done: Set[str], in_hand: Callable[[], set[str]]) -> set[str]:
        """Folders that are empty though not all that was in them was dealt with. Where that is not under way either,
        somebody took it away, and the archive is unpacked anew.
        """
        lost = {path for path in self._owed if _owner(path) in done}
        robbed = set(map(_owner, lost))
        if robbed:
            for name in robbed - set(map(_owner, lost & in_hand())):
                self._owed = {path for path in self._owed if _owner(path) != name}
                if self._there[name] not in self._queue:
                    self._queue.append(self._there[name])
        return robbed | {self._identify(one.path, one.fingerprint) for one in self._queue}

    def _find_archives(self, listing: Listing) -> None:
        archives = ((path, mark) for path, mark in listing.files.items() if is_archive(path[-8:]))
        self._there = {self._identify(path, mark): self._arrival(path, mark) for path, mark in archives}

    def _under_way(self) -> set[str]:
        archives = [errand.archive for errand in self._errands if errand.archive]
        names = {self._identify(one.path, one.fingerprint) for one in archives}
        return names | {name + UNFINISHED for name in names}

    def _arrival(self, path: str, mark: Fingerprint) -> Arrival:
        return Arrival(project=self._bench.project.name, path=path, fingerprint=mark)

    def _identify(self, path: str, mark: Fingerprint) -> str:
        """The ID of an archive: another file under the same path has another one."""
        return derive(self._bench.key.pseudonym_secret, "archive", f"{path}\0{tuple(mark)}")[:8].hex()

    def _list(self) -> tuple[frozenset[str] | None, Listing]:
        """The folders of the spool, and all that is in them; None where there is no spool."""
        root = self._inbox / SPOOL
        try:
            if not stat.S_ISDIR(os.lstat(root).st_mode):
                return None, _NOTHING  # a worker that wants to unpack says what is in the way
            names = frozenset(os.listdir(root))
        except FileNotFoundError:
            return None, _NOTHING
        except OSError as error:
            what = f"the folder {SPOOL} of the inbox cannot be listed ({errno.errorcode.get(error.errno or 0, 'EIO')})"
            raise InboxFault(what, "give the service the right to read it") from error
        return names, scan(root, leave=lambda name: False)


def _owner(path: str) -> str:
    return path.split("/", 2)[1]
