"""Whether the outbox is there, and is the one that it was."""

from __future__ import annotations

import os
from pathlib import Path

from coatcheck.delivery.folder import STAGING
from coatcheck.errors import CoatcheckError


class Presence:
    """Whether the outbox is the one that the work began with, and not what lies below the mount point of its share.

    A share that was mounted anew may have another device number; it is known again by two inodes.
    """

    def __init__(self, outbox: Path) -> None:
        self._outbox = outbox
        self._device: int | None = None
        self._inodes = (0, 0)

    def check(self) -> None:
        """Raises OSError where there is no outbox, CoatcheckError where it is another one."""
        status = os.stat(self._outbox)
        if status.st_dev == self._device and self._inodes[1]:
            return
        inodes = status.st_ino, self._staging()
        if self._device not in (None, status.st_dev) and (not inodes[1] or inodes != self._inodes):
            raise CoatcheckError(
                f"the outbox {self._outbox} is another folder than it was",
                "mount the share again that was there before; if this one is right, restart the service",
            )
        self._device, self._inodes = status.st_dev, inodes

    def _staging(self) -> int:
        """The inode of the dot-folder, 0 before the first delivery made it."""
        try:
            return os.stat(self._outbox / STAGING, follow_symlinks=False).st_ino
        except FileNotFoundError:
            return 0
