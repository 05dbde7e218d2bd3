"""One listing of an inbox: the only source of truth about which files are there.

Folders are opened relative to the inbox without following links, and each must still be the folder that its parent
listed. A file system that is mounted below the inbox is followed; its device is in the Fingerprint.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from coatcheck.errors import InboxFault
from coatcheck.files import fingerprint
from coatcheck.intake.names import is_left_alone
from coatcheck.model import Fingerprint


class FolderId(NamedTuple):
    """Which folder this is, whatever it is called."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """``entries`` caps the files and folders of one listing, so that a flooded inbox cannot use up the memory."""

    entries: int = 1_000_000


DEFAULT_LIMITS = Limits()
NOTHING_KNOWN: Final[Mapping[str, Fingerprint]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lay in an inbox. Paths are relative to it, with "/", bytes that are not UTF-8 as surrogate escapes.

    ``files`` are regular files; ``odd`` are links, FIFOs, sockets and devices, none of which was opened or followed.
    ``left_alone`` counts files and folders with a temporary name or of litter (a folder counts once). ``unseen``
    names folders and files that may exist but could not be looked at: nothing is known of them or of what is below.
    ``unreadable`` counts those that gave an error. ``cut_short`` tells that the limit of entries was reached.
    """

    root: FolderId
    files: Mapping[str, Fingerprint]
    odd: Mapping[str, Fingerprint]
    left_alone: int
    unreadable: int
    unseen: frozenset[str]
    cut_short: bool


def scan(
    root: Path,
    limits: Limits = DEFAULT_LIMITS,
    leave: Callable[[str], bool] = is_left_alone,
    known: Mapping[str, Fingerprint] = NOTHING_KNOWN,
) -> Listing:
    """List the inbox ``root`` and everything below it, without the names that it is to ``leave`` alone.

    A Fingerprint that is ``known`` of a path is taken over if it is equal: one object for it, not one for each listing.
    What vanishes meanwhile is not in the Listing. A folder or file that gives an error is ``unseen`` and spoils
    nothing else. Raises InboxFault where the inbox itself is absent, is no folder, cannot be read, or was replaced
    while it was listed: then nothing is known, and no file may be taken for deleted.
    """
    with _open_root(root) as root_fd:
        walk = _Walk(root_fd, limits.entries, leave, known)
        try:
            walk.everything()
            now_there = os.stat(root)
        except OSError as error:
            raise _fault(root, error) from error
        identity = _folder_id(os.fstat(root_fd))
    if _folder_id(now_there) != identity:
        raise InboxFault(f"inbox {root}: it was replaced while it was listed", "it is listed again shortly")
    return Listing(
        root=identity,
        files=walk.files,
        odd=walk.odd,
        left_alone=walk.left_alone,
        unreadable=walk.unreadable,
        unseen=frozenset(walk.unseen),
        cut_short=walk.cut_short,
    )


class _Walk:
    """The state of one listing. Iterative: a deep tree costs memory, never the stack."""

    def __init__(
        self, root_fd: int, limit: int, leave: Callable[[str], bool], known: Mapping[str, Fingerprint]
    ) -> None:
        self.files: dict[str, Fingerprint] = {}
        self.odd: dict[str, Fingerprint] = {}
        self.left_alone = 0
        self.unreadable = 0
        self.unseen: set[str] = set()
        self.cut_short = False
        self._root_fd = root_fd
        self._room = limit
        self._leave = leave
        self._known = known
        self._pending: list[tuple[str, FolderId]] = []

    def everything(self) -> None:
        """List the inbox, then each folder that was found. Raises OSError for the inbox itself only."""
        self._entries(self._root_fd, "")
        while self._pending and not self.cut_short:
            self._folder(*self._pending.pop())
        self.unseen.update(path for path, _ in self._pending)

    def _folder(self, path: str, identity: FolderId) -> None:
        try:
            with _open_folder(self._root_fd, path) as fd:
                if _folder_id(os.fstat(fd)) == identity:
                    self._entries(fd, path)
                else:
                    self.unseen.add(path)
        except (FileNotFoundError, NotADirectoryError):
            return  # removed, or replaced by a file: the next listing tells
        except OSError:
            self._no_access(path)

    def _entries(self, fd: int, folder: str) -> None:
        prefix = f"{folder}/" if folder else ""
        with os.scandir(fd) as entries:
            for entry in entries:
                if self._leave(entry.name):
                    self.left_alone += 1
                elif self._room > 0:
                    self._room -= 1
                    self._note(entry, prefix + entry.name)
                else:
                    self.cut_short = True
                    self.unseen.add(folder)
                    return

    def _note(self, entry: os.DirEntry[str], path: str) -> None:
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError:
            self._no_access(path)
            return
        if stat.S_ISREG(status.st_mode):
            mark, known = fingerprint(status), self._known.get(path)
            self.files[path] = known if known == mark else mark
        elif stat.S_ISDIR(status.st_mode):
            self._pending.append((path, _folder_id(status)))
        else:
            self.odd[path] = fingerprint(status)

    def _no_access(self, path: str) -> None:
        self.unreadable += 1
        self.unseen.add(path)


