"""The de-identification report on one Study: what was removed, what was kept and why, and what risk remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pydicom._uid_dict import UID_dictionary

from coatcheck.deid.profile import Profile
from coatcheck.deid.treatment import CATEGORIES, KEPT, OUTCOMES, Treatment, rules_beside
from coatcheck.reasons import EXPLANATIONS, Reason
from coatcheck.reports.document import Document, Section, Table
from coatcheck.reports.residual import risks
from coatcheck.reports.study import Delivered, Study, Work

_ABOUT: Final = (
    "What was done to a DICOM Study before it left: by attributes and rules, without any value. Pseudonyms stand for"
    " the patient and the Study; only whoever holds the project's key can lead them back."
)
_FALLBACK: Final = (
    "The rule is that of an object's top level; inside sequences the same attributes are treated in the same way unless"
    " a rule below says otherwise; what stood in a sequence that was removed went with it. Where a value could not be"
    " treated as its rule says, such as a date that is none, the Basic Profile's action was done instead; a text that"
    " did not fit once it was sealed went, or became what `too_short` says."
)
_NOT_AT_HAND: Final = (
    "No profile with this digest is at hand: it was changed since, or is of another edition. What it did to each"
    " attribute is therefore not told. Name its file with --profile FILE."
)
_NO_TAGS: Final = "Which attributes the Study had was not recorded yet when it was delivered."
_ORDER: Final = tuple(dict.fromkeys(OUTCOMES.values()))
_PRIVATE: Final = {
    "remove": "all removed",
    "safe": "those of PS3.15 Table E.3.10-1 stay where a file had them, the others are removed",
    "keep-listed": "those that a rule names stay where a file had them, the others are removed",
}
_UNLISTED: Final = {
    "keep": "stay, but for dates, times, names, UIDs, ages and free text",
    "remove": "removed unless a rule names them",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """All that a report on a Study says. ``made`` says when, UTC; ``pixel_risk`` is the project's setting now."""

    study: Study
    works: Sequence[Work]
    pixel_risk: str | None
    version: str
    made: str

    @property
    def risks(self) -> list[str]:
        """What may still tell who the patient is."""
        return risks(self.study, self.works, self.pixel_risk)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        study = asdict(self.study)
        study["deliveries"] = [{key: one[key] for key in one if key != "tags"} for one in study["deliveries"]]
        study["set_aside"] = [dict(zip(("reason", "state", "files"), one, strict=True)) for one in study["set_aside"]]
        return {
            "version": 1,
            "made": self.made,
            "coatcheck": self.version,
            "study": study,
            "profiles": [_work_json(one) for one in self.works],
            "residual_risks": self.risks,
        }

    def document(self) -> Document:
        """The report for people."""
        study = self.study
        instances = _counted(sum(one.instances for one in study.deliveries), "Instance", "Instances")
        deliveries = _counted(len(study.deliveries), "delivery", "deliveries")
        facts = (
            ("Project", study.project),
            ("Ticket", study.ticket),
            ("Subject", study.subject),
            ("Study Instance UID", f"{study.study_uid} (new)"),
            ("Delivered", f"{instances} in {deliveries}"),
            ("Profiles", "; ".join(f"{one.name}, digest {one.digest}" for one in self.works)),
            ("Edition of PS3.15", ", ".join(dict.fromkeys(one.edition for one in self.works))),
        )
        return Document(
            title="De-identification report",
            about=_ABOUT,
            facts=tuple((label, value) for label, value in facts if value),
            sections=tuple(self._sections()),
            end=f"Made on {self.made} by coatcheck {self.version} from its records.",
        )

    def _sections(self) -> Iterator[Section]:
        yield _deliveries(self.study.deliveries)
        if self.study.sop_classes:
            yield _contents(self.study)
        if self.study.set_aside:
            yield _set_aside(self.study)
        parts = [(work, "" if len(self.works) == 1 else f", {_parts(work)}") for work in self.works]
        for work, part in parts:
            yield from _summary(work, part)
        if self.works:
            yield Section(title="Residual risks", points=tuple(self.risks))
        for work, part in parts:
            yield from _details(work, part)


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _work_json(work: Work) -> dict[str, Any]:
    profile = work.profile
    told: dict[str, Any] = {
        "name": work.name,
        "digest": work.digest,
        "edition": work.edition,
        "deliveries": list(work.numbers),
        "at_hand": profile is not None,
    }
    if profile is not None:
        codes = [{"code": one.code, "scheme": "DCM", "meaning": one.meaning} for one in profile.methods]
        told |= {"title": profile.title, "methods": codes, "options": list(profile.options)}
        told |= {"private": profile.private, "unlisted": profile.unlisted, "dates": profile.temporal_information}
        beside = [dict(zip(("attribute", "action", "rule"), one, strict=True)) for one in rules_beside(profile)]
        told["further_rules"] = beside
    told["attributes"] = None if work.treatments is None else [asdict(one) for one in work.treatments]
    return told


def _parts(work: Work) -> str:
    return "delivery " + ", ".join(map(str, work.numbers))


