"""The layouts by which results are named in the outbox, as they are written. The names: :mod:`coatcheck.naming`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Extension = Literal["dcm", "none", "kept"]

ORIGINAL: Final = "original"
_STUDY: Final = "{subject}/{StudyInstanceUID}"
SHIPPED: Final[Mapping[str, tuple[str, str, Extension]]] = {
    "subject-study": (_STUDY, "{SeriesInstanceUID}/{SOPInstanceUID}", "dcm"),
    "flat": (_STUDY, "{SOPInstanceUID}", "dcm"),
    "series": (_STUDY, "{SeriesNumber|format:04d}-{Modality}/{InstanceNumber|format:05d}", "dcm"),
    "date-class": ("{subject}/{StudyDate}", "{class}/{SOPInstanceUID}", "dcm"),
    "media": (_STUDY, "SE{series|format:06d}/IM{instance|format:06d}", "none"),
    ORIGINAL: (_STUDY, "", "kept"),  # the names that were dropped
}
DEFAULT: Final = "subject-study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A layout as it is written: ``folder`` is the delivery's own, ``file`` lies below it. One's own has no name."""

    name: str = DEFAULT
    folder: str = SHIPPED[DEFAULT][0]
    file: str = SHIPPED[DEFAULT][1]
    extension: Extension = "dcm"

    def __str__(self) -> str:
        return self.name or f"{self.folder}/{self.file}"

    @property
    def is_plain(self) -> bool:
        """Whether results lie as they are made: by subject, Study and Series, with ``.dcm``."""
        return self == Layout()
