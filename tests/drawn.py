"""Any Data Set and any profile, for tests of properties: drawn by hypothesis."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence

from coatcheck.deid.profile import AVAILABLE, FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.shifts import SCOPES
from coatcheck.problems import ConfigError
from tests.support import NATIVE, file_of, instance
from tests.treated import profile_of

DATES = {FULL_DATES, MODIFIED_DATES}
TEXTS = [
    "Mallory",
    "T1 MPRAGE sag",
    "for Mallory, Eve",
    "MRN-7755",
    "am 1.2.2004 in Ulm",
    "",
    "Größe",
    "a\\b",
    "x" * 20,
]
DAYS_OF = st.dates(datetime.date(1950, 1, 1), datetime.date(2050, 1, 1)).map(lambda day: day.strftime("%Y%m%d"))
UIDS_OF = st.integers(1, 9).map(lambda number: f"1.2.826.0.1.3680043.8.498.{number}")
NAMES = st.sampled_from(["Mallory^Eve", "Smith^John", "Mallory", ""])
VALUES: dict[int, tuple[str, st.SearchStrategy[Any]]] = {
    0x00080008: ("CS", st.sampled_from(["ORIGINAL", "MALLORY"])),
    0x00080020: ("DA", DAYS_OF),
    0x00080022: ("DA", DAYS_OF),
    0x0008002A: ("DT", DAYS_OF.map(lambda day: day + "101112")),
    0x00080030: ("TM", st.sampled_from(["101112", "1011", "10:11"])),
    0x00080060: ("CS", st.sampled_from(["CT", "MR"])),
    0x00080080: ("LO", st.sampled_from(["Klinik am Eck", "St. Anna"])),
    0x00080090: ("PN", NAMES),
    0x00080104: ("LO", st.sampled_from(["Brain", "Heart", "Mallory"])),
    0x00081030: ("LO", st.sampled_from(TEXTS)),
    0x00081155: ("UI", UIDS_OF),
    0x00100040: ("CS", st.sampled_from(["F", "M", "MALLORY"])),
    0x00101010: ("AS", st.sampled_from(["033Y", "095Y", "003M"])),
    0x00101030: ("DS", st.sampled_from(["77.5", "0", "1e3"])),
    0x00104000: ("LT", st.sampled_from(TEXTS)),
    0x00180015: ("CS", st.sampled_from(["BRAIN", "HEAD"])),
    0x00181000: ("LO", st.sampled_from(["SN-4711", "0815"])),
    0x00181030: ("LO", st.sampled_from(TEXTS)),
    0x00189327: ("FD", st.floats(0, 1e9)),
    0x00200052: ("UI", UIDS_OF),
    0x00204000: ("LT", st.sampled_from(TEXTS)),
    0x00280010: ("US", st.integers(0, 65535)),
    0x00282000: ("OB", st.binary(max_size=6).map(lambda data: data + b"\0" * (len(data) % 2))),
}
SEQUENCES = (0x00082218, 0x00400275, 0x00081140)
CREATORS = {0x0019: ["SIEMENS MR HEADER", "ACME"], 0x0029: ["SIEMENS CSA HEADER", "ACME"]}


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A Data Set with some of everything: identities where they belong and where they do not, private blocks too."""
    ds = Dataset()
    for tag in draw(st.sets(st.sampled_from(sorted(VALUES)), max_size=12)):
        vr, values = VALUES[tag]
        ds.add_new(tag, vr, draw(values))
    for group, creators in CREATORS.items():
        for block in draw(st.sets(st.sampled_from([0x10, 0x11, 0xFF]), max_size=2)):
            ds.add_new(group << 16 | block, "LO", draw(st.sampled_from(creators)))
            ds.add_new(group << 16 | block << 8 | 0x0C, "IS", "800")
            ds.add_new(group << 16 | block << 8 | 0x10, "OB", draw(st.sampled_from([b"CSA\0", b"\0Mallory\0"])))
            if depth < 2 and draw(st.booleans()):
                ds.add_new(group << 16 | block << 8 | 0x20, "SQ", [draw(data_sets(depth + 1))])
    if depth < 2:
        for tag in draw(st.sets(st.sampled_from(SEQUENCES), max_size=2)):
            element = DataElement(tag, "SQ", Sequence(draw(st.lists(data_sets(depth + 1), max_size=2))))
            element.is_undefined_length = draw(st.booleans())
            ds.add(element)
    return ds


