"""Which tool a file is of, told from its content, and its rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from coatcheck.moving_in import ctp, deid_recipe, kitware, microsoft, mmiv
from coatcheck.moving_in.model import Foreign, unreadable

LARGEST: Final = 8 << 20
"""Bytes; what is larger is no file of rules."""


class ForeignKind(NamedTuple):
    """One kind of file: what people call it, how it is recognised and how it is read."""

    title: str
    recognises: Callable[[str], bool]
    read: Callable[[str], Foreign]


KINDS: Final = {
    "ctp": ForeignKind("CTP's DicomAnonymizer.script", ctp.recognises, ctp.read),
    "microsoft": ForeignKind("Microsoft's Tools for Health Data Anonymization", microsoft.recognises, microsoft.read),
    "mmiv": ForeignKind("DICOMAnonymizer (mmiv-center)", mmiv.recognises, mmiv.read),
    "kitware": ForeignKind("dicom-anonymizer (KitwareMedical)", kitware.recognises, kitware.read),
    "deid": ForeignKind("a recipe of pydicom's deid", deid_recipe.recognises, deid_recipe.read),
}
"""By the names that ``--from`` takes, in the order in which a file is tried."""


def read(content: bytes, kind: str | None) -> tuple[str, Foreign]:
    """The kind of a file and its rules. Raises UnreadableError."""
    if len(content) > LARGEST:
        raise unreadable("this file is too large to be one of rules")
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise unreadable("this is not UTF-8 text", "save it as UTF-8") from None
    if "\0" in text:
        raise unreadable("this is no text")
    name = kind or next((name for name, one in KINDS.items() if one.recognises(text)), None)
    if name is None:
        raise unreadable("what kind of file this is cannot be told", f"say it with --from: {', '.join(KINDS)}")
    return name, KINDS[name].read(text)
