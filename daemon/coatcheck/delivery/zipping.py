"""A folder as one zip file whose bytes depend on the files alone: stored, in the order of their names, timeless."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Final

_NO_TIME: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can tell
_MODE: Final = 0o100644 << 16
_PIECE: Final = 1 << 20
_LARGE: Final = 1 << 31


def zip_folder(folder: Path, place: Path, name: str) -> None:
    """Writes all files of ``folder`` into the zip ``name`` in the new folder ``place``. Raises OSError.

    Nothing is compressed: pixels hardly are, and what a compressor makes differs from version to version.
    """
    place.mkdir()
    with zipfile.ZipFile(place / name, "x", zipfile.ZIP_STORED) as out:
        for path in sorted((path for path in folder.rglob("*") if path.is_file()), key=str):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _NO_TIME)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, wherever it is written
            large = path.stat().st_size >= _LARGE
            with path.open("rb") as source, out.open(entry, "w", force_zip64=large) as target:
                shutil.copyfileobj(source, target, _PIECE)
