"""What identifies a patient or a Study, collected from a Data Set while it is read (PS3.15 E.1.1).

Names are found by their VR, at every depth; UIDs and dates likewise. Numbers, places and telephones are found by the
Attributes below, which is a list to be read and argued about, not a guess. The kinds are as fine as the options of
PS3.15 that keep some of them: what an option keeps is not searched.
"""

from __future__ import annotations

from collections.abc import Collection
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
    }
)
DEVICE_TAGS = frozenset(
    {
        0x00181000,  # Device Serial Number
        0x00181002,  # Device UID
    }
)
STATION_TAGS = frozenset(
    {
        0x00081010,  # Station Name
        0x00400010,  # Scheduled Station Name
        0x00400242,  # Performed Station Name
    }
)
INSTITUTION_TAGS = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x0040A027,  # Verifying Organization
    }
)
PLACE_TAGS = frozenset(
    {
        0x00080092,  # Referring Physician's Address
        0x00101040,  # Patient's Address
        0x00102299,  # Responsible Organization
        0x0040A353,  # Address (Trial)
        0x00401102,  # Person's Address
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
KINDS = ("name", "id", "device", "institution", "station", "place", "phone", "date", "uid")
_BY_TAG = {
    **dict.fromkeys(ID_TAGS, "id"),
    **dict.fromkeys(DEVICE_TAGS, "device"),
    **dict.fromkeys(STATION_TAGS, "station"),
    **dict.fromkeys(INSTITUTION_TAGS, "institution"),
    **dict.fromkeys(PLACE_TAGS, "place"),
    **dict.fromkeys(PHONE_TAGS, "phone"),
}
MOST = 500_000  # identities of a Study, or of a file; most of them are UIDs
MOST_TEXTS = 2_000  # of those, names, numbers and places: what to search for is made of them, in about 5 ms for each
_BY_VR = {"PN": "name", "DA": "date", "DT": "date", "UI": "uid"}


@lru_cache(maxsize=8192)
def kind_of(tag: int, vr: str) -> str | None:
    """What kind of identity an element holds, by its tag, by its VR in PS3.6 or by ``vr``, the one in the file."""
    return _BY_TAG.get(tag) or _BY_VR.get(vr_of(tag) or "") or _BY_VR.get(vr)


def are_too_many(*found: Collection[Identity]) -> bool:
    """Whether these are more than any patient or Study has. To search for so many would take for ever."""
    number = sum(map(len, found))
    if number > MOST:
        return True
    return number > MOST_TEXTS and sum(one.kind not in ("uid", "date") for some in found for one in some) > MOST_TEXTS


def values(kind: str, value: bytes, encodings: tuple[str, ...]) -> list[Identity]:
    """The identities in one element's value; none in an empty one, and no UID that is registered."""
    found = []
    for one in decode(value, encodings).split("\\"):
        text = one.strip(" \0\r\n\t")
        if text and not (kind in ("uid", "device") and is_registered(text)):
            found.append(Identity(kind, text))
    return found
