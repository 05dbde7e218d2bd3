"""Files of other people, opened so that nothing can be swapped underneath, and copies made inside the kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

from coatcheck.model import Fingerprint

_NOT_POSSIBLE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.ETXTBSY})
_SYNC_FILE_RANGE_WRITE, _SYNC_FILE_RANGE_WAIT = 2, 1 | 2 | 4
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)
_NONE, _WRITE = ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE)


def fingerprint(status: os.stat_result) -> Fingerprint:
    """What is compared over time, from the result of stat, lstat or fstat."""
    return Fingerprint(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@contextmanager
def open_folder(path: str | Path, *, beneath: int | None = None) -> Iterator[int]:
    """A descriptor of a folder. Below ``beneath``, no part of the path may be a link."""
    fd = os.open(path, _FOLDER) if beneath is None else enter_folder(path, beneath)
    try:
        yield fd
    finally:
        os.close(fd)


def enter_folder(path: str | Path, beneath: int) -> int:
    """A descriptor of a folder below another one; no part of the path may be a link. The caller closes it."""
    fd = beneath
    for part in Path(path).parts or (".",):
        try:
            deeper = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=fd)
        finally:
            if fd != beneath:
                os.close(fd)
        fd = deeper
    return fd


class Folders:
    """The folders below a root, opened when they are asked for; no part of their paths may be a link.

    The one that was used last stays open, for the next file is mostly in it too.
    """

    def __init__(self, root: Path) -> None:
        self._path = root
        self._root: int | None = None
        self._last: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        """Nothing is open yet."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes them."""
        self._leave()
        if self._root is not None:
            os.close(self._root)

    def holding(self, path: str) -> tuple[int, str]:
        """A descriptor of the folder that a file lies in, and the file's name there. Raises OSError."""
        folder, _, name = path.rpartition("/")
        if self._root is None:
            self._root = os.open(self._path, _FOLDER)
        if not folder:
            return self._root, name
        if self._last is None or self._last[0] != folder:
            self._leave()
            self._last = folder, enter_folder(folder, self._root)
        return self._last[1], name

    def _leave(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            os.close(last[1])


@contextmanager
def open_original(folder: int, name: str) -> Iterator[int]:
    """A descriptor of a regular file, as :func:`open_regular` gives it."""
    fd, _ = open_regular(folder, name)
    try:
        yield fd
    finally:
        os.close(fd)


def open_regular(folder: int, name: str) -> tuple[int, os.stat_result]:
    """A descriptor of a regular file to read, never through a link and never waiting for a FIFO's other end.

    The caller closes it. Its status comes along. Raises OSError with ELOOP where it is no regular file (any more).
    """
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return fd, status


def write_all(fd: int, *data: bytes | memoryview) -> None:
    """Writes all of it, one after the other, or raises OSError."""
    written = os.writev(fd, data)
    for one in data:
        view = memoryview(one)[written:]
        written = max(0, written - len(one))
        while view:
            view = view[os.write(fd, view) :]


def begin_writing(fd: int) -> None:
    """Lets the kernel begin to write a file to its disk now, so that it takes less time to make it durable later."""
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(fd, _NONE, _NONE, _WRITE)


def copy_span(source: int, begin: int, end: int, target: int) -> None:
    """Appends [begin, end) of one file to another inside the kernel; where it cannot, by sendfile (EXDEV and others).

    Raises OSError; EIO also where the source became shorter.
    """
    while begin < end:
        try:
            done = os.copy_file_range(source, target, end - begin, offset_src=begin)
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise
            done = os.sendfile(target, source, begin, min(end - begin, 1 << 30))
        if done == 0:
            raise OSError(errno.EIO, "the file became shorter while it was copied")
        begin += done


class Mount(NamedTuple):
    """The mount that a folder lies on: the kernel's name of its ``kind``, and its ``point`` as the kernel writes it."""

    kind: str
    point: str


def file_system(folder: Path) -> str:
    """The kernel's name of the file system that a folder lies on, or "" if the kernel does not tell."""
    return mount_of(folder).kind


def mount_of(folder: Path) -> Mount:
    """The mount that a folder lies on; both of its texts are "" if the kernel does not tell.

    The mount is found by its number, which the kernel gives for an open folder: paths may be links, hold blanks or be
    hidden below another mount. Raises OSError if the folder cannot be opened.
    """
    with open_folder(folder) as fd:
        try:
            details = Path(f"/proc/self/fdinfo/{fd}").read_bytes()
            mounts = Path("/proc/self/mountinfo").read_bytes()
        except OSError:
            return Mount("", "")
    numbers = [line.split()[1] for line in details.splitlines() if line.startswith(b"mnt_id:")]
    for line in mounts.splitlines():
        before, _, after = line.partition(b" - ")
        known = before.split()
        if known[:1] == numbers:
            return Mount(os.fsdecode(after.split(maxsplit=1)[0]), os.fsdecode(known[4]))
    return Mount("", "")


def sync_folder(path: str | Path) -> None:
    """Makes the names in a folder durable."""
    with open_folder(path) as fd:
        os.fsync(fd)


def make_durable(root: Path, *, one_file_system: bool) -> None:
    """Makes a whole tree durable: one syncfs where the kernel passes it on, else fsync of each file and folder.

    Raises OSError. What failed once is to be written anew: the kernel tells of lost pages once, and then forgets them.
    """
    if one_file_system and hasattr(_libc, "syncfs"):
        with open_folder(root) as fd:
            if _libc.syncfs(fd) != 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        _each_file(root, _written)
        return
    _each_file(root, os.fsync)
    for folder, _, _ in os.walk(root, topdown=False):
        sync_folder(folder)


def _each_file(root: Path, function: Callable[[int], object]) -> None:
    for folder, _, names in os.walk(root):
        with open_folder(folder) as parent:
            for name in names:
                with open_original(parent, name) as file:
                    function(file)


def _written(fd: int) -> None:
    """Raises OSError if pages of the file were lost on their way to the disk.

    syncfs tells of such a loss only to the first who asks on that file system; the file itself tells too.
    """
    if not hasattr(_libc, "sync_file_range"):
        return
    flags = ctypes.c_uint(_SYNC_FILE_RANGE_WAIT)
    if _libc.sync_file_range(fd, ctypes.c_int64(0), ctypes.c_int64(0), flags) != 0:
        code = ctypes.get_errno()
        if code not in _NOT_POSSIBLE:
            raise OSError(code, os.strerror(code))