def prune_empty(root: Path, older_than_seconds: float, now: float) -> int:
    """Remove empty folders below ``root`` that nobody touched for ``older_than_seconds``; return how many went.

    ``now`` is the wall clock in seconds, as folders bear its time. The grace is for people, who make a folder and
    then fill it. Only rmdir is used, so a folder that is filled meanwhile stays. A folder with anything in it stays,
    be it litter; so do the inbox itself and folders that a listing leaves alone. A parent that becomes empty through
    this goes too, by the age it had before. Raises InboxFault as ``scan`` does.
    """
    with _open_root(root) as root_fd:
        try:
            folders = _folders(root_fd)
        except OSError as error:
            raise _fault(root, error) from error
        removed = 0
        for path, folder in reversed(folders.items()):
            if path and not folder.entries and folder.touched <= now - older_than_seconds:
                removed += _remove(root_fd, path, folders)
        return removed


@dataclass(slots=True, kw_only=True)
class _Folder:
    """A folder as it was met: ``entries`` counts what is in it, ``touched`` is its last change in wall seconds."""

    identity: FolderId
    touched: float
    entries: int = 0


def _folders(root_fd: int) -> dict[str, _Folder]:
    """List the folders of an inbox, each before those in it."""
    folders = {"": _Folder(identity=_folder_id(os.fstat(root_fd)), touched=0)}
    pending = [""]
    while pending:
        path = pending.pop()
        for name, status in _listed(root_fd, path, folders[path]):
            if stat.S_ISDIR(status.st_mode) and not is_left_alone(name):
                below = f"{path}/{name}" if path else name
                # A client may set any mtime; ctime is the server's own.
                touched = max(status.st_mtime, status.st_ctime)
                folders[below] = _Folder(identity=_folder_id(status), touched=touched)
                pending.append(below)
    return folders


def _listed(root_fd: int, path: str, folder: _Folder) -> Iterator[tuple[str, os.stat_result]]:
    """Yield names with their lstat, and count them. What cannot be looked at counts as content, so that it stays."""
    try:
        with _open_folder(root_fd, path or ".") as fd, os.scandir(fd) as entries:
            if _folder_id(os.fstat(fd)) != folder.identity:
                folder.entries += 1
                return
            for entry in entries:
                folder.entries += 1
                with suppress(OSError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    except OSError:
        if not path:
            raise
        folder.entries += 1


def _remove(root_fd: int, path: str, folders: Mapping[str, _Folder]) -> int:
    """Remove one folder through its own parent; 0 where that was not possible any more."""
    parent, _, name = path.rpartition("/")
    try:
        with _open_folder(root_fd, parent or ".") as fd:
            if _folder_id(os.fstat(fd)) != folders[parent].identity:
                return 0
            os.rmdir(name, dir_fd=fd)
    except OSError:
        return 0
    folders[parent].entries -= 1
    return 1


@contextmanager
def _open_root(root: Path) -> Iterator[int]:
    """Open the inbox. It may be a link itself: the configuration named it."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _fault(root, error) from error
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _open_folder(root_fd: int, path: str) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _folder_id(status: os.stat_result) -> FolderId:
    return FolderId(status.st_dev, status.st_ino)


def _fault(root: Path, error: OSError) -> InboxFault:
    """Name the inbox, which the configuration names too, and the system's own words; no path below it."""
    return InboxFault(
        f"inbox {os.fsencode(root).decode(errors='replace')}: {error.strerror or 'cannot be listed'}",
        "check that it exists, is mounted and may be read by the service; it is tried again",
    )
