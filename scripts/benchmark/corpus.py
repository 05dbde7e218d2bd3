"""The files of the measurements: the corpus, and many Studies of small files."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.corpus_headers import uid
from scripts.make_corpus import file_meta, new_instance, set_pixels, slice_of

ROOT = Path(__file__).resolve().parents[2]
SMALL_SIDE = 72  # pixels: with them a file has 20 kB
_STUDY, _NUMBER = 7777777, 8888888  # stand in the pattern where each file has numbers of its own


@contextmanager
def corpus(work: Path, kind: str, scale: float) -> Iterator[Path]:
    """One part of the corpus: ct, mr or mf."""
    make = [sys.executable, str(ROOT / "scripts/make_corpus.py"), str(work / "corpus")]
    subprocess.run([*make, "--only", kind, "--scale", str(scale)], check=True, stdout=subprocess.DEVNULL)
    try:
        yield work / "corpus" / kind
    finally:
        shutil.rmtree(work / "corpus")


def count(folder: Path) -> int:
    """The files below a folder."""
    return sum(len(names) for _, _, names in os.walk(folder))


def write_study(folder: Path, study: int, files: int, side: int = SMALL_SIDE) -> Path:
    """A Study of its own patient: CT images of ``side`` by ``side`` pixels."""
    folder.mkdir(parents=True)
    pattern = _pattern(side).replace(b"%07d" % _STUDY, b"%07d" % study)
    for number in range(files):
        (folder / f"IM{number:05d}.dcm").write_bytes(pattern.replace(b"%07d" % _NUMBER, b"%07d" % number))
    return folder


def _pattern(side: int) -> bytes:
    place = {"series": 0, "number": _NUMBER, "files": 2, "rows": side, "columns": side}
    ds = new_instance("ct", _STUDY, random.Random(1), **place)
    ds.PatientID, ds.PatientName = f"MRN-{_STUDY}", "Someone^Else"
    ds.InstanceNumber = _NUMBER
    set_pixels(ds, slice_of(side, side))
    ds.file_meta = file_meta(ds, "1.2.840.10008.1.2.1")
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    assert uid(30, _STUDY, 0, _NUMBER).encode() in out.getvalue()
    return out.getvalue()
