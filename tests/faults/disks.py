"""Small disks of a test's own, on loop devices: they fill up, turn read-only, and lose their power."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHUTDOWN = 0x8004587D  # ioctl of ext4, xfs and f2fs
_NO_LOG_FLUSH = 2  # what is not on the disk yet is gone, the journal in memory too
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])

_SIZE = 2 << 30  # sparse; so large that nobody takes it for nearly full


class Disk:
    """A file system in a file, mounted at ``path``."""

    def __init__(self, root: Path, kind: str, *, size: int | None = None, make: tuple[str, ...] = ()) -> None:
        self.path = root / f"{kind} disk"
        self._image = root / f"{kind}.img"
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(size or _SIZE)
        _run(f"mkfs.{kind}", "-q", *make, str(self._image))
        self.mount()

    def mount(self) -> None:
        """Mount it, which replays its journal."""
        _run("mount", "-o", "loop", str(self._image), str(self.path))

    def remount(self, option: str) -> None:
        """Mount it ``ro`` or ``rw`` where it is."""
        _run("mount", "-o", f"remount,{option}", str(self.path))

    def unmount(self) -> None:
        """Take it away. Nothing may be open on it."""
        _run("umount", str(self.path))

    def sync(self) -> None:
        """Make all that is on it durable."""
        _run("sync", "--file-system", str(self.path))

    def cut(self) -> None:
        """Cut its power: what is not durable now is lost, and whoever uses it gets EIO."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(fd)


@contextmanager
def disk(root: Path, kind: str, *, size: int | None = None, make: tuple[str, ...] = ()) -> Iterator[Disk]:
    """A disk, up to its end."""
    made = Disk(root, kind, size=size, make=make)
    try:
        yield made
    finally:
        if os.path.ismount(made.path):
            made.unmount()


def _run(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | {"PATH": _PATH})
    assert done.returncode == 0, f"{command[0]}: {done.stderr}"
