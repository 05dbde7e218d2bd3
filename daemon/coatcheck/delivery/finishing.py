"""What is made of a Study's results before they are made durable: names by the layout, DICOMDIR, NIfTI, zip, receipt.

It works in staging, on what passed the gate, and knows nothing but that: so the same results give the same bytes. All
of it is in the Study's folder when that is renamed; the receipt lies beside and goes out first.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

from coatcheck.deid.attributes import attributes_of
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import read_head
from coatcheck.delivery import folder, nifti
from coatcheck.delivery.dicomdir import write_dicomdir
from coatcheck.delivery.zipping import zip_folder
from coatcheck.layout import ORIGINAL, Layout
from coatcheck.model import Identity, Staged
from coatcheck.naming import Arranged, Result, arrange, reads
from coatcheck.paths import dropped
from coatcheck.source import Changed, windowed

_ARRANGED: Final = "arranged"
_FEW_DIGITS: Final = re.compile(r"(?<![0-9])[0-9]{1,5}(?![0-9])")
_APART: Final = re.compile(r"[_~-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finishing:
    """How a Study's results are finished. ``variables`` has subject, project and site too; UIDs are the new ones.

    ``receipt`` is what it says beside the names, and None where none is wanted; ``session`` names the NIfTI files.
    ``dropped`` are paths as people dropped them, of originals that lie elsewhere now.
    """

    layout: Layout
    variables: Mapping[str, str]
    study_uid: str
    identity: frozenset[Identity] = field(repr=False)
    kept: frozenset[str]  # kinds of identity that the profile keeps
    results: tuple[Staged, ...]
    session: str = ""
    receipt: Mapping[str, Any] | None = None
    checksums: bool = False
    dicomdir: bool = False
    nifti: bool = False
    zip: bool = False
    dropped: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What came of it: the name of the Study's folder, and what a person should hear of."""

    folder: str
    numbered: int = 0  # names that were taken
    replaced: int = 0  # names that were not fit
    unconverted: int = 0  # Series that gave no NIfTI


def finish(context: Finishing, batch: Sequence[Path]) -> list[Finished | None]:
    """Finishes a staged Study and makes it durable; for the pool. None where a result is missing.

    Raises OSError and CoatcheckError for weather: then all of it is to be made anew.
    """
    results = frozenset(f"{one.series_uid}/{one.sop_uid}.dcm" for one in context.results)
    return [folder.sealed(staging, results, partial(_finish, context)) for staging in batch]


def _finish(context: Finishing, own: Path) -> Finished:
    """Everything, in ``own``, which holds the results in the folder ``study``. Raises OSError, CoatcheckError."""
    try:
        return _made(context, own)
    except FileNotFoundError:
        raise OSError(errno.EIO, "a result vanished while it was worked on") from None
    except MemoryError:  # What was begun cannot be gone on with: it is weather, made anew with pauses, and told of.
        raise OSError(errno.ENOMEM, "this needs more memory than a worker has") from None


def _made(context: Finishing, own: Path) -> Finished:
    study = folder.results_folder(own)
    gate = Gate(context.identity, context.variables["subject"], context.kept)
    converted = nifti.convert(study, own, context, gate) if context.nifti else None
    arranged = _arranged(context, study, partial(_names_somebody, gate, strict=context.layout.name == ORIGINAL))
    _move(study, own / _ARRANGED, arranged.paths)
    if context.dicomdir:
        write_dicomdir(study, sorted(arranged.paths.values()))
    if converted is not None:
        os.rename(converted.folder, study / nifti.FOLDER)
    if context.receipt is not None:
        said = dict(context.receipt) | {"names": {"numbered": arranged.numbered, "replaced": arranged.replaced}}
        if converted is not None:
            said["nifti"] = {"series": converted.series, "not_converted": converted.failed}
        _write_receipt(own, said | ({"files": _files(study)} if context.checksums else {}))
    if context.zip:
        zip_folder(study, own / _ARRANGED, f"{context.study_uid}.zip")
        _replace(study, own / _ARRANGED)
    return Finished(
        folder=arranged.folder,
        numbered=arranged.numbered,
        replaced=arranged.replaced,
        unconverted=converted.failed if converted is not None else 0,
    )


def _arranged(context: Finishing, study: Path, names_somebody: Callable[[str], bool]) -> Arranged:
    from pydicom.uid import UID  # only what lies by its SOP Class needs the names

    tags = reads(context.layout, frozenset(context.variables))
    kinds = {one.sop_class_uid: UID(one.sop_class_uid).name.removesuffix(" Storage") for one in context.results}
    read = {} if context.layout.is_plain else {one.sop_uid: _attributes(study, one, tags) for one in context.results}
    results = []
    for one in context.results:
        path = context.dropped.get(one.arrival.path) or dropped(one.arrival.path)
        attributes = read.get(one.sop_uid, {})
        results.append(Result(one.sop_uid, one.series_uid, kinds[one.sop_class_uid], attributes, path))
    if context.layout.is_plain:
        paths = {one.sop_uid: f"{one.series_uid}/{one.sop_uid}.dcm" for one in context.results}
        return Arranged(folder=f"{context.variables['subject']}/{context.study_uid}", paths=paths)
    return arrange(context.layout, results, context.variables, context.study_uid, names_somebody)


def _attributes(study: Path, one: Staged, tags: frozenset[int]) -> Mapping[int, tuple[str, ...]]:
    """Values of a result, which is the only source of names but for the layout that says so."""
    fd = os.open(study / one.series_uid / f"{one.sop_uid}.dcm", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        window = windowed(fd)
        head = read_head(window)
        return attributes_of(window, head.start, head.encoding, tags)
    except Changed:
        raise OSError(errno.EIO, "a result cannot be read") from None
    finally:
        os.close(fd)


def _names_somebody(gate: Gate, part: str, *, strict: bool) -> bool:
    """Whether what identifies the Study is in a name. A few digits are a count, unless they were dropped as a name."""
    text = part if strict else _FEW_DIGITS.sub(" ", part)
    return not all(gate.names_nobody(one.encode(), "LO", ()) for one in (text, _APART.sub(" ", text)))


def _move(study: Path, place: Path, paths: Mapping[str, str]) -> None:
    """Puts each result where it belongs; what is left of the folders goes."""
    there = {path.stem: path for path in study.glob("*/*.dcm")}
    if all(there[uid] == study / path for uid, path in paths.items()):
        return
    place.mkdir()
    for uid, path in paths.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        os.rename(there[uid], place / path)
    _replace(study, place)


def _replace(study: Path, place: Path) -> None:
    shutil.rmtree(study)
    os.rename(place, study)


def _files(study: Path) -> list[dict[str, Any]]:
    """Every file of the Study with its size and its SHA-256."""
    found = []
    for path in sorted(path for path in study.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        found.append({"path": path.relative_to(study).as_posix(), "size": path.stat().st_size, "sha256": digest})
    return found


def _write_receipt(own: Path, said: Mapping[str, Any]) -> None:
    text = json.dumps(said, indent=1, sort_keys=True) + "\n"
    (own / folder.RECEIPT).write_text(text, encoding="ascii")
