"""Results that workers on other machines make: in a room beside the results, each batch in a folder of its own.

A worker that is cut off is taken for lost, and may still write while another does its batch again. So nothing that it
touches can be released: what was made is moved to the results by this machine, and only the batch that answered.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from coatcheck.delivery.folder import ROOM, STAGING, results_folder
from coatcheck.folders import enter, way


def make_room(results: Path) -> Path:
    """The room beside a delivery's results; made where it is missing. Raises OSError for weather."""
    room = results.with_name(ROOM)
    with suppress(FileExistsError):
        os.mkdir(room, 0o700)
    return room


def take_in(staging: Path, batch: Sequence[tuple[str, Sequence[str]]]) -> list[bool]:
    """Moves what was made, each (folder of the room, SERIES/INSTANCE.dcm…), to the results; for the pool.

    Raises OSError for weather.
    """
    with way(staging.parent.parent, [STAGING, staging.name]) as own:
        for folder, names in batch:
            _take_in(own, folder, names)
    return [True for _ in batch]


def _take_in(own: int, folder: str, names: Sequence[str]) -> None:
    with ExitStack() as stack:
        room, results = _entered(stack, own, ROOM), _entered(stack, own, results_folder(Path()).name)
        stack.callback(shutil.rmtree, folder, ignore_errors=True, dir_fd=room)
        made = _entered(stack, room, folder)
        for series in {name.partition("/")[0] for name in names}:
            with suppress(FileExistsError):
                os.mkdir(series, dir_fd=results)
        for name in names:
            os.rename(name, name, src_dir_fd=made, dst_dir_fd=results)


def _entered(stack: ExitStack, parent: int, name: str) -> int:
    fd = enter(parent, name)
    stack.callback(os.close, fd)
    return fd
