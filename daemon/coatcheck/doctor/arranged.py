"""What lies in a delivery's folder whose files are not named by their UIDs: each is known again by what it holds."""

from __future__ import annotations

import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from coatcheck.deid.elements import EXPLICIT_LITTLE, Ends, Window, elements
from coatcheck.deid.part10 import text_of
from coatcheck.delivery.dicomdir import DICOMDIR
from coatcheck.delivery.nifti import FOLDER as NIFTI
from coatcheck.folders import way
from coatcheck.ledger import DeliveryRow

_HEAD: Final = 4096  # bytes that hold the File Meta Information of every result
_SOP_INSTANCE: Final = 0x00020003


class _File(NamedTuple):
    """A file, its size, -1 for what is no regular file, and its first bytes."""

    path: str
    size: int
    head: bytes


def instances_in(outbox: Path, row: DeliveryRow) -> dict[str, int]:
    """The size of each file of a delivery: by SOP Instance UID, or by path for what is no result or there twice.

    What was made beside the results counts as theirs and is left out. Raises FileNotFoundError where nothing is there
    any more, CoatcheckError where a link or something else is in the folder's place.
    """
    assert row.folder is not None
    words = row.layout.split()
    found: dict[str, int] = {}
    with way(outbox, row.folder.split("/")) as study:
        for file in _zipped(study) if "zip" in words else _files(study):
            beside = file.path == DICOMDIR if "dicomdir" in words else False
            if beside or ("nifti" in words and file.path.startswith(f"{NIFTI}/")):
                continue
            uid = _sop_uid(file.head)
            found[uid if uid and uid not in found else file.path] = file.size
    return found


def _files(study: int) -> Iterator[_File]:
    for place, below, names, here in os.fwalk(".", dir_fd=study):
        for name in [*names, *(one for one in below if os.path.islink(f"/proc/self/fd/{here}/{one}"))]:
            try:
                status = os.stat(name, dir_fd=here, follow_symlinks=False)
                regular = stat.S_ISREG(status.st_mode)
                head = _head(name, here) if regular else b""
            except FileNotFoundError:  # It is collected in this very moment.
                continue
            yield _File(os.path.normpath(f"{place}/{name}"), status.st_size if regular else -1, head)


def _head(name: str, folder: int) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.pread(fd, _HEAD, 0)
    finally:
        os.close(fd)


def _zipped(study: int) -> Iterator[_File]:
    """What the zip holds, and what lies beside it. One that cannot be read holds nothing."""
    for file in _files(study):
        if not file.path.endswith(".zip") or file.size < 0:
            yield file
            continue
        fd = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=study)
        with os.fdopen(fd, "rb") as opened:
            yield from _entries(opened, file)


def _entries(opened: IO[bytes], file: _File) -> Iterator[_File]:
    try:
        with zipfile.ZipFile(opened) as archive:
            for entry in archive.infolist():
                with archive.open(entry) as member:
                    yield _File(entry.filename, entry.file_size, member.read(_HEAD))
    except (zipfile.BadZipFile, EOFError):
        yield file


def _sop_uid(head: bytes) -> str:
    """The SOP Instance UID in a file's File Meta Information; "" where there is none."""
    if head[128:132] != b"DICM":
        return ""
    ends: Ends = {}
    window = Window(lambda offset, length: head[offset : offset + length], len(head))
    try:
        for one in elements(window, 132, len(head), EXPLICIT_LITTLE, ends):
            if one.tag >= _SOP_INSTANCE:
                return text_of(head[one.value : one.value_end]) if one.tag == _SOP_INSTANCE else ""
    except Exception:  # whatever somebody put there is no result
        return ""
    return ""
