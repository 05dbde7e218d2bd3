"""Tells a DICOMDIR (PS3.3 F.3) from an Instance by its content: what the file meta claims proves nothing."""

from __future__ import annotations

from typing import Final

from coatcheck.deid.elements import Window, elements
from coatcheck.deid.part10 import Head

_DIRECTORY_RECORDS: Final = 0x00041220
_OF_AN_INSTANCE: Final = frozenset({0x00080016, 0x00080018})  # SOP Class UID, SOP Instance UID


def is_directory(window: Window, head: Head) -> bool:
    """Whether the Data Set has Directory Records and is no Instance. Refuses what is truncated or malformed."""
    tags = {element.tag for element in elements(window, head.start, window.size, head.encoding, {})}
    return _DIRECTORY_RECORDS in tags and not tags & _OF_AN_INSTANCE
