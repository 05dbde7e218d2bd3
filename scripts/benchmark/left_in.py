"""What a tool left in: which of the corpus's identities still stand in its results, and what it tore apart."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from scripts.benchmark.wanted import Row
from scripts.corpus_headers import ROOT_UID

_NUMBERS = (
    *("PatientID", "OtherPatientIDs", "AccessionNumber", "StudyID", "AdmissionID"),
    *("DeviceSerialNumber", "PerformedProcedureStepID", "PatientTelephoneNumbers"),
)
_PLACES = ("InstitutionName", "InstitutionAddress", "PatientAddress", "StationName")
_LEAST = 4  # letters of a text that is looked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A Data Element: at the top, nested or private; and what it says."""

    where: str
    element: DataElement


def left_in(before: Iterable[Path], after: Iterable[Path]) -> Row:
    """Counts elements in each result that still say what an original said, by kind and by where they stand.

    Both are of one process of the tool, for nobody promises that two give the same pseudonyms.
    """
    originals, results = ([_header(path) for path in paths] for paths in (before, after))
    known = _identities(originals)
    found = Counter(one for ds in results for place in _places(ds) for one in _found(place, known))
    private = sum(place.element.tag.is_private for ds in results for place in _places(ds))
    per_file = len(results) or 1
    kinds: Row = {kind: {} for kind in known}
    for (kind, where), count in sorted(found.items()):
        kinds[kind][where] = count / per_file
    return {
        "results": len(results),
        "originals": len(originals),
        "kinds": kinds,
        "private": private / per_file,
        "studies": len(_values(results, "StudyInstanceUID")),
        "instances": len(_values(results, "SOPInstanceUID")),
        "references": sum(1 for _ in _references(results)) / max(1, sum(1 for _ in _references(originals))),
        "resolved": _resolved(results) / max(1, _resolved(originals)),
    }


def _header(path: Path) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = dcmread(path, stop_before_pixels=True, force=True)
        ds.decode()
    return ds


def _places(ds: Dataset, where: str = "top") -> Iterator[Place]:
    """Every element below a Data Set, sequences not counted."""
    for element in ds:
        here = "private" if element.tag.is_private else where
        if element.VR != "SQ":
            yield Place(where=here, element=element)
            continue
        for item in element.value:
            yield from _places(item, "private" if here == "private" else "nested")


def _words(element: DataElement) -> list[str]:
    """The values of an element as texts."""
    value = element.value
    if isinstance(value, bytes):
        return [value.decode("latin-1")]
    return [str(one) for one in value] if element.VM > 1 else [str(value)]


def _identities(originals: Iterable[Dataset]) -> dict[str, re.Pattern[str]]:
    """What to look for, by kind. Dates are found at the start of a date-time, but not in the middle of a number."""
    words: dict[str, set[str]] = {kind: set() for kind in ("names", "numbers", "places", "dates", "UIDs")}
    for ds in originals:
        for place in _places(ds):
            element, values = place.element, _words(place.element)
            if element.VR == "PN":
                words["names"] |= {part for value in values for part in re.split(r"\W+", value) if len(part) >= _LEAST}
            elif element.VR in ("DA", "DT"):
                words["dates"] |= {value[:8] for value in values if value}
            elif element.VR == "UI":
                words["UIDs"] |= {value for value in values if value.startswith(ROOT_UID)}
            elif element.keyword in _NUMBERS or element.keyword in _PLACES:
                kind = "numbers" if element.keyword in _NUMBERS else "places"
                words[kind] |= {value for value in values if len(value) >= _LEAST}
    return {kind: _either(texts) for kind, texts in words.items()}


def _either(texts: set[str]) -> re.Pattern[str]:
    return re.compile(r"(?<![0-9A-Za-z.])(?:" + "|".join(sorted(map(re.escape, texts))) + r")(?![A-Za-z]|\.\d)")


def _found(place: Place, known: dict[str, re.Pattern[str]]) -> Iterator[tuple[str, str]]:
    text = "\\".join(_words(place.element))
    for kind, pattern in known.items():
        if (kind == "UIDs") == (place.element.VR == "UI") and pattern.search(text):
            yield kind, place.where


def _values(results: Iterable[Dataset], keyword: str) -> set[str]:
    return {str(ds[keyword].value) for ds in results if keyword in ds}


def _resolved(results: Collection[Dataset]) -> int:
    """How many references lead to an Instance of the same results."""
    instances = _values(results, "SOPInstanceUID")
    return sum(uid in instances for uid in _references(results))


def _references(results: Iterable[Dataset]) -> Iterator[str]:
    for item in (item for ds in results for item in ds.get("SourceImageSequence") or ()):
        if item.get("ReferencedSOPInstanceUID"):
            yield str(item.ReferencedSOPInstanceUID)