def _deliveries(deliveries: Sequence[Delivered]) -> Section:
    head = ("No.", "Delivered (UTC)", "Profile", "Digest", "Edition", "In", "Out", "Again", "Refused")
    rows = tuple(
        (
            *(one.number, one.at[:19].replace("T", " "), one.profile, one.digest, one.edition),
            *(one.instances + one.duplicates + one.refused, one.instances, one.duplicates, one.refused),
        )
        for one in deliveries
    )
    text = "Counts are Instances. What came again with the same content was not delivered a second time."
    nothing = "Nothing of the Study was delivered."
    fixed = frozenset({"Delivered (UTC)", "Digest"})
    table = Table(head=head, rows=rows, fixed=fixed) if rows else None
    return Section(title="Deliveries", text=(text if rows else nothing,), table=table)


def _contents(study: Study) -> Section:
    rows = tuple((_class_name(one.uid), one.series, one.instances) for one in study.sop_classes)
    table = Table(head=("SOP Class", "Series", "Instances"), rows=rows)
    return Section(title="What was delivered", table=table)


def _set_aside(study: Study) -> Section:
    rows = tuple((reason, EXPLANATIONS[Reason(reason)].what, state, n) for reason, state, n in study.set_aside)
    text = "Files of this Study that were not delivered. They lie in the project's quarantine unless given back."
    table = Table(head=("Reason", "What happened", "State", "Files"), rows=rows)
    return Section(title="What was set aside", text=(text,), table=table)


def _summary(work: Work, part: str) -> Iterator[Section]:
    if work.profile is None:
        yield Section(title=f"What was done: profile {work.name}{part}", text=(_NOT_AT_HAND,))
        return
    yield _methods(work.profile, f"What was done: profile {work.name}{part}")
    if work.treatments is None:
        yield Section(title=f"By category{part}", text=(_NO_TAGS,))
        return
    yield _by_category(work.treatments, part)
    yield _kept(work.treatments, part)


def _details(work: Work, part: str) -> Iterator[Section]:
    if work.treatments is not None:
        yield _by_attribute(work.treatments, part)
    beside = tuple(rules_beside(work.profile)) if work.profile is not None else ()
    if beside:
        text = "For private attributes, for what stands inside a sequence, for many attributes at once, or added."
        table = Table(head=("Attribute", "Action", "Rule"), rows=beside)
        yield Section(title=f"Further rules of the profile{part}", text=(text,), table=table)


def _methods(profile: Profile, title: str) -> Section:
    rows = tuple((one.code, one.meaning, _option(one.name)) for one in profile.methods)
    points = (
        f"Longitudinal temporal information (0028,0303): {profile.temporal_information}.",
        f"Private attributes: {_PRIVATE[profile.private]}.",
        f"Attributes that Table E.1-1 does not list: {_UNLISTED[profile.unlisted]}.",
        "Pixel data: as it was.",
    )
    return Section(
        title=title,
        text=(f"{profile.title}. Codes of CID 7050, which every Instance carries in (0012,0064):",),
        table=Table(head=("Code (DCM)", "Meaning", "Option"), rows=rows),
        points=points,
    )


def _option(name: str) -> str:
    return "the profile itself" if name == "basic" else name


def _by_category(treated: Sequence[Treatment], part: str) -> Section:
    counts = Counter((one.category, one.outcome) for one in treated)
    outcomes = [one for one in _ORDER if any(outcome == one for _, outcome in counts)]
    rows = tuple(
        (category, *(counts[category, outcome] for outcome in outcomes))
        for category in CATEGORIES
        if any(kind == category for kind, _ in counts)
    )
    head = ("Category", *(one.capitalize() for one in outcomes))
    text = (
        "How many of the attributes that came in were treated how. An attribute counts once, however often it stood;"
        " one that the IODs of several SOP Classes ask to be treated otherwise counts for each way."
    )
    return Section(title=f"By category{part}", text=(text,), table=Table(head=head, rows=rows))


def _kept(treated: Sequence[Treatment], part: str) -> Section:
    """What was kept, by what said so: each reason with the attributes that it holds for."""
    by_rule: dict[str, list[str]] = {}
    for one in treated:
        if one.outcome == KEPT:
            by_rule.setdefault(_why(one), []).append(one.name)
    rows = tuple((why, len(names), ", ".join(names)) for why, names in sorted(by_rule.items()))
    if not rows:
        return Section(title=f"What was kept, and why{part}", text=("No attribute was kept as it was.",))
    table = Table(head=("Why", "Attributes", "Names"), rows=rows)
    return Section(title=f"What was kept, and why{part}", table=table)


def _why(one: Treatment) -> str:
    """The rule without the Attribute's own name, so that equal reasons meet."""
    rule = one.rule.replace(f"PS3.15 Table E.1-1, {one.name}, ", "PS3.15 Table E.1-1, option ")
    return rule.replace(f"PS3.15 Table E.1-1, {one.name}", "PS3.15 Table E.1-1")


def _by_attribute(treated: Sequence[Treatment], part: str) -> Section:
    rows = tuple((one.tag, one.name, one.vr, one.action, _decided(one)) for one in treated)
    head = ("Tag", "Attribute", "VR", "Action", "Decided by")
    table = Table(head=head, rows=rows, fixed=frozenset({"Tag", "Action"}))
    return Section(title=f"Action by attribute{part}", text=(_FALLBACK,), table=table)


def _decided(one: Treatment) -> str:
    among = f"; in {', '.join(map(_class_name, one.objects))}" if one.objects else ""
    more = "".join(f"; else {rule}" for rule in one.conditional)
    return one.rule + among + more


def _class_name(uid: str) -> str:
    return str(UID_dictionary[uid][0]) if uid in UID_dictionary else uid
