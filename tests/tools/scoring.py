"""Scores a de-identification, action by action, in the style of MIDI-B (Medical Image De-Identification Benchmark).

All is judged from the files before and after, by what the profile's options promise; the engine is not asked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from pydicom.dataset import Dataset, FileDataset

from tests.tools.bodies import bodies, found_in, patterns_of
from tests.tools.key import KEPT, Plant, PlantedFileEntry
from tests.tools.plant.planted import path_of
from tests.tools.relations import value_at

ACTIONS = (
    *("tag_retained", "text_notnull", "text_retained", "text_removed", "date_shifted", "uid_changed", "uid_consistent"),
    *("patid_consistent", "pixels_retained", "interval_kept", "reference_resolves", "no_source_token_anywhere"),
    "delivered",
)
TECHNICAL = (
    *("SOPClassUID", "Modality", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PhotometricInterpretation", "PixelSpacing", "ImagePositionPatient", "SliceThickness"),
    *("ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "NumberOfFrames"),
    *("KVP", "RepetitionTime", "EchoTime", "BodyPartExamined", "PatientPosition", "InstanceNumber", "SeriesNumber"),
)
"""What every profile keeps."""
CHARACTERISTICS = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight")
TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime")
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")
NOT_NULL = (
    *("PatientName", "PatientID", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    *("PatientIdentityRemoved", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified"),
)
MEDICAL = (
    "AX",
    "T1",
    "T2",
    "sag",
    "CT",
    "CHEST",
    "MR",
    "head",
    "contrast",
    "MPRAGE",
    "THORAX",
    "routine",
    "nodule",
    "mm",
)
"""Words of the planted texts that research needs."""
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_DAY = re.compile(r"(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(r"\d\d(\d\d(\d\d(\.\d{1,6})?)?)?")
_AGE = re.compile(r"0[0-8]\d[DWMY]")
_UNREADABLE = ("malformed", "needs-policy", "truncated", "unsupported-encoding")
_REGISTERED = "1.2.840.10008."


class Case(NamedTuple):
    """One file before and after, and what was planted. ``after`` is None for a file that was not delivered."""

    entry: PlantedFileEntry
    before: FileDataset
    after: FileDataset | None
    content: bytes
    refused: str = ""

    def got(self, keyword: str) -> Any:  # noqa: ANN401 - whatever pydicom makes of a value
        """The value of an attribute in the result; None where it is gone or empty."""
        return None if self.after is None else self.after.get(keyword)


class Failure(NamedTuple):
    """One thing that is not as the profile promises; never with a value."""

    action: str
    file: str
    path: str
    problem: str


@dataclass(slots=True)
class Score:
    """How many checks of each action there were, and those that failed."""

    options: frozenset[str]
    shift_scope: str = "study"
    checks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ACTIONS, 0))
    failures: list[Failure] = field(default_factory=list)

    def check(self, action: str, case: Case, path: str, good: bool, problem: str = "") -> None:
        """Counts one check."""
        self.checks[action] += 1
        if not good:
            self.failures.append(Failure(action, case.entry["file"], path, problem))

    def has(self, option: str) -> bool:
        """Whether the profile has an option of Annex E."""
        return option in self.options

    @property
    def shifts(self) -> bool:
        """Whether dates move, and do not go."""
        return self.has("retain-longitudinal-modified-dates")

    @property
    def leaks(self) -> list[Failure]:
        """The failures by which something of the patient comes out."""
        leaking = ("text_removed", "uid_changed", "no_source_token_anywhere")
        return [one for one in self.failures if one.action in leaking or one.problem == "kept"]

    def percent(self, action: str = "") -> float:
        """The share of checks that are good, of one action or of all; 100 where there was none."""
        total = self.checks[action] if action else sum(self.checks.values())
        bad = sum(one.action == action or not action for one in self.failures)
        return 100.0 * (total - bad) / total if total else 100.0


def score(cases: list[Case], options: frozenset[str], shift_scope: str = "study") -> Score:
    """Judges all files of one run together."""
    result = Score(options, shift_scope)
    for case in cases:
        _delivered(result, case)
    out = [case for case in cases if case.after is not None]
    for case in out:
        for judge in (_retained, _not_null, _planted, _pixels, _tokens):
            judge(result, case)
    _dates(result, out)
    _uids(result, out)
    _patients(result, out)
    _references(result, out)
    return result


def _delivered(result: Score, case: Case) -> None:
    """What must come out does; what the key expects to be held back, and what cannot be read, is not judged here."""
    reason = case.refused.partition(" ")[0]
    if case.entry.get("expect", "" if reason in _UNREADABLE else "delivered") == "delivered":
        result.check("delivered", case, "", case.after is not None, case.refused)


def _retained(result: Score, case: Case) -> None:
    wanted: dict[str, Callable[[str], object]] = dict.fromkeys(TECHNICAL, bool)
    if result.has("retain-patient-characteristics"):
        wanted |= dict.fromkeys(CHARACTERISTICS, bool) | {"PatientAge": _AGE.fullmatch}
    if result.shifts:
        wanted |= dict.fromkeys(TIMES, _TIME.fullmatch)
    for keyword, is_good in wanted.items():
        before = str(case.before.get(keyword, "") or "")
        if before and is_good(before):
            result.check("tag_retained", case, keyword, str(case.got(keyword)) == before, "changed or gone")


def _not_null(result: Score, case: Case) -> None:
    for keyword in NOT_NULL:
        result.check("text_notnull", case, keyword, bool(case.got(keyword)), "empty")


def _planted(result: Score, case: Case) -> None:
    """The planted texts: their words stay where descriptions are cleaned, the person is gone everywhere."""
    assert case.after is not None
    for plant in case.entry["plants"]:
        action, path, now = plant["action"], plant["path"], "\n".join(value_at(case.after, plant["path"]) or ())
        if action == "retained" or (action == "retained_if_safe_private" and result.has("retain-safe-private")):
            if plant["patterns"]:
                kept = found_in(patterns_of(plant), bodies(case.content))
                result.check("tag_retained", case, path, kept, "changed or gone")
        elif action in ("removed", "text_removed") and plant["kind"] == "text":
            before = "\n".join(value_at(case.before, path) or ())
            if _names(plant, before):  # elsewhere the bytes are searched
                result.check("text_removed", case, path, not _names(plant, now), "still there")
        if action == "text_removed" and result.has("clean-descriptors"):
            for word in MEDICAL:
                if re.search(rf"\b{word}\b", plant["value"]):
                    stays = re.search(rf"\b{word}\b", now) is not None
                    result.check("text_retained", case, path, stays, f"{word} is gone")


def _names(plant: Plant, text: str) -> bool:
    return any(token.lower() in text.lower() for token in plant.get("tokens", []))


def _pixels(result: Score, case: Case) -> None:
    for keyword in _PIXELS:
        if keyword in case.before:
            same = case.before[keyword].value == case.got(keyword)
            result.check("pixels_retained", case, keyword, same, "changed")


def _tokens(result: Score, case: Case) -> None:
    """Every planted token in every byte, also where it inflates, ignoring case, and in other encodings."""
    haystacks = bodies(case.content)
    folded = [haystack.lower() for haystack in haystacks]
    for plant in case.entry["plants"]:
        if plant["action"] in KEPT or plant["kind"] in ("pixels", "filename") or not patterns_of(plant):
            continue
        leaked = found_in(patterns_of(plant), haystacks, folded)
        result.check("no_source_token_anywhere", case, plant["path"], not leaked, "a token is in the bytes")


def walk(ds: Dataset, prefix: str = "") -> Iterator[tuple[str, str, list[str]]]:
    """Path, VR and values of each public element that has any, at every depth."""
    for element in ds:
        path = f"{prefix}({element.tag.group:04X},{element.tag.element:04X})"
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from walk(item, f"{path}[{number}]")
        elif element.VR in ("UI", "DA", "DT") and element.value:
            several = [element.value] if isinstance(element.value, str) else list(element.value)
            yield path, element.VR, [str(value).strip(" \0") for value in several]


def _dates(result: Score, cases: list[Case]) -> None:
    """Each date goes, or moves by the one number of days that its Study (or patient) has."""
    shifts: dict[str, int] = {}
    for case in cases:
        scope = str(case.before.StudyInstanceUID if result.shift_scope == "study" else case.before.get("PatientID"))
        for path, _, values in (one for one in walk(case.before) if one[1] in ("DA", "DT")):
            now = value_at(case.after, path) or [] if case.after is not None else []
            for old, new in zip(values, now, strict=False):
                _date(result, case, path, (old, new), shifts, scope)
            if not now and _day(values[0]) and (not result.shifts or path in map(path_of, DATES)):
                result.check("date_shifted", case, path, not result.shifts, "gone")


def _date(result: Score, case: Case, path: str, pair: tuple[str, str], shifts: dict[str, int], scope: str) -> None:
    old, new = _day(pair[0]), _day(pair[1])
    if old is None:
        return
    if not result.shifts or new is None:
        result.check("date_shifted", case, path, old != new, "kept")
        return
    days = (new - old).days
    is_dummy = new == date(1900, 1, 1)  # of an attribute outside of what moves
    result.check("date_shifted", case, path, days != 0, "kept")
    if not is_dummy:
        result.check("interval_kept", case, path, shifts.setdefault(scope, days) == days, "moved by other days")


def _day(text: str) -> date | None:
    found = _DAY.match(text)
    try:
        return date(*(int(part) for part in found.groups())) if found else None
    except ValueError:
        return None


def _uids(result: Score, cases: list[Case]) -> None:
    new_of, old_of = dict[str, str](), dict[str, str]()
    for case in cases:
        for path, old, new in _uids_of(case):
            kept = result.has("retain-uids")
            result.check("uid_changed", case, path, (old != new) or kept, "kept")
            if new:
                same = new_of.setdefault(old, new) == new and old_of.setdefault(new, old) == old
                result.check("uid_consistent", case, path, same, "replaced in two ways, or two by one")


def _uids_of(case: Case) -> Iterator[tuple[str, str, str]]:
    """Each UID that somebody made, before and after; "" where it is gone."""
    assert case.after is not None
    for path, vr, values in walk(case.before):
        if vr == "UI":
            now = value_at(case.after, path) or []
            for number, old in enumerate(values):
                if old and not old.startswith(_REGISTERED):
                    yield path, old, now[number].strip(" \0") if number < len(now) else ""


def _patients(result: Score, cases: list[Case]) -> None:
    """One patient is one subject, and one subject is one patient."""
    new_of, old_of = dict[str, str](), dict[str, str]()
    for case in cases:
        assert case.after is not None
        old, new = str(case.before.get("PatientID") or ""), str(case.after.get("PatientID"))
        if old:
            same = new_of.setdefault(old, new) == new and old_of.setdefault(new, old) == old
            result.check("patid_consistent", case, "PatientID", same, "two subjects, or two patients in one")
        result.check("patid_consistent", case, "PatientName", str(case.after.PatientName) == new, "another subject")


def _references(result: Score, cases: list[Case]) -> None:
    """A UID that named another file, Series, Study or Frame of Reference still names it, where it still stands."""
    targets: Mapping[str, dict[str, str]] = defaultdict(dict)
    keywords = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    for case in cases:
        for keyword in keywords:
            if case.before.get(keyword) and case.got(keyword):
                targets[str(case.before.get(keyword))][case.entry["file"]] = str(case.got(keyword))
    for case in cases:
        for path, old, new in _uids_of(case):
            others = {value for file, value in targets.get(old, {}).items() if file != case.entry["file"]}
            if others and new and path not in map(path_of, keywords[:1]):
                result.check("reference_resolves", case, path, others == {new}, "leads nowhere")
