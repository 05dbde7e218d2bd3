"""Judge the output of a de-identification against the answer key of a planted set.

Every planted pattern is searched in the raw bytes of the output, so that nothing hides in UN, OB, private elements or
padding; in what inflates; ignoring case; and in UTF-16. Beyond leaks: which files must be delivered, UIDs that are
replaced alike over all files, and intervals that survive a shift of dates.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread
from pydicom.dataset import FileDataset

from tests.tools import relations
from tests.tools.bodies import bodies, found_in, patterns_of
from tests.tools.key import KEPT, AnswerKey, Plant, PlantedFileEntry
from tests.tools.pixels import decoded, same_outside, text_shows
from tests.tools.plant import lenient_pydicom


class Finding(NamedTuple):
    """One thing that is not as it should be, in which input file and where."""

    file: str
    path: str
    problem: str
    value: str


@dataclass(slots=True)
class Report:
    """The judgement. ``reported`` are leaks that nobody could have known of: burned-in text that the header denies."""

    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    leaks: list[Finding] = field(default_factory=list)
    lost: list[Finding] = field(default_factory=list)  # what had to survive and did not
    outcomes: list[Finding] = field(default_factory=list)  # delivered or refused against the key
    inconsistent: list[Finding] = field(default_factory=list)  # UIDs and dates that no longer agree
    reported: list[Finding] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing leaked, was lost, came out against the key, or disagrees."""
        return not (self.leaks or self.lost or self.outcomes or self.inconsistent)

    def __str__(self) -> str:
        """All of it as text, the leaks first."""
        lines = [f"{action}: {dict(counts)}" for action, counts in sorted(self.counts.items())]
        for name in ("leaks", "lost", "outcomes", "inconsistent", "reported"):
            findings: list[Finding] = getattr(self, name)
            lines.append(f"{len(findings)} {name}")
            lines += [f"  {found.file} {found.path} {found.problem}" for found in findings]
        return "\n".join(lines)


class _Pair(NamedTuple):
    """One file before and after."""

    entry: PlantedFileEntry
    before: FileDataset
    after: FileDataset | None
    output: str
    haystacks: list[bytes]


def judge(
    key: AnswerKey,
    in_dir: Path,
    mapping: Mapping[str, str] | None,
    out_dir: Path,
    *,
    dates_shifted: bool = False,
    keeps_safe_private: bool = False,
) -> Report:
    """Judge a folder of outputs. ``mapping`` gives the output of each delivered input, both relative with "/".

    None means that outputs have the names of their inputs. With ``dates_shifted`` all dates of a Study must have
    moved by the same number of days, not zero.
    """
    report, pairs = Report(), []
    with lenient_pydicom():
        for entry in key["files"]:
            output = entry["file"] if mapping is None else mapping.get(entry["file"], "")
            delivered = bool(output) and (out_dir / output).is_file()
            _judge_outcome(report, entry, delivered)
            if delivered:
                pair = _read(entry, in_dir, out_dir, output)
                pairs.append(pair)
                _judge_file(report, pair, keeps_safe_private)
        read = [relations.Pair(p.entry["file"], p.entry["plants"], p.before, p.after) for p in pairs if p.after]
        problems = relations.uid_problems(read) + (relations.date_problems(read) if dates_shifted else [])
        report.inconsistent += [Finding(*problem, "") for problem in problems]
    return report


def _read(entry: PlantedFileEntry, in_dir: Path, out_dir: Path, output: str) -> _Pair:
    before = dcmread(in_dir / entry["file"], force=True)
    content = (out_dir / output).read_bytes()
    try:
        after: FileDataset | None = dcmread(out_dir / output, force=True)
    except Exception:  # whatever pydicom throws at a broken file: it is counted, the bytes are searched anyway
        after = None
    return _Pair(entry, before, after, output, bodies(content))


def _judge_outcome(report: Report, entry: PlantedFileEntry, delivered: bool) -> None:
    report.counts["files"]["delivered" if delivered else "not delivered"] += 1
    expected = entry.get("expect")
    if expected not in (None, "any") and delivered != (expected == "delivered"):
        problem = f"delivered, expected {expected}" if delivered else "not delivered"
        report.outcomes.append(Finding(entry["file"], "", problem, ""))


def _judge_file(report: Report, pair: _Pair, keeps_safe_private: bool) -> None:
    folded = [haystack.lower() for haystack in pair.haystacks]
    if pair.after is None:
        report.counts["files"]["unreadable"] += 1
    for plant in pair.entry["plants"]:
        if plant["kind"] == "pixels":
            _judge_pixels(report, pair, plant)
        else:
            _judge_plant(report, pair, plant, folded, keeps_safe_private)


