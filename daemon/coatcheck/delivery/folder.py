"""The outbox: a Study appears in it whole, by one rename, or not at all.

Results are staged below a dot-folder of the outbox itself, so that the rename stays within one file system: as
``.coatcheck/TICKET-ID/study``. That folder is renamed, and what it lay in stays, empty, until the ledger says that the
Study is out: so it can be told from one that was never renamed, also when somebody has collected it meanwhile. Nobody
but the service may look into the dot-folder: what lies in it was not searched yet. Those who collect may write in the
outbox, so every step in it goes by descriptors, and no link is followed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from coatcheck.errors import CoatcheckError
from coatcheck.files import file_system, make_durable, open_folder
from coatcheck.folders import enter, has_folder, has_name, in_the_way, way

STAGING = ".coatcheck"
RECEIPTS = ".receipts"
RECEIPT: Final = "receipt.json"  # in staging
_RESULTS: Final = "study"
ROOM: Final = "made"  # beside it: what other machines make, until it is taken in
_PRIVATE: Final = 0o700
_STAGED = re.compile(r"([0-9A-HJKMNP-TV-Z]{10})-([0-9]{1,18})")  # TICKET-ID, as staging_folder names it
# Where one syncfs makes everything durable. Others do not pass it on, or are unknown: there each file is synced.
ONE_SYNC: Final = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "overlay", "zfs", "bcachefs"})

T = TypeVar("T")


def free_bytes(outbox: Path) -> int:
    """The room that its disk has for us; 0 where that cannot be told now."""
    try:
        disk = os.statvfs(outbox)
    except OSError:
        return 0
    return disk.f_bavail * disk.f_frsize


def staging_folder(outbox: Path, ticket: str, delivery_id: int) -> Path:
    """What one delivery has in staging. Its results are made in :func:`results_folder`."""
    return outbox / STAGING / f"{ticket}-{delivery_id}"


def results_folder(staging: Path) -> Path:
    """The folder that is renamed into the outbox."""
    return staging / _RESULTS


def make_staging(staging: Path) -> None:
    """Makes the folders for one delivery's results, but never the outbox itself, which may not be mounted.

    Raises OSError for weather, CoatcheckError where something else lies in their place.
    """
    with _staged(staging, make=True) as all_staged, _own(all_staged, staging, make=True) as own:
        os.close(_entered(own, results_folder(staging), make=True))


@contextmanager
def _staged(staging: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of the dot-folder in which a delivery is staged. Raises FileNotFoundError where it is missing."""
    with open_folder(staging.parent.parent) as outbox:
        try:
            fd = enter(outbox, STAGING, make=make, mode=_PRIVATE)
        except NotADirectoryError:
            raise in_the_way(staging.parent) from None
        try:
            _keep_private(fd, staging.parent)
            yield fd
        finally:
            os.close(fd)


def _keep_private(fd: int, path: Path) -> None:
    """Results become readable to those who collect when they are released, and not before."""
    status = os.fstat(fd)
    if status.st_mode & 0o077 == 0:
        return
    try:
        os.fchmod(fd, _PRIVATE)
    except PermissionError:
        if status.st_uid != os.geteuid():  # else a file system that knows no rights
            raise in_the_way(path) from None


@contextmanager
def _own(all_staged: int, staging: Path, *, make: bool = False) -> Iterator[int]:
    """A descriptor of what one delivery has in staging. Raises FileNotFoundError where it is missing."""
    fd = _entered(all_staged, staging, make=make)
    try:
        yield fd
    finally:
        os.close(fd)


def _entered(parent: int, path: Path, *, make: bool = False) -> int:
    if make:  # It is made durable with what is put into it.
        with suppress(FileExistsError):
            os.mkdir(path.name, dir_fd=parent)
    try:
        return enter(parent, path.name)
    except NotADirectoryError:
        raise in_the_way(path) from None


def folder_name(outbox: Path, wanted: str, number: int, is_taken: Callable[[str], bool]) -> tuple[int, str]:
    """The delivery's number and its folder relative to the outbox: as ``wanted``, or ``WANTED.2`` and so on.

    A name that is taken is passed over, be it by another Study, or after a ledger was lost: nothing is ever written
    over. ``is_taken`` tells whether a delivery has or had a folder; below such a one there is never another.
    """
    *above, last = wanted.split("/")
    for place in range(len(above)):
        while is_taken("/".join(above[: place + 1])):
            above[place] += "_"
    names = _names_below(outbox, above)
    while True:
        name = last + (f".{number}" if number > 1 else "")
        path = "/".join([*above, name])
        if name.lower() not in names and not is_taken(path):
            return number, path
        number += 1


def _names_below(outbox: Path, above: Sequence[str]) -> frozenset[str]:
    try:
        with way(outbox, above) as folder:
            return frozenset(name.lower() for name in os.listdir(folder))
    except FileNotFoundError:
        return frozenset()


def seal(results: frozenset[str], batch: Sequence[Path]) -> list[bool]:
    """Makes a staged Study hold exactly ``results``, each SERIES/INSTANCE.dcm, and durable; for the pool.

    What a dead worker, a refused Instance or one that was delivered before left in it goes: only what passed the gate
    and stands in the records may leave. False where a result is missing. Raises OSError.
    """
    return [sealed(staging, results, lambda own: True) or False for staging in batch]


