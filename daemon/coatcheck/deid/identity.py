"""What identifies a patient or a Study, collected from a Data Set while it is read (PS3.15 E.1.1).

Names are found by their VR, at every depth; UIDs and dates likewise. Numbers, places and telephones are found by the
Attributes below, which is a list to be read and argued about, not a guess.
"""

from __future__ import annotations

from functools import lru_cache

from coatcheck.deid.charsets import decode
from coatcheck.deid.dictionary import vr_of
from coatcheck.deid.standard import is_registered
from coatcheck.model import Identity

ID_TAGS = frozenset(
    {
        0x00080050,  # Accession Number
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00101050,  # Insurance Plan Identification
        0x00101090,  # Medical Record Locator
        0x00200010,  # Study ID
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00401001,  # Requested Procedure ID
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
        0x00181000,  # Device Serial Number
    }
)
PLACE_TAGS = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00081010,  # Station Name
        0x00101040,  # Patient's Address
        0x00102299,  # Responsible Organization
        0x0040A353,  # Address (Trial)
        0x00401102,  # Person's Address
        0x0040A027,  # Verifying Organization
        0x00080116,  # Coding Scheme Responsible Organization
    }
)
PHONE_TAGS = frozenset(
    {
        0x00080094,  # Referring Physician's Telephone Numbers
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00401103,  # Person's Telephone Numbers
        0x00401104,  # Person's Telecom Information
        0x00402010,  # Order Callback Phone Number
        0x0040A354,  # Telephone Number (Trial)
    }
)
_BY_VR = {"PN": "name", "DA": "date", "DT": "date", "UI": "uid"}
_VALUE_MAX = 4096  # longer values identify nobody as a whole


@lru_cache(maxsize=8192)
def kind_of(tag: int, vr: str) -> str | None:
    """What kind of identity an element holds, by its tag, by its VR in PS3.6 or by ``vr``, the one in the file."""
    if tag in ID_TAGS:
        return "id"
    if tag in PLACE_TAGS:
        return "place"
    if tag in PHONE_TAGS:
        return "phone"
    return _BY_VR.get(vr_of(tag) or "") or _BY_VR.get(vr)


def values(kind: str, value: bytes, encodings: tuple[str, ...]) -> list[Identity]:
    """The identities in one element's value; none in an empty one, and no UID that is registered."""
    if len(value) > _VALUE_MAX:
        return []
    found = []
    for one in decode(value, encodings).split("\\"):
        text = one.strip(" \0\r\n\t")
        if text and not (kind == "uid" and is_registered(text)):
            found.append(Identity(kind, text))
    return found
