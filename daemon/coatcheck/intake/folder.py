"""The doorbell: tells that something happened in an inbox, never what. The listing in ``scan`` is the truth.

Events are lost, doubled and wrong (overflow, watches used up, a client that dies looks like one that finished), so no
event's content is used. Only what can bring new content rings: created, moved in, closed after writing. Growth needs
no event, as a file that waits is looked at again when it is due; opening and reading must not ring, or each listing
would cause the next.

With ``polling`` nothing is watched at all, because the service's periodic listing is the polling. A PollingObserver
would list everything a second time, ends its thread on an OSError, takes a share that blinks for deleted and new, and
misses an overwrite that keeps size and mtime.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from watchdog.events import (
    DirCreatedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import (
    CallbackId,
    InotifyConstants,
    InotifyEvent,
    InotifyFD,
    Mask,
    WatchCallback,
    WatchDescriptor,
)

from coatcheck import files
from coatcheck.errors import InboxFault

Mode = Literal["events", "polling"]
Setting = Literal["auto", "events", "polling"]

# fmt: off
EVENT_FILE_SYSTEMS: Final = frozenset(
    {
        "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfsplus",
        "jfs", "msdos", "nilfs2", "ntfs", "ntfs3", "overlay", "ramfs", "reiserfs",
        "tmpfs", "ubifs", "udf", "vfat", "xfs", "zfs",
    }
)
# fmt: on
"""Where every change passes through this kernel, so that inotify sees it. All others are polled: on cifs, smb3, nfs,
fuse.*, 9p, afs, ceph, lustre, virtiofs and the like another machine or process writes, and nothing is seen here.
Polling an unknown kind costs a little; watching it might lose files."""

_RINGING: Final[list[type[FileSystemEvent]]] = [
    FileCreatedEvent,
    DirCreatedEvent,
    FileMovedEvent,
    DirMovedEvent,
    FileClosedEvent,
]

_LIMITS: Final = frozenset({errno.ENOSPC, errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def choose_mode(inbox: Path, setting: Setting) -> Mode:
    """Return how to watch ``inbox``: as set, or with ``auto`` by its file system. Raises InboxFault if it is absent."""
    if setting != "auto":
        return setting
    return "events" if file_system(inbox) in EVENT_FILE_SYSTEMS else "polling"


def file_system(inbox: Path) -> str:
    """Return the kernel's name of the file system that ``inbox`` lies on. Raises InboxFault if it cannot be opened."""
    try:
        return files.file_system(inbox)
    except OSError as error:
        raise _fault(inbox, error) from error


class Doorbell:
    """Watches the inboxes of several projects and calls ``ring(project)`` when there may be something new.

    ``ring`` is called from the watcher's threads, perhaps very often: it must be quick, safe there, and must not
    raise. Each project has a watcher of its own, so that a flood or a fault in one inbox leaves the others alone.
    All methods are for one thread.
    """

    def __init__(self, ring: Callable[[str], None]) -> None:
        self._ring = ring
        self._watchers: dict[str, _Watcher] = {}
        _keep_names_out_of_logs()

    def watch(self, project: str, inbox: Path, mode: Mode) -> None:
        """Watch ``inbox`` for ``project`` from now on, instead of what was watched for it before.

        What is there already does not ring: list the inbox after this call. Where the kernel has no watches left
        this is no error, but ``limited`` tells it. Raises InboxFault if the inbox is absent or cannot be read; then
        nothing is watched for the project.
        """
        self.unwatch(project)
        identity = _identity(inbox)
        watcher = _Watcher(inbox=inbox, mode=mode, identity=identity)
        if mode == "events":
            watcher.start(lambda: self._ring(project))
        self._watchers[project] = watcher

    def unwatch(self, project: str) -> None:
        """End the watching for ``project``. It may still ring once. A project that is not watched is no error."""
        watcher = self._watchers.pop(project, None)
        if watcher is not None:
            watcher.stop()

    def stop(self) -> None:
        """End all watching."""
        for project in list(self._watchers):
            self.unwatch(project)

    def healthy(self, project: str) -> bool:
        """Tell whether the watching still works; if not, call ``watch`` again and list the inbox.

        It does not work once the inbox was deleted, renamed, unmounted or mounted over, or a watcher's thread ended.
        A project that is not watched is not healthy. One that is polled is, while its inbox is the same folder.
        """
        watcher = self._watchers.get(project)
        return watcher is not None and watcher.works()

    def limited(self, project: str) -> bool:
        """Tell whether the kernel had too few inotify watches or instances for this inbox.

        Folders that are not watched do not ring: only the periodic listing sees what comes there. The mend is a
        higher ``fs.inotify.max_user_watches`` or ``max_user_instances``, and then ``watch`` again.
        """
        watcher = self._watchers.get(project)
        return watcher is not None and watcher.limited

    def overflows(self, project: str) -> int:
        """Count how often the kernel dropped events for this inbox since ``watch``. Each has rung."""
        watcher = self._watchers.get(project)
        return 0 if watcher is None or watcher.reader is None else watcher.reader.overflows


