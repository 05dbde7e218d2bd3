"""The audit report of a period: as a page, as text, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coatcheck.reports.audit import Asked, Delivery, Integrity, Period, SetAside, by_profile
from coatcheck.reports.document import Document, Section, Table

_ABOUT: Final = (
    "Who asked the vault for originals and why, and what was delivered under which profile. Patients and Studies stand"
    " here by their pseudonyms; reasons stand as people wrote them."
)
_COLUMNS: Final = (
    *("kind", "at", "project", "who", "action", "what", "why", "ticket", "subject", "number", "profile", "digest"),
    *("edition", "instances", "duplicates", "refused", "bytes", "reason", "state", "files"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_NO_REASON: Final = "no reason was given"
_LEFT_OUT: Final = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """All that an audit report says. ``made`` says when, UTC; ``destroyed`` has the projects whose key was."""

    period: Period
    projects: Sequence[str]
    asked: Sequence[Asked]
    deliveries: Sequence[Delivery]
    set_aside: Sequence[SetAside]
    integrity: Integrity
    destroyed: dict[str, str]
    version: str
    made: str

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {
            "version": 1,
            "made": self.made,
            "coatcheck": self.version,
            "from": self.period.first,
            "to": self.period.last,
            "projects": list(self.projects),
            "integrity": {**asdict(self.integrity), "whole": not self.integrity.faults},
            "keys_destroyed": self.destroyed,
            "asked": [asdict(one) for one in self.asked],
            "delivered_by_profile": [
                {"project": project, "profile": profile, "digest": digest, "edition": edition, **counts}
                for (project, profile, digest, edition), counts in by_profile(self.deliveries)
            ],
            "deliveries": [asdict(one) for one in self.deliveries],
            "set_aside": [asdict(one) for one in self.set_aside],
        }

    def as_csv(self) -> str:
        """A row for each thing that happened, of three kinds: asked, delivered, set aside."""
        out = io.StringIO()
        writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for kind, found in (("asked", self.asked), ("delivered", self.deliveries), ("set-aside", self.set_aside)):
            for one in found:
                cells = {key: _cell(value) for key, value in asdict(one).items()}
                writer.writerow({"kind": kind, **cells})
        return out.getvalue()

    def document(self) -> Document:
        """The report for people."""
        look_ups = [one for one in self.asked if one.is_look_up]
        silent = sum(not one.why for one in look_ups)
        said = f"{len(look_ups)} look-ups" + (f", {silent} without a reason" if silent else "")
        counts = f"{sum(one.instances for one in self.deliveries)} Instances in {len(self.deliveries)} deliveries"
        facts = (
            ("Period (UTC)", f"{self.period.first} to {self.period.last}, both days included"),
            ("Projects", ", ".join(self.projects) or "none"),
            ("Originals asked for", said),
            ("Delivered", counts),
            ("Audit", "whole" if not self.integrity.faults else "BROKEN: see below"),
        )
        return Document(
            title="Audit report",
            about=_ABOUT,
            facts=facts,
            sections=tuple(self._sections(look_ups)),
            end=f"Made on {self.made} by coatcheck {self.version} from its records.",
        )

    def _sections(self, look_ups: Sequence[Asked]) -> Iterator[Section]:
        yield _integrity(self.integrity, self.destroyed)
        yield _asked("Who asked for originals", look_ups, "Nobody asked for an original.")
        others = [one for one in self.asked if not one.is_look_up]
        yield _asked("What else the audit has", others, "Nothing else stands in the audit for this period.")
        yield _profiles(self.deliveries)
        if self.set_aside:
            rows = tuple((one.project, one.reason, one.state, one.files) for one in self.set_aside)
            text = (
                "Files that came into the quarantine, were given back to the inbox (retried) or thrown away (dropped)."
            )
            table = Table(head=("Project", "Reason", "State", "Files"), rows=rows)
            yield Section(title="What was set aside", text=(text,), table=table)
        if self.deliveries:
            yield _deliveries(self.deliveries)


def without_reasons(found: Sequence[Asked]) -> list[Asked]:
    """The same, without what people wrote."""
    return [Asked(**{**asdict(one), "why": _LEFT_OUT if one.why else ""}) for one in found]


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _integrity(found: Integrity, destroyed: dict[str, str]) -> Section:
    keys = tuple(f"The key of {name} was destroyed on {at}: what was said is sealed." for name, at in destroyed.items())
    if found.faults:
        text = "The chain of the audit is broken. Rows were changed, put in or taken out; do not rely on what follows."
        return Section(title="Integrity of the audit", text=(text,), points=(*found.faults, *keys))
    if not found.rows:
        return Section(title="Integrity of the audit", text=("The audit is empty.",), points=keys)
    text = (
        f"The audit's chain was followed through all rows up to {found.rows}: each row follows the one before it, and"
        f" the row that ledger.db remembers ({found.anchor}) is in it. Digest of the last row: {found.digest}."
    )
    more = (
        "This does not show the work of somebody who can write both databases: keep this digest, or backups, elsewhere."
    )
    return Section(title="Integrity of the audit", text=(text, more), points=keys)


def _asked(title: str, found: Sequence[Asked], nothing: str) -> Section:
    if not found:
        return Section(title=title, text=(nothing,))
    rows = tuple(
        (_time(one.at), one.project, one.who, one.action, one.what or "-", one.why or _silent(one)) for one in found
    )
    head = ("When (UTC)", "Project", "Who", "Action", "What", "Why")
    return Section(title=title, table=Table(head=head, rows=rows, fixed=frozenset({"When (UTC)"})))


def _silent(one: Asked) -> str:
    return _NO_REASON if one.is_look_up else "-"


def _profiles(found: Sequence[Delivery]) -> Section:
    if not found:
        return Section(title="What was delivered, by profile", text=("Nothing was delivered.",))
    rows = tuple(
        (*key, *(counts[name] for name in ("studies", "deliveries", "instances", "duplicates", "refused")))
        for key, counts in by_profile(found)
    )
    head = ("Project", "Profile", "Digest", "Edition", "Studies", "Deliveries", "Instances", "Again", "Refused")
    text = "A digest names all that a profile does, with the edition of PS3.15."
    table = Table(head=head, rows=rows, fixed=frozenset({"Digest"}))
    return Section(title="What was delivered, by profile", text=(text,), table=table)


def _deliveries(found: Sequence[Delivery]) -> Section:
    rows = tuple(
        (_time(one.at), one.project, one.ticket, one.subject, one.number, one.digest, one.instances) for one in found
    )
    head = ("When (UTC)", "Project", "Study", "Subject", "No.", "Digest", "Instances")
    table = Table(head=head, rows=rows, fixed=frozenset({"When (UTC)", "Digest"}))
    return Section(title="Each delivery", table=table)


def _time(at: str) -> str:
    return at[:19].replace("T", " ")
