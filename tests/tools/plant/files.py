"""Identity outside the Data Set: burned into pixels, in the file meta, the preamble, the padding, the file's name."""

from __future__ import annotations

import struct
from typing import Any

from pydicom.sequence import Sequence

from tests.tools.plant.headers import New
from tests.tools.plant.items import item

_BURNED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("US", {}),
    ("US", {"rgb": True}),
    ("USMF", {"frames": 4}),
    ("SC", {"rgb": True, "frames": 2}),
    ("DX", {"bits": 16}),
    ("XC", {"rgb": True}),
)


def plant_burned_in_text(new: New) -> None:
    """Text in the pixels; the header of the last DX denies it, so nobody can know without looking."""
    for sop, form in _BURNED:
        denied = sop == "DX"
        f = new(f"burn_{sop}" + "".join(sorted(form)), sop, expect="delivered" if denied else "pixel-risk")
        f.ds.BurnedInAnnotation = "NO" if denied else "YES"
        text = f"{f.person.family} {f.person.birth_date}"[:18]
        f.put_pixels(columns=128, text=text, at=(6, 8), **form)
        if sop == "US":
            region = item(RegionLocationMinX0=0, RegionLocationMinY0=24, RegionLocationMaxX1=127)
            region.RegionLocationMaxY1, region.RegionSpatialFormat, region.RegionDataType = 63, 1, 1
            region.RegionFlags, region.PhysicalUnitsXDirection, region.PhysicalUnitsYDirection = 0, 3, 3
            region.PhysicalDeltaX = region.PhysicalDeltaY = 0.01
            f.ds.SequenceOfUltrasoundRegions = Sequence([region])


def plant_file_level(new: New) -> None:
    """File meta, preamble, trailing padding, bytes after the end, and the dropped name."""
    f = new("meta", "CT")
    who, meta = f.person, f.meta
    f.put_pixels(bits=16)
    host = who.hospital.split()[0].lower()
    for element, vr, value, tokens in (
        (0x16, "AE", who.station, (who.station,)),
        (0x17, "AE", who.family[:16].upper(), (who.family[:16].upper(),)),
        (0x18, "AE", who.mother[:16].upper(), (who.mother[:16].upper(),)),
        (0x26, "UR", f"http://{host}.example/", (host,)),
        (0x100, "UI", "1.2.3.4.5", ()),
    ):
        meta.add_new((2, element), vr, value)
        f.add(f"(0002,{element:04X})", value, tokens, "file_level")
    free = who.free.encode()
    meta.add_new((2, 0x102), "OB", free + b"\0" * (len(free) % 2))
    f.add("(0002,0102)", who.free, action="file_level")

    f = new("preamble", "CT")
    who = f.person
    f.put_pixels(bits=16)
    f.preamble = (f"II*\0{who.free} {who.mrn}".encode() + b"\0" * 128)[:128]
    f.add("preamble", who.free, (who.free, who.mrn), "file_level")

    f = new("padding", "CT")
    free = f.person.free.encode()
    f.put_pixels(bits=16)
    padding = b"\0\0" + free + b"\0" * (len(free) % 2)
    f.put_raw((0xFFFC, 0xFFFC), "OB", padding, raw=(free,), why="Data Set Trailing Padding")

    f = new("tailbytes", "CT")
    free = f.person.free.encode()
    f.put_pixels(bits=16)
    f.ds.add_new((0xFFFC, 0xFFFC), "OB", b"\0" * 8)
    odd = len(free) % 2
    f.tail = struct.pack("<HH2sHL", 0xFFFC, 0xFFFC, b"OB", 0, len(free) + odd) + free + b"\0" * odd
    f.add("after-end-of-dataset", f.person.free, action="file_level")

    f = new("x", "CT")
    who = f.person
    f.put_pixels(bits=16)
    f.name = f"{who.family}_{who.given}/{who.mrn}_{who.birth_date}.dcm"
    f.add("filename", f.name, (who.family, who.mrn, who.birth_date), "file_level", kind="filename")
