"""The list of subjects: CSV with the header ``patient_id,subject``, and where wanted ``date_shift_days``, ``issuer``.

Everything that is wrong in it is found at once, with the file and the line. No problem quotes a value: the list holds
Patient IDs.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coatcheck.config_subjects import SUBJECT, SUBJECT_HINT, Entry, Spelling
from coatcheck.problems import Place, Problem

_NEEDED: Final = ("patient_id", "subject")
_OPTIONAL: Final = ("date_shift_days", "issuer")
_HEADER_HINT: Final = "write `patient_id,subject` or `patient_id,subject,date_shift_days`, with commas between"
_DAYS: Final = re.compile(r"[+-]?[0-9]{1,6}")
_MOST_DAYS: Final = 36500
_MOST_PROBLEMS: Final = 50
_SHORT: Final = 4  # an ID of fewer characters may stand in a subject by chance


def read_list(file: Path, spelling: Spelling, place: Place, key: str) -> tuple[dict[str, Entry], list[Problem]]:
    """The entries by normalised Patient ID, and everything that is wrong.

    ``place`` and ``key`` say where the configuration names the file, for one that cannot be read.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        what = f"the list {file} cannot be read ({error.strerror})"
        hint = "name a file that the service's user can read"
        return {}, [Problem(file=place.file, line=place.line, key=key, what=what, hint=hint)]
    reading = _Reading(str(file), spelling)
    reading.read(content)
    return reading.entries, reading.problems[:_MOST_PROBLEMS]


@dataclass(slots=True)
class _Reading:
    file: str
    spelling: Spelling
    entries: dict[str, Entry] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    id_lines: dict[str, int] = field(default_factory=dict)
    subject_lines: dict[str, int] = field(default_factory=dict)

    def complain(self, line: int, what: str, hint: str) -> None:
        self.problems.append(Problem(file=self.file, line=line, key="", what=what, hint=hint))

    def read(self, content: bytes) -> None:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.complain(line, "this is not UTF-8 text", "save the list as CSV in UTF-8")
            return
        rows = self.rows(text)
        header = [cell.strip().casefold() for cell in next(rows, (1, [""]))[1]]
        if not self.header_holds(header):
            return
        for line, cells in rows:
            if any(cell.strip() for cell in cells):
                self.row(line, cells, header)

    def rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Every record with the line on which it begins."""
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        while True:
            line = reader.line_num + 1
            try:
                yield line, next(reader)
            except StopIteration:
                return
            except csv.Error:
                self.complain(line, "this cannot be read as CSV", "mend the quotes here")
                return

    def header_holds(self, header: list[str]) -> bool:
        missing = [name for name in _NEEDED if name not in header]
        unknown = [name for name in header if name not in (*_NEEDED, *_OPTIONAL)]
        if missing or unknown or len(set(header)) != len(header):
            self.complain(1, "the first line must name the columns", _HEADER_HINT)
        elif "issuer" in header and not self.spelling.issuer:
            self.complain(1, "there is a column `issuer`, which is not used", "write `spelling: {issuer: true}` too")
        return not self.problems

    def row(self, line: int, cells: list[str], header: list[str]) -> None:
        if len(cells) != len(header):
            self.complain(line, f"there must be {len(header)} cells, as in the first line", "add or remove a comma")
            return
        row = dict(zip(header, cells, strict=True))
        before = len(self.problems)
        key = self.spelling.key(row["patient_id"], row.get("issuer", ""))
        subject = row["subject"].strip()
        self.check_id(line, key)
        self.check_subject(line, subject, self.spelling.key(row["patient_id"]))
        shift = self.shift(line, row)
        if len(self.problems) == before:
            self.entries[key] = Entry(subject, shift)

    def check_id(self, line: int, key: str) -> None:
        if not key:
            self.complain(line, "the Patient ID is missing", "write it, or remove the line")
        elif key in self.id_lines:
            what = f"this Patient ID stands in line {self.id_lines[key]} already, in this spelling or another"
            self.complain(line, what, "remove one of the two")
        self.id_lines.setdefault(key, line)

    def check_subject(self, line: int, subject: str, name: str) -> None:
        if not SUBJECT.fullmatch(subject):
            what = "the subject cannot be used" if subject else "the subject is missing"
            self.complain(line, what, SUBJECT_HINT)
            return
        folded = subject.casefold()  # a share may not tell the folders of two cases apart
        if folded in self.subject_lines:
            what = f"this subject stands in line {self.subject_lines[folded]} already"
            self.complain(line, what, "give each patient a subject of its own")
        self.subject_lines.setdefault(folded, line)
        name = name.casefold()
        if name == folded or (len(name) >= _SHORT and name in folded):
            self.complain(line, "the subject has the Patient ID in it", "choose one that tells nothing")

    def shift(self, line: int, row: Mapping[str, str]) -> int | None:
        text = row.get("date_shift_days", "").strip()
        if not text:
            return None
        if not _DAYS.fullmatch(text) or abs(int(text)) > _MOST_DAYS:
            what = f"the date shift must be a whole number of days, at most {_MOST_DAYS} either way"
            self.complain(line, what, "write a number such as -42, or leave the cell empty")
        elif int(text) == 0:
            self.complain(line, "a shift of no days changes no date", "write another number, or leave the cell empty")
        else:
            return int(text)
        return None
