"""The quarantine: where refused originals lie untouched, each kind with a text that says why and what to do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from coatcheck.folders import in_the_way, way
from coatcheck.reasons import EXPLANATIONS, Reason

NOTE = "REASON.txt"
_MOST_READ = 1 << 20  # bytes of a note; one that is longer has said enough


def folder(reason: Reason, ticket: str | None) -> str:
    """The folder relative to the project's quarantine: REASON/TICKET, or REASON/unassigned without a Study."""
    return f"{reason.value}/{ticket or 'unassigned'}"


def explain(root: Path, where: str, reason: Reason, detail: str) -> None:
    """Writes, or adds to, the note that lies beside the files of one folder; durable when it returns.

    Raises OSError for weather, CoatcheckError where something else lies in place of the folder or of the note.
    """
    explanation = EXPLANATIONS[reason]
    line = f"{detail}\n" if detail else ""
    with way(root, where.split("/"), make=True) as folder:
        fd = _open_note(folder, root / where / NOTE)
        with open(fd, "a", encoding="utf-8") as note:
            known = os.pread(fd, _MOST_READ, 0).decode("utf-8", "replace")
            if not known:
                head = f"{reason.value}\n\n{explanation.what}\nWhat to do: {explanation.do}\n"
                line = head + (f"\nWhere it was found:\n{line}" if line else "")
            if line not in known and len(known) < _MOST_READ:
                note.write(line)
                note.flush()
                os.fsync(fd)
                os.fsync(folder)


def _open_note(folder: int, path: Path) -> int:
    """The note to read and to add to, never through a link and never waiting for a FIFO's other end."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(NOTE, flags, 0o640, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise in_the_way(path) from None
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise in_the_way(path)
    return fd
