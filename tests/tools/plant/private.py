"""Identity in private attributes, in sequences hidden in UN, and in repeating and retired groups."""

from __future__ import annotations

import struct

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.tools.plant.headers import New
from tests.tools.plant.items import item


def plant_private(new: New) -> None:
    """Private blocks, with safe elements beside unsafe ones, two creators in one group, and none at all."""
    f = new("priv_basic", "CT")
    who, ds = f.person, f.ds
    f.put_pixels(bits=16)
    ds.add_new((0x9, 0x10), "LO", "ACME PACS 1.0")
    f.put_raw((0x9, 0x1001), "LO", who.free, why="private LO")
    f.put_raw((0x9, 0x1002), "PN", who.name, (who.family,))
    f.put_raw((0x9, 0x10FE), "UT", f"note {who.mrn}", (who.mrn,))
    ds.add_new((0x43, 0x10), "LO", "GEMS_PARM_01")
    f.put_raw((0x43, 0x1027), "SH", "0.531:1", why="Table E.3.10-1", action="retained_if_safe_private")
    f.put_raw((0x43, 0x1099), "LO", who.hospital, why="unsafe element of a known creator")

    f = new("priv_blocks", "MR")
    who, ds = f.person, f.ds
    f.put_pixels(bits=16)
    ds.add_new((0x19, 0x11), "LO", "OTHER 1")
    ds.add_new((0x19, 0x12), "LO", "SIEMENS MR HEADER")
    f.put_raw((0x19, 0x120C), "IS", "1000", (), "B value in block 12", "retained_if_safe_private")
    f.put_raw((0x19, 0x110C), "LO", who.free, why="same element number, other creator")
    blob = b"SV10\4\3\2\1" + b"PatientName\0" + who.free.encode() + b"\0\0"
    f.put_raw((0x29, 0x1010), "OB", blob, raw=(who.free.encode(),), why="CSA-like blob, no private creator at all")
    f.put_raw((0x2001, 0x10), "LO", f"CREATOR {who.family}"[:64], (who.family,), "name inside the private creator")

    f = new("priv_seq", "CT")
    who, ds = f.person, f.ds
    f.put_pixels(bits=16)
    ds.add_new((0x2005, 0x10), "LO", "Philips Imaging DD 001")
    outer, inner = item(PatientName=who.mother + "^P"), item(PatientID=who.ssn)
    outer.add_new((0x2005, 0x10), "LO", "INNER")
    outer.add_new((0x2005, 0x1001), "SQ", Sequence([inner]))
    ds.add_new((0x2005, 0x105F), "SQ", Sequence([outer]))
    f.add("(2005,105F)[0](0010,0010)", who.mother)
    f.add("(2005,105F)[0](2005,1001)[0](0010,0020)", who.ssn)


def plant_unknown_vr(new: New) -> None:
    """Sequences in Implicit VR Little Endian inside UN (PS3.5 6.2.2 note 2), private and standard."""

    def element(tag: tuple[int, int], text: str) -> bytes:
        value = text.encode() + b" " * (len(text) % 2)
        return struct.pack("<HHL", *tag, len(value)) + value

    for standard in (False, True):
        f = new("un_seq_" + ("undef" if standard else "def"), "CT")
        who, ds = f.person, f.ds
        body = element((0x10, 0x10), who.name) + element((0x10, 0x20), who.ssn)
        blob = struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body
        ds.add_new((0x9, 0x10), "LO", "UNKNOWN V")
        f.put_raw((0x9, 0x1005), "UN", blob, raw=(who.ssn.encode(),), why="sequence hidden in UN")
        if standard:
            f.put_raw((0x8, 0x2229), "UN", blob, raw=(who.family.encode(),), why="standard SQ sent as UN")
        f.put_pixels(bits=16)


def plant_repeating_groups(new: New) -> None:
    """Overlays, curves, and the retired groups of text."""
    f = new("overlay", "CR")
    f.put_pixels()
    f.put_overlay(f.person.family[:12])
    f.put_overlay(f.person.mrn, group=0x6002)

    f = new("curve", "CR")
    who, ds = f.person, f.ds
    f.put_pixels()
    ds.add_new((0x5000, 5), "US", 2)
    ds.add_new((0x5000, 0x10), "US", 4)
    f.put_raw((0x5000, 0x22), "LO", who.free, why="Curve Description")
    f.put_raw((0x5000, 0x2500), "LO", who.mrn, why="Curve Label")
    f.put_raw((0x5000, 0x3000), "OW", who.ssn.encode() + b" ", raw=(who.ssn.encode(),), why="Curve Data")
    f.put_raw((0x4000, 0x4000), "LT", who.free, why="Text Comments, retired group 4000")
    f.put_raw((0x20, 0x3401), "LO", who.serial, why="retired element of group 0020")


def plant_graphics(new: New) -> None:
    """A presentation state whose annotation names the patient."""
    f = new("gsps", "PR", expect="any")
    who, ds = f.person, f.ds
    ds.ContentLabel = "ANNOT"
    f.put("ContentDescription", f"for {who.free}", (who.free,))
    f.put("ContentCreatorName", who.operator + "^X", (who.operator,))
    ds.PresentationCreationDate, ds.PresentationCreationTime = who.study_date, "10"
    text, compound = Dataset(), Dataset()
    text.UnformattedTextValue = f"{who.initial} {who.mrn}"
    compound.CompoundGraphicInstanceID, compound.UnformattedTextValue = 1, who.phone
    annotation = item(GraphicLayer="L1", TextObjectSequence=Sequence([text]))
    annotation.CompoundGraphicSequence = Sequence([compound])
    ds.GraphicAnnotationSequence = Sequence([annotation])
    f.add("(0070,0001)[0](0070,0008)[0](0070,0006)", text.UnformattedTextValue, (who.initial, who.mrn))
    f.add("(0070,0001)[0](0070,0209)[0](0070,0006)", who.phone)
