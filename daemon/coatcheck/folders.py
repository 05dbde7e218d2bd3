"""Folders in which other people may write, gone through by descriptors: no link in them is ever followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from coatcheck.errors import CoatcheckError
from coatcheck.files import open_folder

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64
_MOST_NAMES = 10_000
LONGEST_NAME = 255  # bytes


def enter(parent: int, name: str, *, make: bool = False, mode: int = 0o777) -> int:
    """A descriptor of the folder ``name`` in ``parent``. With ``make`` it is made where it is missing, durably.

    Raises NotADirectoryError where a link or a file has the name, and OSError for weather.
    """
    try:
        return _open(parent, name)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(name, mode, dir_fd=parent)
    os.fsync(parent)
    return _open(parent, name)


def _open(parent: int, name: str) -> int:
    try:
        return os.open(name, _FLAGS, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        raise


@contextmanager
def way(root: Path, parts: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """A descriptor of the folder that is reached by ``parts``, which are names that coatcheck gave itself.

    ``root`` stands in the configuration: it may be a link, and is never made. Raises FileNotFoundError where a folder
    is missing, CoatcheckError where something else has its name.
    """
    here = root

    def step(parent: int, part: str) -> int:
        nonlocal here
        here /= part
        try:
            return enter(parent, part, make=make)
        except NotADirectoryError:
            raise in_the_way(here) from None

    with open_folder(root) as base, follow(base, parts, step) as fd:
        yield fd


@contextmanager
def follow(root: int, names: Sequence[str], step: Callable[[int, str], int]) -> Iterator[int]:
    """A descriptor of the folder that is reached from ``root`` by one ``step`` for each name, which opens the next."""
    fd = os.dup(root)
    try:
        for name in names:
            deeper = step(fd, name)
            os.close(fd)
            fd = deeper
        yield fd
    finally:
        os.close(fd)


def numbered(name: str) -> Iterator[str]:
    """The name, then the name with a number: what to try in turn where another file or folder may have it."""
    yield name
    for number in range(2, _MOST_NAMES):
        yield behind(name, f"~{number}")


def behind(name: str, suffix: str, longest: int = LONGEST_NAME) -> str:
    """The name with something behind it, within the bytes that a file system allows."""
    return os.fsdecode(os.fsencode(name)[: longest - len(suffix)]) + suffix


def in_the_way(path: Path) -> CoatcheckError:
    """The fault that something else lies where coatcheck has its own. ``path`` holds no name that was dropped."""
    return CoatcheckError(
        f"{os.fsencode(path).decode(errors='replace')} is a link or something else that coatcheck did not make",
        "nothing was followed or changed: find out who put it there and move it away; the work goes on by itself",
    )


def has_name(folder: int, name: str) -> bool:
    """Whether anything has this name, be it a link that leads nowhere."""
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def has_folder(folder: int, name: str) -> bool:
    """Whether this is a folder, and no link to one."""
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


class Touched:
    """Folders whose names changed, to be made durable together: each once, and a few at a time."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, int], int] = {}

    def note(self, folder: int) -> None:
        """Remembers a folder by a descriptor of its own."""
        status = os.fstat(folder)
        identity = status.st_dev, status.st_ino
        if identity not in self._open:
            if len(self._open) >= _MOST_OPEN:
                self.sync()
            self._open[identity] = os.dup(folder)

    def sync(self) -> None:
        """Makes the names in all of them durable, and lets go of them. Raises OSError."""
        try:
            for fd in self._open.values():
                os.fsync(fd)
        finally:
            for fd in self._open.values():
                os.close(fd)
            self._open.clear()
