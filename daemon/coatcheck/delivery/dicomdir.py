"""A DICOMDIR (PS3.10 8.6) for the results of one delivery, by pydicom's FileSet, where the files lie already.

``FileSet.add`` would copy each file and compare it with all before, so the records are hung into its tree here; what
they say and how they are written is pydicom's. Only headers are read, one file at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.fileset import FileSet, RecordNode

DICOMDIR: Final = "DICOMDIR"
_LARGE: Final = "64 KB"  # values beyond this stay on the disk
# What a record must have (PS3.3 F.5) and a result may lack, because the profile removes it or it never was there.
_INVENTED: Final[dict[str, Any]] = {
    "StudyDate": "19000101",
    "StudyTime": "000000",
    "StudyID": "1",
    "Modality": "OT",
    "SeriesNumber": 0,
    "InstanceNumber": 0,
    "DoseSummationType": "PLAN",
    "StructureSetLabel": "NONE",
    "RTPlanLabel": "NONE",
    "ContentDate": "19000101",
    "ContentTime": "000000",
    "ContentLabel": "NONE",
    "PresentationCreationDate": "19000101",
    "PresentationCreationTime": "000000",
    "CompletionFlag": "PARTIAL",
    "VerificationFlag": "UNVERIFIED",
}


def write_dicomdir(root: Path, paths: Sequence[str]) -> None:
    """Writes ``root/DICOMDIR`` for these files, relative to it, each a conformant File ID. Raises OSError."""
    from pydicom.filebase import DicomFileLike
    from pydicom.fileset import FileSet
    from pydicom.uid import UID

    files = FileSet()
    files._stage["t"].cleanup()  # a folder for copies of files that are added, of which there are none
    uids: list[str] = []
    known: dict[tuple[str, ...], RecordNode] = {}
    for path in paths:
        uids.append(_add(files, known, root, path))
    files.UID = UID(f"2.25.{int.from_bytes(sha256(chr(0).join(sorted(uids)).encode()).digest()[:16], 'big')}")
    with (root / DICOMDIR).open("wb") as out:
        files._write_dicomdir(DicomFileLike(out))


def _add(files: FileSet, known: dict[tuple[str, ...], RecordNode], root: Path, path: str) -> str:
    """Hangs the records of one file into the tree: those of its patient, Study and Series once."""
    from pydicom import dcmread
    from pydicom.fileset import FileInstance, RecordNode

    ds = dcmread(root / path, stop_before_pixels=True, defer_size=_LARGE)
    for keyword, value in _INVENTED.items():
        if not str(ds.get(keyword, "") or ""):
            setattr(ds, keyword, value)
    parent: RecordNode = files._tree
    keys = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    place: tuple[str, ...] = ()
    for record, key in zip(_records(files, ds), keys, strict=True):
        place = (*place, str(ds[key].value))
        if place not in known:
            node = RecordNode(record)
            node._parent = parent  # its property would compare it with all that are there
            parent.children.append(node)
            known[place] = node
        parent = known[place]
    parent._record.ReferencedFileID = path.split("/")
    parent.instance = FileInstance(parent)
    return str(ds.SOPInstanceUID)


def _records(files: FileSet, ds: Dataset) -> list[Dataset]:
    """The directory records of one file. One of a kind that lacks more than can be invented is listed as an image."""
    try:
        found = list(files._recordify(ds))
    except ValueError:
        found = []
    if len(found) != 4:  # also what stands alone, and belongs to no patient
        from pydicom.uid import CTImageStorage

        kind, ds.SOPClassUID = ds.SOPClassUID, CTImageStorage
        found = list(files._recordify(ds))
        found[3].ReferencedSOPClassUIDInFile = ds.SOPClassUID = kind
    return found