def sealed(staging: Path, results: frozenset[str], make: Callable[[Path], T]) -> T | None:
    """As :func:`seal`, for one Study; between the two, ``make`` makes of it what is to be delivered.

    It is handed the delivery's own folder in staging, and what it gives is given back; None where a result is missing.
    """
    try:
        with _staged(staging) as all_staged, _own(all_staged, staging) as own:
            if _left_alone(own, results_folder(staging), results) != results:
                return None
            _nothing_else(own)  # Where the room is gone nobody can begin anything in it.
            made = make(Path(f"/proc/self/fd/{own}"))
            make_durable(staging, one_file_system=file_system(staging) in ONE_SYNC)
            os.fsync(all_staged)
            return made
    except FileNotFoundError:
        return None


def _nothing_else(own: int) -> None:
    """Removes what an attempt left that came to no end."""
    for name in os.listdir(own):
        if name != _RESULTS:
            shutil.rmtree(name, ignore_errors=True, dir_fd=own)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=own)


def _left_alone(own: int, folder: Path, results: frozenset[str]) -> set[str]:
    """Removes all but the results, and gives those that were found."""
    found = set()
    fd = _entered(own, folder)
    try:
        for place, below, names, here in os.fwalk(".", topdown=False, dir_fd=fd):
            series = os.path.normpath(place)
            for name in names:
                if f"{series}/{name}" in results:
                    found.add(f"{series}/{name}")
                else:
                    os.unlink(name, dir_fd=here)
            for name in below:
                with suppress(OSError):
                    _remove_folder(name, here)
    finally:
        os.close(fd)
    return found


def _remove_folder(name: str, parent: int) -> None:
    """Removes a folder that is empty, or the link that stands for one."""
    try:
        os.rmdir(name, dir_fd=parent)
    except NotADirectoryError:
        os.unlink(name, dir_fd=parent)


def release(outbox: Path, staging: Path, folder: str) -> bool:
    """Renames a staged Study into the outbox, durably, and its receipt before it.

    False where it was never renamed and is not in staging either.

    Repeating it after a crash does no harm, also where the Study was collected since. Raises OSError for weather,
    CoatcheckError where the name was taken since, or something else lies in place of one of the folders on the way.
    """
    *above, name = folder.split("/")
    os.stat(outbox)  # One that is not there at all is weather.
    with _staged(staging, make=True) as all_staged:
        try:
            with _own(all_staged, staging) as own:
                if has_folder(own, _RESULTS):
                    _give_receipt(own, outbox, above, name)
                    _rename(own, outbox, above, name)
                    return True
                renamed = not os.listdir(own)
                os.fsync(own)
        except FileNotFoundError:
            renamed = False
    return _is_there(outbox, above, name) or renamed


def _give_receipt(own: int, outbox: Path, above: Sequence[str], name: str) -> None:
    """Puts the receipt, if there is one, where no importer looks: it lies there before its Study does."""
    if not has_name(own, RECEIPT):
        return
    with way(outbox, [RECEIPTS, *above], make=True) as parent:
        os.rename(RECEIPT, f"{name}.json", src_dir_fd=own, dst_dir_fd=parent)
        os.fsync(parent)
    os.fsync(own)


def _rename(own: int, outbox: Path, above: Sequence[str], name: str) -> None:
    with way(outbox, above, make=True) as parent:
        if has_name(parent, name):
            raise CoatcheckError(
                f"the folder of a new delivery exists already in the outbox {outbox}",
                "somebody made it since: move it away; the delivery is tried again",
            )
        os.rename(_RESULTS, name, src_dir_fd=own, dst_dir_fd=parent)
        os.fsync(parent)
    os.fsync(own)


def _is_there(outbox: Path, above: Sequence[str], name: str) -> bool:
    try:
        with way(outbox, above) as parent:
            os.fsync(parent)
            return has_folder(parent, name)
    except FileNotFoundError:
        return False


def forget(staging: Path) -> None:
    """Removes what is left of a delivery in staging when the ledger says that it is out: an empty folder."""
    with suppress(OSError, CoatcheckError), _staged(staging) as all_staged:
        os.rmdir(staging.name, dir_fd=all_staged)


def remove_staging(staging: Path) -> None:
    """Removes what was staged and will not be delivered."""
    with suppress(OSError, CoatcheckError), _staged(staging) as all_staged:
        shutil.rmtree(staging.name, ignore_errors=True, dir_fd=all_staged)


def sweep(outbox: Path, is_left: Callable[[str, int], bool], is_out: Callable[[str, int], bool]) -> None:
    """Removes what a crash left in staging, by ticket and delivery: what will not come out, and what is out already.

    Anything else that lies there is not ours, and stays. Raises CoatcheckError where a link is in the place of staging.
    """
    try:
        with _staged(outbox / STAGING / "any") as all_staged:
            for name in os.listdir(all_staged):
                known = _STAGED.fullmatch(name)
                if known and is_left(known[1], int(known[2])):
                    shutil.rmtree(name, ignore_errors=True, dir_fd=all_staged)
                elif known and is_out(known[1], int(known[2])):
                    with suppress(OSError):
                        os.rmdir(name, dir_fd=all_staged)
    except FileNotFoundError:
        return
