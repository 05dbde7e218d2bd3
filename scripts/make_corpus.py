"""A synthetic corpus for measurements of speed: ``scripts/make_corpus.py OUT [--scale 1.0] [--only ct,mr,mf,comp]``.

OUT/ct: 2,000 CT files of 535 kB, one Study in 4 Series, Explicit VR, about 250 elements with the nested ones, private
blocks. OUT/mr: 2,000 MR files of 142 kB, every second one Implicit VR. OUT/mf: one Enhanced MR of 200 MB with 500
frames and as many functional groups. OUT/comp: RLE, JPEG-LS and JPEG 2000 files. The scale holds for numbers of files,
and for the size of the multi-frame file. The same call writes the same bytes. No real patient is in it.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.corpus_headers import (
    ct_parameters,
    image_header,
    item,
    mr_parameters,
    patient_and_study,
    private_blocks,
    uid,
)

FILES, SERIES, FRAMES, MEGABYTES, COMPRESSED = 2000, 4, 500, 200, 20
SOP_CLASSES = {
    "ct": "1.2.840.10008.5.1.4.1.1.2",
    "mr": "1.2.840.10008.5.1.4.1.1.4",
    "mf": "1.2.840.10008.5.1.4.1.1.4.1",
}
COMPRESSIONS = {"rle": RLELossless, "jls": JPEGLSLossless, "j2k": JPEG2000Lossless}
Pixels = NDArray[np.uint16]


def file_meta(ds: Dataset, syntax: str) -> FileMetaDataset:
    """The File Meta Information of an Instance."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID, meta.ImplementationClassUID = UID(syntax), UID(uid(1))
    meta.ImplementationVersionName, meta.SourceApplicationEntityTitle = "SYNTH_1", "CTAWP71234"
    return meta


def save(ds: Dataset, path: Path, syntax: str) -> None:
    """Write an Instance that is not compressed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.file_meta = file_meta(ds, syntax)
    ds.save_as(path, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)


def set_pixels(ds: Dataset, pixels: Pixels) -> None:
    """Native 16-bit pixel data."""
    ds.add_new(0x7FE00010, "OW", pixels.tobytes())


def slice_of(rows: int, columns: int) -> Pixels:
    """A smooth picture with some noise, so that it compresses like one."""
    x, y = np.linspace(0, 6, columns)[None, :], np.linspace(0, 6, rows)[:, None]
    noise = np.random.default_rng(1).normal(0, 20, (rows, columns))
    picture: Pixels = (1000 + 800 * np.sin(x) * np.cos(y) + noise).astype("<u2")
    return picture


def new_instance(kind: str, study: int, rng: random.Random, **place: Any) -> Dataset:  # noqa: ANN401 - passed on
    """One Instance without pixels."""
    ds = Dataset()
    ds.SOPClassUID = SOP_CLASSES[kind]
    patient_and_study(ds, study)
    if kind == "ct":
        ct_parameters(ds)
    else:
        mr_parameters(ds)
    image_header(ds, study, modality="CT" if kind == "ct" else "MR", **place)
    private_blocks(ds, place["number"], rng)
    return ds


def write_series(folder: Path, kind: str, files: int, side: int) -> int:
    """One Study of single-frame images; gives the number of files."""
    rng, picture, study = random.Random(20260101), slice_of(side, side), 1 if kind == "ct" else 2
    for number in range(files):
        series = min(number * SERIES // files, SERIES - 1)
        ds = new_instance(kind, study, rng, series=series, number=number, files=files, rows=side, columns=side)
        set_pixels(ds, np.roll(picture, number, axis=1))
        syntax = ImplicitVRLittleEndian if kind == "mr" and number % 2 else ExplicitVRLittleEndian
        save(ds, folder / kind / f"S{series}" / f"IM{number:05d}.dcm", syntax)
    return files


def write_multi_frame(folder: Path, frames: int, megabytes: float) -> int:
    """One Enhanced MR with a functional group for each frame."""
    rng, side = random.Random(3), int((megabytes * 1e6 / frames / 2) ** 0.5)
    ds = new_instance("mf", 3, rng, series=0, number=0, files=1, rows=side, columns=side)
    ds.NumberOfFrames = frames
    ds.PerFrameFunctionalGroupsSequence = Sequence([functional_group(ds, frame) for frame in range(frames)])
    ds.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    ds.DimensionOrganizationSequence = Sequence([item(DimensionOrganizationUID=uid(70, 3))])
    set_pixels(ds, np.random.default_rng(2).integers(0, 4096, (frames, side, side), dtype="<u2"))
    save(ds, folder / "mf" / "enhanced.dcm", ExplicitVRLittleEndian)
    return 1


def functional_group(ds: Dataset, frame: int) -> Dataset:
    """What the standard says of one frame, with a comment that names somebody."""
    content = item(
        FrameAcquisitionDateTime=f"20260102101513.{frame:06d}",
        FrameReferenceDateTime="20260102101513",
        DimensionIndexValues=[1, frame + 1],
        FrameAcquisitionNumber=1,
        StackID="1",
        InStackPositionNumber=frame + 1,
        FrameComments="scanned by Terry",
    )
    purpose = item(CodeValue="121322", CodingSchemeDesignator="DCM", CodeMeaning="Source")
    source = item(ReferencedSOPClassUID=ds.SOPClassUID, ReferencedSOPInstanceUID=uid(31, 3, frame))
    source.PurposeOfReferenceCodeSequence = Sequence([purpose])
    return item(
        FrameContentSequence=Sequence([content]),
        PlanePositionSequence=Sequence([item(ImagePositionPatient=[0, 0, frame])]),
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([item(SliceThickness="1", PixelSpacing=["1", "1"])]),
        ReferencedImageSequence=Sequence([source]),
    )


def write_compressed(folder: Path, each: int) -> int:
    """Encapsulated pixel data; a compression whose encoder is not installed is left out, and said so."""
    rng, noise = random.Random(4), np.random.default_rng(3).normal(0, 15, (256, 256))
    picture, written = (1000 + noise).astype("<u2"), 0
    (folder / "comp").mkdir(parents=True, exist_ok=True)
    for name, syntax in COMPRESSIONS.items():
        for number in range(each):
            ds = new_instance("mr", 4, rng, series=0, number=number, files=each, rows=256, columns=256)
            ds.file_meta = file_meta(ds, ExplicitVRLittleEndian)
            try:
                ds.compress(syntax, np.roll(picture, number), generate_instance_uid=False)
            except RuntimeError as error:
                print(f"{name}: left out: {error}", file=sys.stderr)
                break
            ds.save_as(folder / "comp" / f"{name}{number:03d}.dcm", enforce_file_format=True)
            written += 1
    return written


def main() -> None:
    """Write the parts that were asked for and say how many files each has."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="ct,mr,mf,comp")
    given = parser.parse_args()
    files = max(1, round(FILES * given.scale))
    parts = {
        "ct": lambda: write_series(given.out, "ct", files, 512),
        "mr": lambda: write_series(given.out, "mr", files, 256),
        "mf": lambda: write_multi_frame(given.out, FRAMES, max(1.0, MEGABYTES * given.scale)),
        "comp": lambda: write_compressed(given.out, max(1, round(COMPRESSED * given.scale))),
    }
    wanted = given.only.split(",")
    if unknown := set(wanted) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for part in wanted:
        print(part, parts[part](), "files")


if __name__ == "__main__":
    main()
