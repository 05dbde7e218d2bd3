"""What wakes the service's loop."""

from __future__ import annotations

import os
import select


class Bell:
    """Wakes the loop from any thread and from signal handlers: a counter in the kernel, nothing to lock."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        """Ends the sleep, or the next one."""
        os.eventfd_write(self._fd, 1)

    def sleep(self, seconds: float) -> None:
        """Sleeps until somebody rings, at most so long."""
        if select.select([self._fd], [], [], max(0.0, seconds))[0]:
            os.eventfd_read(self._fd)
