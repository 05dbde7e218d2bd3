"""What workers do with archives: unpack one into the spool of its inbox, whole or not at all, and sweep what is left.

The spool lies in the inbox, so that what was unpacked goes its way like any other file of the inbox. Each archive has a
folder of its own there, SPOOL/ID, which gets its name when all of it is durable.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from coatcheck.containers import Member, bad, damage, members
from coatcheck.files import make_durable, open_folder, write_all
from coatcheck.folders import enter, follow, has_folder, in_the_way, numbered
from coatcheck.limits import SECONDS_PER_FILE, time_limit
from coatcheck.model import Arrival, Refusal, Unready
from coatcheck.paths import SPOOL
from coatcheck.source import original
from coatcheck.worker import judged

UNFINISHED: Final = ".tmp"  # behind the ID of an archive that is being unpacked
_CHUNK: Final = 1 << 20
_BYTES_PER_SECOND: Final = 4 << 20  # of an archive, for which its time grows
_LOOK: Final = 64 << 20  # bytes between two looks at the disk's room


class Unpacked(NamedTuple):
    """An archive lies in the spool, whole and durable."""

    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """What one archive may become, and what it must leave of the disk. A small archive may grow by more."""

    files: int = 200_000
    size: int = 64 << 30
    ratio: int = 200
    small: int = 1 << 30  # bytes for which no ratio counts
    spare: int = 1 << 30  # bytes that stay free, or one part in so many of a small file system
    part: int = 20


CAPS: Final = Caps()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacking:
    """The context of :func:`unpack`."""

    inbox: Path
    device_here: int | None = None
    caps: Caps = Caps()
    seconds: float = SECONDS_PER_FILE  # of processor time, for a small archive


def unpack(context: Unpacking, batch: Sequence[tuple[str, Arrival]]) -> list[Unpacked | Refusal | Unready]:
    """Unpacks archives, each below SPOOL/ID/PATH OF THE ARCHIVE. Raises OSError for weather, as where room is short."""
    return [_unpacked(context, name, arrival) for name, arrival in batch]


def _unpacked(context: Unpacking, name: str, arrival: Arrival) -> Unpacked | Refusal | Unready:
    with open_spool(context.inbox) as spool:
        if has_folder(spool, name):
            if _holds_files(spool, name):
                return Unpacked(0)  # before a crash
            _remove(spool, name)  # Somebody emptied it.
        half = name + UNFINISHED
        _remove(spool, half)
        try:
            os.mkdir(half, 0o700, dir_fd=spool)
            seconds = context.seconds + arrival.fingerprint.size / _BYTES_PER_SECOND
            with time_limit(seconds) as limit:
                result = judged(arrival, partial(_extracted, context, spool, half, arrival), limit)
            if isinstance(result, Unpacked):
                make_durable(Path(f"/proc/self/fd/{spool}", half), one_file_system=context.device_here is not None)
                os.rename(half, name, src_dir_fd=spool, dst_dir_fd=spool)
                os.fsync(spool)
            return result
        finally:
            with suppress(OSError):
                _remove(spool, half)


@contextmanager
def open_spool(inbox: Path) -> Iterator[int]:
    """A descriptor of the spool, made if need be. Nobody else may look into it."""
    with open_folder(inbox) as root:
        try:
            spool = enter(root, SPOOL, make=True, mode=0o700)
        except NotADirectoryError:
            raise in_the_way(inbox / SPOOL) from None
    try:
        yield spool
    finally:
        os.close(spool)


def sweep(inbox: Path, batch: Sequence[Sequence[str]]) -> list[bool]:
    """Removes folders of the spool, and the spool where nothing is left in it."""
    with open_spool(inbox) as spool:
        for names in batch:
            for name in names:
                _remove(spool, name)
    with open_folder(inbox) as root, suppress(OSError):
        os.rmdir(SPOOL, dir_fd=root)
    return [True] * len(batch)


def _remove(spool: int, name: str) -> None:
    with suppress(FileNotFoundError):
        try:
            shutil.rmtree(name, dir_fd=spool)
        except NotADirectoryError:
            os.unlink(name, dir_fd=spool)


def _holds_files(spool: int, name: str) -> bool:
    return any(names for _, _, names, _ in os.fwalk(name, dir_fd=spool))


def _extracted(context: Unpacking, spool: int, folder: str, arrival: Arrival) -> Unpacked:
    budget = _Budget(context.caps, arrival.fingerprint.size, spool)
    with open_folder(folder, beneath=spool) as root, original(context.inbox, arrival, context.device_here) as fd:
        for member in members(fd):
            budget.file()
            with follow(root, (*arrival.path.split("/"), *member.names[:-1]), _enter) as parent:
                _write(parent, member, budget)
    return Unpacked(budget.files)


class _Budget:
    """What an archive may still cost. Raises Refused where it is used up, OSError where the disk's room is."""

    def __init__(self, caps: Caps, packed: int, spool: int) -> None:
        self._caps = caps
        self._most = min(caps.size, max(caps.small, caps.ratio * packed))
        self._spool = spool
        self._unchecked = _LOOK  # so that room is looked for before the first byte
        self.files = 0
        self.size = 0

    def file(self) -> None:
        self.files += 1
        if self.files > self._caps.files:
            raise bad("more files than the limit")

    def bytes(self, number: int) -> None:
        self.size += number
        self._unchecked += number
        if self.size > self._most:
            raise bad("data larger than the limit")
        if self._unchecked >= _LOOK:
            self._unchecked = 0
            room = os.fstatvfs(self._spool)
            spare = min(self._caps.spare, room.f_blocks * room.f_frsize // self._caps.part)
            if room.f_bavail * room.f_frsize < spare:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _enter(parent: int, name: str) -> int:
    """The folder for a file, made if need be. A name that a file has already gets a number."""
    for free in numbered(name):
        with suppress(FileExistsError):
            os.mkdir(free, 0o700, dir_fd=parent)
        with suppress(NotADirectoryError):
            return enter(parent, free)
    raise bad("name invalid")


def _write(parent: int, member: Member, budget: _Budget) -> None:
    out = _new(parent, member.names[-1])
    try:
        with damage():
            content = member.open()
        with content:
            while True:
                with damage():
                    data = content.read(_CHUNK)
                if not data:
                    return
                budget.bytes(len(data))
                write_all(out, data)
    finally:
        os.close(out)


def _new(parent: int, name: str) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for free in numbered(name):  # An archive may have one name twice, or a file called like a folder.
        with suppress(FileExistsError):
            return os.open(free, flags, 0o600, dir_fd=parent)
    raise bad("name invalid")