@st.composite
def instances(draw: st.DrawFn) -> bytes:
    ds = draw(data_sets())
    ds.SpecificCharacterSet = draw(st.sampled_from(["ISO_IR 192", "ISO_IR 100"]))
    ds.update(instance())
    return file_of(ds, draw(st.sampled_from(NATIVE)))


SELECTORS = st.sampled_from(
    [
        *(
            "StudyDescription",
            "StudyDate",
            "PatientSex",
            "CodeMeaning",
            "PatientAge",
            "Rows",
            "ReferencedSOPInstanceUID",
        ),
        *("VR:DA", "VR:CS", "VR:LO", "VR:UI", "VR:DS", "VR:LT", "VR:SQ", "VR:PN", "VR:OB", "VR:TM", "VR:DT"),
        *("/Date/", "/Comments$/", "/Sequence$/", "(0018,xxxx)", "(0008,0000)-(0008,FFFF)", "AnatomicRegionSequence"),
        *("AnatomicRegionSequence > CodeMeaning", "top > CodeMeaning", "RequestAttributesSequence"),
        *('(0029,"SIEMENS CSA HEADER",10)', '(0029,"ACME",*)', '(0019,"ACME",20)', '(0019,"ACME",20) > CodeMeaning'),
    ]
)
ACTIONS = st.sampled_from(
    [
        *("keep", "remove", "empty", "dummy", "uid", "redact", "clean-text", "mask", "hash", "encrypt", "subject"),
        *("replace, with: '{Modality|lower}-{subject} {StudyDescription}'", "replace, with: '12'"),
        *("substitute, pattern: '[Mm]all(o)', with: '<\\1>'", "hash, length: 9", "encrypt, too_short: hash"),
        *("shift-dates, days: [-70, -7], scope: series", "shift-dates, days: -30", "generalise, to: month"),
        *("generalise, bands: 5", "perturb, span: 3", "perturb, proportional: 0.1, round_to: 0.5"),
        *("add, with: '7'", "add, with: 'by {project}'"),
    ]
)
CONDITIONS = st.sampled_from(
    [
        *("", "", "", ", when: {Modality: MR}", ", when: {not: {PatientSex: {in: [F, M]}}}"),
        ", when: {any: [{StudyDescription: {matches: '(?i)t1'}}, {Rows: {exists: false}}]}",
    ]
)


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """A profile of random options and rules, of which those stay that lint lets pass."""
    options = draw(st.sets(st.sampled_from(AVAILABLE), max_size=4).filter(lambda some: len(some & DATES) < 2))
    safe = "retain-safe-private" in options
    private = "safe" if safe else draw(st.sampled_from(["remove", "keep-listed"]))
    head = f"options: [{', '.join(sorted(options))}]\nprivate: {private}\n"
    head += f"unlisted: {draw(st.sampled_from(['keep', 'keep', 'remove']))}\n"
    head += f"dates: {{scope: {draw(st.sampled_from(SCOPES))}}}\nrules:\n"
    rules: list[str] = []
    for _ in range(draw(st.integers(0, 5))):
        rule = f"  - {{at: '{draw(SELECTORS)}', do: {draw(ACTIONS)}{draw(CONDITIONS)}}}\n"
        try:
            profile_of(head + "".join([*rules, rule]))
        except ConfigError:
            continue
        rules.append(rule)
    return profile_of(head + ("".join(rules) or "  []\n"))
