"""The outbox: a Study appears in it whole, by one rename, or not at all.

Results are staged below a dot-folder of the outbox itself, so that the rename stays within one file system.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from coatcheck.errors import CoatcheckError, InboxFault
from coatcheck.files import make_durable, sync_folder
from coatcheck.intake.folder import file_system
from coatcheck.originals import make_folders

STAGING = ".coatcheck"
# Where one syncfs makes everything durable. Others do not pass it on, or are unknown: there each file is synced.
_ONE_SYNC = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "overlay", "zfs", "bcachefs"})


def staging_folder(outbox: Path, ticket: str, delivery_id: int) -> Path:
    """Where the results of one delivery are made."""
    return outbox / STAGING / f"{ticket}-{delivery_id}"


def folder_name(outbox: Path, subject: str, study_uid: str, number: int) -> tuple[int, str]:
    """The delivery's number and its folder relative to the outbox, ``SUBJECT/STUDY`` or ``SUBJECT/STUDY.2`` and so on.

    A name that is taken, as after a ledger was lost, is passed over: nothing is ever written over.
    """
    while True:
        folder = f"{subject}/{study_uid}" + (f".{number}" if number > 1 else "")
        if not os.path.lexists(outbox / folder):
            return number, folder
        number += 1


def seal(results: frozenset[str], batch: Sequence[Path]) -> list[bool]:
    """Makes a staged Study hold exactly ``results``, each SERIES/INSTANCE.dcm, and durable; for the pool.

    What a dead worker, a refused Instance or one that was delivered before left in it goes: only what passed the gate
    and stands in the records may leave. False where a result is missing. Raises OSError.
    """
    return [_seal(staging, results) for staging in batch]


def _seal(staging: Path, results: frozenset[str]) -> bool:
    found = set()
    for folder, _, names in os.walk(staging, topdown=False):
        series = os.path.relpath(folder, staging)
        for name in names:
            if f"{series}/{name}" in results:
                found.add(f"{series}/{name}")
            else:
                os.unlink(os.path.join(folder, name))
        with suppress(OSError):
            os.rmdir(folder)  # only an empty one goes
    if found != results:
        return False
    try:
        one_file_system = file_system(staging) in _ONE_SYNC
    except InboxFault:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT)) from None
    make_durable(staging, one_file_system=one_file_system)
    sync_folder(staging.parent)
    return True


def release(outbox: Path, staging: Path, folder: str) -> bool:
    """Renames a staged Study into the outbox, durably. False where neither the one nor the other is there.

    Repeating it after a crash does no harm. Raises OSError for weather, CoatcheckError where the name was taken since.
    """
    target = outbox / folder
    if not staging.is_dir():
        if not target.is_dir():
            return False
        sync_folder(target.parent)
        return True
    make_folders(outbox, target.parent)
    if os.path.lexists(target):
        raise CoatcheckError(
            f"the folder of a new delivery exists already in the outbox {outbox}",
            "somebody made it since: move it away; the delivery is tried again",
        )
    os.rename(staging, target)
    sync_folder(target.parent)
    sync_folder(staging.parent)
    return True


def remove_staging(staging: Path) -> None:
    """Removes what was staged and will not be delivered."""
    shutil.rmtree(staging, ignore_errors=True)


def sweep(outbox: Path, keep: Iterable[Path]) -> None:
    """Removes what a crash left in staging, but for the deliveries that are staged whole."""
    kept = set(keep)
    try:
        left = list((outbox / STAGING).iterdir())
    except FileNotFoundError:
        return
    for folder in left:
        if folder not in kept:
            remove_staging(folder)
