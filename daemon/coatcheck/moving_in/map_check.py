"""A map of an earlier system beside what the vault knows: what is new, and what stands against it.

Nothing is changed here. A problem names the line and never quotes a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from coatcheck.config import Project
from coatcheck.config_subjects import SUBJECT, SUBJECT_HINT, Listed, Spelling
from coatcheck.deid.standard import is_registered
from coatcheck.moving_in.maps import OldMap, Pair
from coatcheck.problems import Problem
from coatcheck.vault import Kind, Vault

_UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)+")
_DAYS: Final = re.compile(r"[+-]?[0-9]{1,6}")
_MOST_DAYS: Final = 36_500
_SHORT: Final = 4  # what is shorter may stand in a subject by chance
_KEPT: Final = "take the line out: what was recorded holds"
_ISSUED: Final = "^^^"  # between an ID and its issuer in an export of ours


@dataclass(slots=True, kw_only=True)
class Outlook:
    """What would be taken over, by kind: what is ``new``, and how much is ``known`` already."""

    new: dict[Kind, dict[str, str]] = field(default_factory=dict, repr=False)
    known: dict[Kind, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def count(self, kind: Kind) -> int:
        """How many pairs of a kind are new."""
        return len(self.new.get(kind, {}))


def look(old: OldMap, project: Project, vault: Vault, file: str) -> Outlook:
    """What the map would add to the vault. Raises StateError."""
    check = _Check(old, project, file)
    for pair in old.pairs:
        check.take(pair)
    check.settle_shifts()
    return check.compare(vault)


class _Check:
    """One map on the way."""

    def __init__(self, old: OldMap, project: Project, file: str) -> None:
        self._old = old
        self._project = project
        self._spelling: Spelling = project.subjects.spelling
        self._file = file
        self._outlook = Outlook()
        self._said: dict[Kind, dict[str, str]] = {kind: {} for kind in Kind}
        self._lines: dict[tuple[Kind, str], int] = {}
        self._owners: dict[tuple[Kind, str], str] = {}
        self._shifts: dict[str, set[str]] = {}
        self._unmoved = 0

    def take(self, pair: Pair) -> None:
        """One line."""
        if pair.patient or pair.subject:
            self._patient(pair)
        if pair.uid or pair.new_uid:
            self._uid(pair)
        if pair.days and (days := self._days(pair.line, pair.days)):
            self._say(Kind.DATE_SHIFT, pair.line, pair.study, days)
            if pair.patient:
                self._shifts.setdefault(self._key(pair)[0], set()).add(days)

    def settle_shifts(self) -> None:
        """A patient whose Studies all moved alike moves so in later ones, too."""
        for key, days in self._shifts.items():
            if len(days) == 1 and key:
                self._said[Kind.PATIENT_SHIFT].setdefault(key, next(iter(days)))
        several = sum(len(days) > 1 for days in self._shifts.values())
        if several:
            self._note(f"{several} patients have several date shifts: each holds for its own Study alone")
        if self._unmoved:
            self._note(f"{self._unmoved} lines have no date shift: dates move there as the profile says")

    def _key(self, pair: Pair) -> tuple[str, str]:
        """What all spellings of the Patient ID have in common, and how it is shown."""
        patient, issuer = pair.patient, pair.issuer
        if self._spelling.issuer and not issuer and _ISSUED in patient:
            patient, _, issuer = patient.partition(_ISSUED)
        return self._spelling.key(patient, issuer), self._spelling.label(patient, issuer)

    def _patient(self, pair: Pair) -> None:
        key, label = self._key(pair)
        if not key:
            self._complain(pair.line, "the Patient ID is missing", "write it, or remove the line")
            return
        if pair.patient_days and (days := self._days(pair.line, pair.patient_days)):
            self._say(Kind.PATIENT_SHIFT, pair.line, key, days)
        if not pair.subject and pair.patient_days:
            return
        if not SUBJECT.fullmatch(pair.subject):
            what = "the pseudonym cannot be used" if pair.subject else "the pseudonym is missing"
            self._complain(pair.line, what, SUBJECT_HINT)
            return
        if self._identifies(pair):
            self._complain(pair.line, "the pseudonym has the Patient ID or the name in it", "leave this patient out")
            return
        if self._say(Kind.SUBJECT, pair.line, key, pair.subject, alone=True):
            self._say(Kind.PATIENT, pair.line, label, pair.subject)

    def _identifies(self, pair: Pair) -> bool:
        subject, plain = pair.subject.casefold(), self._spelling.key(pair.patient).casefold()
        told = [plain, pair.patient.strip().casefold(), *re.split(r"[\s^=,]+", pair.name.casefold())]
        return any(one == subject or (len(one) >= _SHORT and one in subject) for one in told if one)

    def _uid(self, pair: Pair) -> None:
        if not (_UID.fullmatch(pair.uid) and _UID.fullmatch(pair.new_uid)):
            self._complain(pair.line, "this is no pair of UIDs", "mend it, or remove the line")
        elif pair.uid == pair.new_uid:
            self._complain(pair.line, "the new UID is the original", "leave it out: it would say which one it is")
        elif is_registered(pair.uid):
            self._complain(pair.line, "the original is a UID of the standard", "leave it out: it stays as it is")
        else:
            self._say(Kind.UID, pair.line, pair.uid, pair.new_uid, alone=True)

    def _days(self, line: int, text: str) -> str:
        """Days as they are recorded; "" where there are none."""
        if not _DAYS.fullmatch(text) or abs(int(text)) > _MOST_DAYS:
            what = f"the date shift must be a whole number of days, at most {_MOST_DAYS} either way"
            self._complain(line, what, "write a number such as -42, or leave the cell empty")
        elif int(text):
            return str(int(text))
        elif self._old.lenient:
            self._unmoved += 1
        else:
            self._complain(line, "a shift of no days changes no date", "write another number, or leave the cell empty")
        return ""

    def _say(self, kind: Kind, line: int, original: str, new: str, *, alone: bool = False) -> bool:
        """Keeps a pair, unless another line stands against it. ``alone``: nobody else may have the same."""
        said = self._said[kind]
        first = self._lines.setdefault((kind, original), line)
        if said.get(original, new) != new:
            self._complain(line, f"line {first} says otherwise of the same", "remove one of the two")
            return False
        folded = new.casefold()  # a share may not tell the folders of two cases apart
        if alone and self._owners.setdefault((kind, folded), original) != original:
            first = self._lines[kind, self._owners[kind, folded]]
            self._complain(line, f"line {first} has the same for another one", "give each one of its own")
            return False
        said[original] = new
        return True

    def compare(self, vault: Vault) -> Outlook:
        """What of it is new to the vault, and what stands against it there."""
        name = self._project.name
        for kind, said in self._said.items():
            recorded = vault.replacements(name, kind, said)
            for original, new in said.items():
                known = recorded.get(original)
                if known not in (None, new):
                    self._against(kind, original, "the vault has another one already")
            self._outlook.known[kind] = sum(recorded.get(original) == new for original, new in said.items())
            fresh = {original: new for original, new in said.items() if original not in recorded}
            if fresh:
                self._outlook.new[kind] = fresh
        self._refuse_taken(vault)
        self._refuse_originals(vault)
        self._beside_list()
        return self._outlook

    def _refuse_taken(self, vault: Vault) -> None:
        """A subject or UID that the vault has for another original."""
        for kind in (Kind.SUBJECT, Kind.UID):
            for original, new in self._outlook.new.get(kind, {}).items():
                if set(vault.originals(self._project.name, kind, new)) - {original}:
                    self._against(kind, original, "the vault has the same for another one already")

    def _refuse_originals(self, vault: Vault) -> None:
        """A new ID that is somebody's original one would name another patient or Study."""
        for kind in (Kind.SUBJECT, Kind.UID):
            found = self._outlook.new.get(kind, {})
            originals = {one.casefold() for one in self._said[kind]}
            keys = {new: self._spelling.key(new) if kind is Kind.SUBJECT else new for new in found.values()}
            known = vault.replacements(self._project.name, kind, keys.values())
            for original, new in found.items():
                if new.casefold() in originals or keys[new].casefold() in originals or keys[new] in known:
                    self._against(kind, original, "what is new is the original of another one", "leave it out")

    def _beside_list(self) -> None:
        """What the project's list of subjects says of the same patients."""
        setting = self._project.subjects
        if not isinstance(setting, Listed):
            return
        missing = 0
        for key, subject in self._said[Kind.SUBJECT].items():
            entry = setting.entries.get(key)
            missing += entry is None
            if entry is not None and entry.subject != subject:
                self._against(Kind.SUBJECT, key, "the project's list has another subject", "mend one of the two")
        if missing:
            self._note(f"{missing} patients are not on the project's list: their Studies wait as `lookup-miss`")

    def _against(self, kind: Kind, original: str, what: str, hint: str = _KEPT) -> None:
        names = {Kind.UID: "UID", Kind.DATE_SHIFT: "date shift of a Study", Kind.PATIENT_SHIFT: "date shift"}
        self._complain(self._lines.get((kind, original), 1), f"{names.get(kind, 'pseudonym')}: {what}", hint)

    def _complain(self, line: int, what: str, hint: str) -> None:
        self._outlook.problems.append(Problem(file=self._file, line=line, key="", what=what, hint=hint))

    def _note(self, text: str) -> None:
        self._outlook.notes.append(text)


def counts(outlook: Outlook) -> Mapping[str, dict[str, int]]:
    """By what people call it: how many are new, and how many known."""
    names = {
        "patients": Kind.SUBJECT,
        "uids": Kind.UID,
        "study_shifts": Kind.DATE_SHIFT,
        "patient_shifts": Kind.PATIENT_SHIFT,
    }
    return {name: {"new": outlook.count(kind), "known": outlook.known.get(kind, 0)} for name, kind in names.items()}
