"""Who the patient of a Study is in the results: the subject that he or she has, or now gets.

What was recorded holds: a patient of whom something was delivered keeps the subject, whatever the settings say now.
Two patients never share one. Where a list contradicts what was recorded, the Study is refused instead of guessed at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coatcheck.config import Project
from coatcheck.config_subjects import Entry, Listed, Sequential
from coatcheck.deid import pseudonyms
from coatcheck.deid.facts import letters
from coatcheck.deid.folding import views
from coatcheck.deid.profile import Profile
from coatcheck.deid.shifts import Ids
from coatcheck.delivery.folder import STAGING
from coatcheck.model import Identity, Job, Study
from coatcheck.reasons import Reason
from coatcheck.vault import Kind, Vault

_PATIENT_ID = "(0010,0020)"
_SHORT = 4  # what is shorter may stand in a subject by chance
_BETWEEN = re.compile(r"[\s^=,]+")
_OF_A_STUDY = "\0study\0"  # leads the key of a Study without a Patient ID; no key of an ID begins so


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The subject of a Study.

    ``shift_days`` is the date shift of the list or of an earlier system, None where the profile's holds. ``verdict``
    says why the Study is refused; the subject is a stand-in then, if nothing of the Study was delivered. The mappings
    are for the vault, to be recorded with the outcome: Patient IDs as they came, and what all their spellings have in
    common.
    """

    subject: str
    shift_days: int | None = field(default=None, repr=False)
    verdict: tuple[Reason, str] | None = None
    patients: Mapping[str, str] = field(default_factory=dict, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


def find(
    project: Project,
    vault: Vault,
    secret: bytes,
    study: Study,
    identity: Iterable[Identity],
    *,
    delivered: str | None,
    now: str,
) -> Given:
    """The subject of a Study; ``delivered`` is the one under which a part of it is out already.

    A number of a sequence is given here, and is the patient's from then on, whatever becomes of the Study. Raises
    StateError.
    """
    spelling = project.subjects.spelling
    ids = sorted({(one.patient_id, one.issuer) for one in study.instances if one.patient_id})
    keys = sorted({spelling.key(*one) for one in ids} - {""})
    labels = {spelling.label(*one) for one in ids}
    search = _Search(project, vault, secret, study.study_uid, delivered, labels, now)
    if len(keys) > 1:
        return search.refused(Reason.PATIENT_MISMATCH, _PATIENT_ID)
    if not keys and delivered is not None:
        return Given(subject=delivered)
    given = search.of(keys[0] if keys else "")
    told = isinstance(project.subjects, Listed) or vault.has_imported(project.name, Kind.SUBJECT)
    if told and given.verdict is None and given.subject != pseudonyms.subject(secret, "".join(keys), study.study_uid):
        names = {one.text for one in identity if one.kind == "name"}
        if _names_somebody(given.subject, names):
            return search.refused(Reason.IDENTITY_FOUND, "(0010,0010) name")
    return given


def _names_somebody(subject: str, names: Iterable[str]) -> bool:
    """Whether a subject that people chose has a name of the Study in it. Where the name has the whole subject in it,
    with a number, somebody was examined under the subject: that is no name.
    """
    own = letters(subject)
    numbered = any(map(str.isdigit, own))
    found = {part for one in names if not (numbered and own in letters(one)) for part in _BETWEEN.split(one)}
    return any(view.text in subject.lower() for part in found if len(part) >= _SHORT for view in views(part))


def shift_days(
    project: Project, profile: Profile, vault: Vault, secret: bytes, given: Given, study_uid: str
) -> int | None:
    """By how many days the dates of a Study move: the list's, an earlier delivery's, or a new number.

    None where each Series or Instance has its own. Raises StateError.
    """
    recorded = vault.replacement(project.name, Kind.DATE_SHIFT, study_uid)
    known = recorded if given.shift_days is None else given.shift_days
    if known is not None:
        return int(known)
    if profile.dates.scope in ("series", "instance"):
        return None
    ids = Ids(patient=given.subject, study=study_uid)
    return profile.dates.shift(project.date_shift_days).days(secret, ids, project.name)


def frozen(
    project: Project,
    given: Given,
    uids: Mapping[str, str],
    *,
    delivery_id: int,
    ticket: str,
    days: int | None,
    identity: frozenset[Identity],
) -> Job:
    """What decides the result of a Study; ``uids`` are those of an earlier system."""
    return Job(
        delivery_id=delivery_id,
        project=project.name,
        ticket=ticket,
        subject=given.subject,
        shift_days=days,
        identity=identity,
        date_range=project.date_shift_days,
        variables=tuple(project.variables.items()),
        uids=tuple(sorted(uids.items())),
    )


class EarlierUids:
    """The new UIDs that an earlier system gave, where a map of it was taken over."""

    def __init__(self, project: str, profile: Profile, vault: Vault, secret: bytes) -> None:
        self._project = project
        self._profile = profile
        self._vault = vault
        self._secret = secret

    def of(self, uids: Iterable[str]) -> dict[str, str]:
        """Those of some original UIDs. Raises StateError."""
        if not self._vault.has_imported(self._project, Kind.UID):
            return {}
        found = self._vault.replacements(self._project, Kind.UID, uids)
        return {old: new for old, new in found.items() if new not in self._derived(old)}

    def of_study(self, study: Study) -> dict[str, str]:
        """Those by which a Study and its parts are known. Raises StateError."""
        return self.of({study.study_uid, *(uid for one in study.instances for uid in (one.series_uid, one.sop_uid))})

    def _derived(self, old: str) -> tuple[str, str]:
        return pseudonyms.uid(self._secret, old), self._profile.uid(self._secret, old)


class _Search:
    """The look for one Study's subject."""

    def __init__(
        self,
        project: Project,
        vault: Vault,
        secret: bytes,
        study_uid: str,
        delivered: str | None,
        labels: set[str],
        now: str,
    ) -> None:
        self._name = project.name
        self._setting = project.subjects
        self._outbox = project.outbox
        self._vault = vault
        self._secret = secret
        self._study_uid = study_uid
        self._delivered = delivered
        self._labels = labels
        self._now = now

    def refused(self, reason: Reason, detail: str) -> Given:
        """A verdict. Until something of the Study has left, the ledger may have any subject for it."""
        subject = self._delivered or pseudonyms.subject(self._secret, "", self._study_uid)
        return Given(subject=subject, verdict=(reason, detail))

    def of(self, patient: str) -> Given:
        """``patient`` is what all spellings of the Patient ID have in common, "" where there is none."""
        setting, vault = self._setting, self._vault
        key = patient or _OF_A_STUDY + self._study_uid
        entry = setting.entries.get(patient) if isinstance(setting, Listed) else None
        if isinstance(setting, Listed) and entry is None:
            return self.refused(Reason.LOOKUP_MISS, _PATIENT_ID)
        by_key = vault.replacement(self._name, Kind.SUBJECT, key)
        by_label = {vault.replacement(self._name, Kind.PATIENT, label) for label in self._labels} - {None}
        recorded = by_label or {by_key} - {None}
        if len(recorded) > 1:
            return self.refused(Reason.PATIENT_MISMATCH, f"values of {_PATIENT_ID} have different values after")
        known = next(iter(recorded), None)
        if entry is not None and known not in (None, entry.subject) and self._delivered is None:
            return self.refused(Reason.PATIENT_MISMATCH, f"{_PATIENT_ID} has another value than the one before")
        return self._checked(key, known or self._new(patient, key, entry), entry, recorded=known, by_key=by_key)

    def _new(self, patient: str, key: str, entry: Entry | None) -> str:
        """The subject of a patient who has none."""
        setting = self._setting
        if entry is not None:
            return entry.subject
        if isinstance(setting, Sequential):
            if self._delivered is not None:  # Another patient's: no number is wasted on it.
                return ""
            outbox = self._outbox
            return self._vault.numbered(
                *(self._name, key, setting.subject, setting.start, self._now),
                taken=lambda subject: os.path.lexists(outbox / subject),
                begun=os.path.lexists(outbox / STAGING),
            )
        return pseudonyms.subject(self._secret, patient, self._study_uid)

    def _checked(
        self, key: str, subject: str, entry: Entry | None, *, recorded: str | None, by_key: str | None
    ) -> Given:
        """The subject, unless it is another patient's."""
        if self._delivered not in (None, subject):
            return self.refused(Reason.PATIENT_MISMATCH, _PATIENT_ID)
        owners = set(self._vault.originals(self._name, Kind.SUBJECT, subject)) - {key}
        if recorded is None and owners:
            return self.refused(Reason.PATIENT_MISMATCH, f"{_PATIENT_ID} has the value of another patient")
        return Given(
            subject=subject,
            shift_days=self._shift(key, entry),
            patients=dict.fromkeys(self._labels, subject),
            keys={key: subject} if by_key is None else {},
        )

    def _shift(self, key: str, entry: Entry | None) -> int | None:
        """The list's shift, or an earlier system's, unless something of the Study left with another one."""
        recorded = self._vault.replacement(self._name, Kind.DATE_SHIFT, self._study_uid)
        if recorded is not None:
            return None
        if entry is not None and entry.shift_days is not None:
            return entry.shift_days
        earlier = self._vault.replacement(self._name, Kind.PATIENT_SHIFT, key)
        return None if earlier is None else int(earlier)