@dataclass(slots=True, kw_only=True)
class _Watcher:
    """How one inbox is watched. In the mode ``polling`` it has no threads."""

    inbox: Path
    mode: Mode
    identity: tuple[int, int]
    reader: _Reader | None = None
    observer: BaseObserver | None = None
    no_start: bool = False

    @property
    def limited(self) -> bool:
        return self.no_start or (self.reader is not None and self.reader.limited)

    def start(self, ring: Callable[[], None]) -> None:
        # A link is resolved first: watchdog watches the link itself and not where it leads.
        root = os.path.realpath(self.inbox)
        try:
            self.reader = _Reader(root, ring)
            self.reader.start()
            self.observer = BaseObserver(InotifyEmitter, inotify_fd=self.reader)
            self.observer.schedule(_Ringer(ring), root, recursive=True, event_filter=list(_RINGING))
            self.observer.start()
        except OSError as error:
            self.stop()
            if error.errno not in _LIMITS:
                raise _fault(self.inbox, error) from error
            self.no_start = True

    def stop(self) -> None:
        if self.observer is not None:
            with contextlib.suppress(OSError):
                self.observer.stop()
            if self.observer.is_alive():
                self.observer.join()
        if self.reader is not None:
            self.reader.stop()
            if self.reader.is_alive():
                self.reader.join()
        self.observer = self.reader = None

    def works(self) -> bool:
        try:
            if _identity(self.inbox) != self.identity:
                return False
        except InboxFault:
            return False
        if self.observer is None or self.reader is None:
            return True
        emitters = self.observer.emitters
        threads_live = self.reader.is_alive() and self.observer.is_alive() and all(one.is_alive() for one in emitters)
        return threads_live and bool(emitters) and not self.reader.lost


class _Reader(InotifyFD):
    """Reads the kernel's events, and notices what watchdog keeps to itself: lost events and missing watches."""

    def __init__(self, root: str, ring: Callable[[], None]) -> None:
        super().__init__()
        self._root = os.fsencode(root)
        self._ring_out = ring
        self.overflows = 0
        self.limited = False
        self.lost = False

    def add_callback(self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId) -> WatchDescriptor:
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            # Below the inbox watchdog passes over this in silence; for the inbox itself it does after an overflow.
            self.lost = self.lost or path == self._root
            self.limited = self.limited or error.errno in _LIMITS
            raise

    def handle_event(self, event: InotifyEvent) -> None:
        super().handle_event(event)
        unmounted = bool(event.mask & InotifyConstants.IN_UNMOUNT)
        if event.is_queue_overflow:
            self.overflows += 1
        self.lost = self.lost or unmounted
        if event.is_queue_overflow or unmounted:
            self._ring_out()

    def run(self) -> None:
        """Read until stopped. An error ends the watching and rings; its text is dropped, as it may hold file names."""
        try:
            super().run()
        except Exception:
            self.lost = True
            self._ring_out()


class _Ringer(FileSystemEventHandler):
    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._ring()


def _keep_names_out_of_logs() -> None:
    """Silence watchdog for this process: its debug records and a frequent warning hold the names that people dropped.

    The warning ("Callback with id ... already exists") means only that a new folder was met twice. What watchdog logs
    as errors is noise of stopping, or is noticed by _Reader.
    """
    logging.getLogger("watchdog").setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", message="Callback with id", category=RuntimeWarning)


def _identity(inbox: Path) -> tuple[int, int]:
    fd = _open_folder(inbox)
    try:
        status = os.fstat(fd)
    finally:
        os.close(fd)
    return status.st_dev, status.st_ino


def _open_folder(folder: Path) -> int:
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _fault(folder, error) from error


def _fault(inbox: Path, error: OSError) -> InboxFault:
    return InboxFault(
        f"inbox {os.fsencode(inbox).decode(errors='replace')}: {error.strerror or 'cannot be watched'}",
        "check that it exists, is mounted and may be read by the service; it is tried again",
    )