def _judge_plant(report: Report, pair: _Pair, plant: Plant, folded: list[bytes], keeps_safe_private: bool) -> None:
    action, patterns = plant["action"], patterns_of(plant)
    finding = Finding(pair.entry["file"], plant["path"], action, plant["value"])
    if not patterns:
        report.counts[action]["not searched"] += 1
    elif action in KEPT:
        kept = found_in(patterns, pair.haystacks)
        report.counts[action]["kept" if kept else "lost"] += 1
        if not kept and (action != "retained_if_safe_private" or keeps_safe_private):
            report.lost.append(finding)
    else:
        named = plant["kind"] == "filename"
        haystacks = [pair.output.encode()] if named else pair.haystacks
        leaked = found_in(patterns, haystacks, [pair.output.lower().encode()] if named else folded)
        report.counts[action]["LEAK" if leaked else "ok"] += 1
        if leaked:
            report.leaks.append(finding)


def _judge_pixels(report: Report, pair: _Pair, plant: Plant) -> None:
    action = plant["action"]
    finding = Finding(pair.entry["file"], plant["path"], action, plant["value"])
    if pair.after is None or "PixelData" not in pair.after:
        report.counts[action]["no pixels"] += 1
        report.lost.append(finding)
        return
    good = _pixels_are_good(pair.before, pair.after, plant)
    report.counts[action]["ok" if good else "not judged" if good is None else "BAD"] += 1
    if good is False and action == "pixels_hidden":
        denied = pair.before.get("BurnedInAnnotation") == "NO"
        (report.reported if denied else report.leaks).append(finding)
    elif good is False:
        report.lost.append(finding)


def _pixels_are_good(before: FileDataset, after: FileDataset, plant: Plant) -> bool | None:
    if plant["action"] == "pixels_retained":
        return bool(before.PixelData == after.PixelData)
    first = decoded(before, str(before.file_meta.TransferSyntaxUID))
    second = decoded(after, str(after.file_meta.get("TransferSyntaxUID", "")))
    box = plant.get("box")
    if first is None or second is None or not box:
        return None
    frames = int(before.get("NumberOfFrames", 1))
    if plant["action"] == "pixels_hidden":
        return len(first) == len(second) and not text_shows(first, second, before, box, frames)
    return same_outside(first, second, before, box, frames)


def search_elsewhere(key: AnswerKey, paths: Iterable[Path], shortest: int = 5) -> list[Finding]:
    """Planted tokens in any other file (ledger, logs, status) or in its name. Folders are searched to their depth.

    Tokens of fewer than ``shortest`` bytes are left out: they are found in anything.
    """
    wanted: dict[bytes, Finding] = {}
    for entry in key["files"]:
        for plant in entry["plants"]:
            for pattern in patterns_of(plant) if plant["action"] not in KEPT else ():
                if len(pattern) >= shortest:
                    wanted.setdefault(pattern, Finding(entry["file"], plant["path"], "", plant["value"]))
    files = sorted(file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file())
    findings = []
    for file in files:
        haystacks = [*bodies(file.read_bytes()), str(file).encode(errors="surrogateescape")]
        folded = [haystack.lower() for haystack in haystacks]
        hits = [found for pattern, found in wanted.items() if found_in([pattern], haystacks, folded)]
        findings += [hit._replace(problem=f"found in {file}") for hit in hits]
    return findings


def read_mapping(path: Path) -> dict[str, str]:
    """The ``input<TAB>output`` lines of a file."""
    lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return dict(line.split("\t", 1) for line in lines if line)


def mapping_by_uid(key: AnswerKey, in_dir: Path, out_dir: Path, uids_csv: Path) -> dict[str, str]:
    """The mapping of a folder whose files are named by new SOP Instance UIDs.

    ``uids_csv`` is what ``mapping export --kind uid`` writes, with the header ``id_old,id_new``.
    """
    with uids_csv.open(encoding="utf-8", newline="") as lines:
        new = {row["id_old"]: row["id_new"] for row in csv.DictReader(lines)}
    outputs = {path.stem: path.relative_to(out_dir).as_posix() for path in sorted(out_dir.rglob("*.dcm"))}
    mapping = {}
    with lenient_pydicom():
        for entry in key["files"]:
            before = dcmread(in_dir / entry["file"], force=True, specific_tags=["SOPInstanceUID"])
            output = outputs.get(new.get(str(before.get("SOPInstanceUID", "")), ""))
            if output is not None:
                mapping[entry["file"]] = output
    return mapping
