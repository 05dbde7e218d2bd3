"""Whether somebody still has a file open for writing, be it that nothing was written for a long time.

A sender may give a file its final size at once and pause before the content comes; a file server holds the file open
for it. No quiet time is long enough for that, but the kernel knows, where every writer of the file goes through it.
"""

from __future__ import annotations

import errno
import fcntl
import signal


def is_being_written(fd: int) -> bool:
    """Tell whether any process has the file of ``fd``, opened for reading, open for writing or mapped so.

    The kernel grants a read lease on a file only while nobody writes it. It grants one to the owner of the file and to
    who may take leases on all files (CAP_LEASE): False for others, and where a file system has no leases. To be asked
    only where all writers are on this machine, as a network's file system refuses for reasons of its own. The lease is
    given back at once; the signal for one who opens the file in that instant is one that processes ignore.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
