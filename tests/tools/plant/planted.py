"""One planted file: a Data Set that is filled together with the answer key's account of it."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from collections.abc import Sequence as Seq
from pathlib import Path
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.tools.key import Plant, PlantedFileEntry
from tests.tools.plant import font
from tests.tools.plant.person import Person

_STORAGE = "1.2.840.10008.5.1.4.1.1."
SOP_CLASSES = {
    **{"CT": _STORAGE + "2", "MR": _STORAGE + "4", "US": _STORAGE + "6.1", "USMF": _STORAGE + "3.1"},
    **{"CR": _STORAGE + "1", "SC": _STORAGE + "7", "SR": _STORAGE + "88.33", "PR": _STORAGE + "11.1"},
    **{"PDF": _STORAGE + "104.1", "CDA": _STORAGE + "104.2", "ECG": _STORAGE + "9.1.1", "RTSS": _STORAGE + "481.3"},
    **{"EMR": _STORAGE + "4.1", "PT": _STORAGE + "128", "KO": _STORAGE + "88.59", "DX": _STORAGE + "1.1"},
    **{"XC": _STORAGE + "77.1.4", "DIR": "1.2.840.10008.1.3.10"},
}
_MODALITIES = {"USMF": "US", "SC": "OT", "PDF": "DOC", "CDA": "DOC", "RTSS": "RTSTRUCT", "EMR": "MR"}
RLE = "1.2.840.10008.1.2.5"


class Planted:
    """A file in the making. ``item`` and ``prefix`` say where a value goes that does not stand at the top level."""

    def __init__(
        self,
        name: str,
        sop: str,
        person: Person,
        *,
        index: int,
        syntax: str = ExplicitVRLittleEndian,
        charset: str | list[str] = "ISO_IR 100",
        expect: str = "delivered",
    ) -> None:
        self.name, self.sop, self.person, self.syntax, self.expect = name, sop, person, syntax, expect
        self.ds, self.meta = Dataset(), FileMetaDataset()
        self.plants: list[Plant] = []
        self.preamble, self.tail, self.cut = b"\0" * 128, b"", 0
        self.meta.MediaStorageSOPClassUID = self.ds.SOPClassUID = UID(SOP_CLASSES[sop])
        self.meta.TransferSyntaxUID = UID(syntax)
        self.meta.ImplementationClassUID = UID("1.2.826.0.1.3680043.8.498.1")
        self.meta.ImplementationVersionName = "PLANTPHI_1"
        if charset:
            self.ds.SpecificCharacterSet = charset
        self._common(index)

    def _common(self, index: int) -> None:
        """What every file has: the UIDs, the patient, the study."""
        who, ds = self.person, self.ds
        study, series = f"{who.root}.{index // 4 + 1}", f"{who.root}.{index // 4 + 1}.{index % 4 + 1}"
        self.put_uid("SOPInstanceUID", f"{series}.{index + 1}")
        self.meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        self.put_uid("StudyInstanceUID", study)
        self.put_uid("SeriesInstanceUID", series)
        self.put("PatientName", who.name, (who.family, who.given, who.middle))
        self.put("PatientID", who.mrn)
        self.put("PatientBirthDate", who.birth_date, action="date_changed")
        self.put("AccessionNumber", who.accession)
        self.put("StudyDate", who.study_date, action="date_changed")
        self.put("ReferringPhysicianName", who.physician + "^Ref", (who.physician,))
        ds.StudyTime, ds.PatientSex, ds.StudyID, ds.SeriesNumber = "101112", "O", "1", 1
        ds.InstanceNumber, ds.Modality, ds.Manufacturer = index + 1, _MODALITIES.get(self.sop, self.sop), "PLANT"

    def add(
        self,
        path: str,
        value: str,
        tokens: Seq[str] | None = None,
        action: str = "removed",
        why: str = "",
        kind: str = "text",
        encodings: Seq[str] = ("utf-8",),
        raw: Seq[bytes] = (),
    ) -> None:
        """Note in the key what stands at a path. ``tokens`` is what is searched for, the whole value when None."""
        tokens = [value] if tokens is None else list(tokens)
        patterns = [token.encode(encoding).hex() for token in tokens for encoding in encodings]
        patterns += [part.hex() for part in raw]
        self._note(
            {"path": path, "kind": kind, "value": value, "patterns": patterns, "action": action, "why": why},
            tokens,
        )

    def _note(self, parts: dict[str, Any], tokens: Seq[str] = ()) -> None:
        plant: Plant = {"id": f"{self.name}#{len(self.plants)}", **parts, "tokens": list(tokens)}  # type: ignore[typeddict-item]
        self.plants.append(plant)

    def put(
        self,
        keyword: str,
        value: object,
        tokens: Seq[str] | None = None,
        action: str = "removed",
        *,
        item: Dataset | None = None,
        prefix: str = "",
        why: str = "",
        encodings: Seq[str] = ("utf-8",),
    ) -> None:
        """Set an attribute by its keyword and note it."""
        setattr(self.ds if item is None else item, keyword, value)
        kind = "date" if action == "date_changed" else "text"
        self.add(prefix + path_of(keyword), str(value), tokens, action, why, kind, encodings)

    def put_uid(self, keyword: str, uid: str, *, item: Dataset | None = None, prefix: str = "") -> None:
        """Set a UID that must be replaced."""
        setattr(self.ds if item is None else item, keyword, uid)
        self.add(prefix + path_of(keyword), uid, action="uid_changed", kind="uid")

    def put_raw(
        self,
        tag: tuple[int, int],
        vr: str,
        value: object,
        tokens: Seq[str] | None = None,
        why: str = "private",
        action: str = "removed",
        raw: Seq[bytes] = (),
    ) -> None:
        """Set an element by its tag and VR: private, retired, or with a VR that hides it."""
        self.ds.add_new(tag, vr, value)
        text = value if isinstance(value, str) else "<bytes>"
        if tokens is None:
            tokens = (value,) if isinstance(value, str) else ()
        self.add(path_of(tag), text, tokens, action, why, raw=raw)

    def put_pixels(
        self,
        rows: int = 64,
        columns: int = 96,
        frames: int = 1,
        *,
        rgb: bool = False,
        bits: int = 8,
        text: str = "",
        at: tuple[int, int] = (4, 4),
    ) -> None:
        """Pixel data with a pattern, and with text burned into it at (x, y) in the highest value."""
        samples, ds = 3 if rgb else 1, self.ds
        ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = rows, columns, bits, bits, bits - 1
        ds.PixelRepresentation, ds.SamplesPerPixel = 0, samples
        ds.PhotometricInterpretation = "RGB" if rgb else "MONOCHROME2"
        if rgb:
            ds.PlanarConfiguration = 0
        if frames > 1:
            ds.NumberOfFrames = frames
        step = samples * bits // 8
        frame = bytearray((x * 3 + y * 5) % 97 for y in range(rows) for x in range(columns) for _ in range(step))
        box = _burn(frame, text, at, (rows, columns, step)) if text else None
        data = bytes(frame) * frames
        data += b"\0" * (len(data) % 2)
        self._set_pixels(data, bits)
        if box is not None:
            self._note(_pixel_plant(text, "pixels_hidden", "burned-in text") | {"box": box, "frames": frames})
        action = "pixels_retained_outside_box" if box else "pixels_retained"
        digest = hashlib.sha256(ds.PixelData).hexdigest()
        self._note(_pixel_plant("", action, "pixels outside burn-in unchanged") | {"box": box, "sha256": digest})

    def _set_pixels(self, data: bytes, bits: int) -> None:
        if self.syntax == RLE:
            self.ds.add_new(0x7FE00010, "OB", encapsulate_rle(data))
            self.ds["PixelData"].is_undefined_length = True
        else:
            self.ds.add_new(0x7FE00010, "OW" if bits == 16 or self.syntax == ImplicitVRLittleEndian else "OB", data)

    def put_overlay(self, text: str, group: int = 0x6000, rows: int = 64, columns: int = 96) -> None:
        """An overlay plane with text drawn in its bits, a label and a description."""
        bits = bytearray(rows * columns)
        for x, y in font.dots(text):
            if 4 + x < columns:
                bits[(10 + y) * columns + 4 + x] = 1
        packed = bytes(sum(bits[at + bit] << bit for bit in range(8)) for at in range(0, rows * columns, 8))
        plane = ((0x10, "US", rows), (0x11, "US", columns), (0x40, "CS", "G"), (0x50, "SS", [1, 1]))
        for element, vr, value in (*plane, (0x100, "US", 1), (0x102, "US", 0)):
            self.ds.add_new((group, element), vr, value)
        self.ds.add_new((group, 0x3000), "OW", packed)
        first = next(at for at, byte in enumerate(packed) if byte)
        part = packed[first : first + 48]
        self.add(f"({group:04X},3000)", text, (), raw=(part,), why="text drawn in overlay bits", kind="overlay")
        who = self.person
        self.put_raw((group, 0x1500), "LO", f"ovl {who.free}", (who.family,), "Overlay Label")
        self.put_raw((group, 0x22), "LO", f"ovd {who.mrn}", (who.mrn,), "Overlay Description")

    def write(self, folder: Path) -> PlantedFileEntry:
        """Write the file, prove that every pattern is really in it, and give its part of the key."""
        self.ds.file_meta, self.ds.preamble = self.meta, self.preamble
        buffer = io.BytesIO()
        dcmwrite(buffer, self.ds, enforce_file_format=True)
        content = buffer.getvalue() + self.tail
        if self.cut:
            content = content[: -self.cut]
            self.plants = [plant for plant in self.plants if plant["kind"] != "pixels"]
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._prove(content)
        charset = self.ds.get("SpecificCharacterSet")
        return {
            "file": self.name,
            "sop_class": SOP_CLASSES[self.sop],
            "modality": str(self.ds.Modality),
            "transfer_syntax": str(self.syntax),
            "charset": str(charset) if charset else charset,
            "plants": self.plants,
            "expect": self.expect,
        }

    def _prove(self, content: bytes) -> None:
        body = content + inflated_data_set(content) if self.syntax == DeflatedExplicitVRLittleEndian else content
        for plant in self.plants:
            if plant["kind"] not in ("filename", "inflated"):
                assert all(bytes.fromhex(pattern) in body for pattern in plant["patterns"]), plant["id"]


def path_of(tag: str | int | tuple[int, int]) -> str:
    """The tag of a keyword or number as (GGGG,EEEE)."""
    number: int | None = tag_for_keyword(tag) if isinstance(tag, str) else Tag(tag)
    assert number is not None
    return f"({BaseTag(number).group:04X},{BaseTag(number).element:04X})"


def inflated_data_set(content: bytes) -> bytes:
    """The Data Set of a file in the deflated Transfer Syntax. Raises ValueError or zlib.error for another file."""
    at = content.index(b"\x02\x00\x00\x00UL\x04\x00")
    (length,) = struct.unpack_from("<L", content, at + 8)
    return zlib.decompressobj(-15).decompress(content[at + 12 + length :])


def encapsulate_rle(frame: bytes) -> bytes:
    """One 8-bit frame as an RLE fragment of literal runs (PS3.5 Annex G), after an empty offset table; not ended."""
    runs = b"".join(bytes([len(part) - 1]) + part for part in (frame[i : i + 128] for i in range(0, len(frame), 128)))
    fragment = struct.pack("<16L", 1, 64, *[0] * 14) + runs
    fragment += b"\0" * (len(fragment) % 2)
    return b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + struct.pack("<L", len(fragment)) + fragment


def _pixel_plant(text: str, action: str, why: str) -> dict[str, Any]:
    return {"path": "(7FE0,0010)", "kind": "pixels", "value": text, "patterns": [], "action": action, "why": why}


def _burn(frame: bytearray, text: str, at: tuple[int, int], shape: tuple[int, int, int]) -> list[int]:
    """Draw the text; gives the box around it: x, y, width, height."""
    (left, top), (rows, columns, step), right = at, shape, 0
    for x, y in font.dots(text):
        if top + y < rows and left + x < columns:
            offset = ((top + y) * columns + left + x) * step
            frame[offset : offset + step] = b"\xff" * step
            right = max(right, left + x)
    return [left, top, right - left + 1, font.HEIGHT]
