"""What happened in a period: who asked the vault for what and why, and what was delivered under which profile.

The ledger gives pseudonyms only. What a person said to the vault is sealed, and may name somebody: what was asked for
is told only where it is a pseudonym that the ledger has, and why as it was written. The chain of the audit is followed
through all of its rows, not only those of the period.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck import database
from coatcheck.ledger.migrations import migrations
from coatcheck.vault import AuditRow, Vault

REPORTED: Final = "audit report"
"""The action of the row that a report leaves itself."""

LOOK_UPS: Final = ("redeem", "mapping export")
SEALED: Final = "sealed: the key is not at hand"
_ELSEWHERE: Final = "a value that no delivered Study has"
_OWN_REASONS: Final = ("quarantine", "reprocess")  # which note numbers of refusals, or a ticket with its profile
_OPEN_SUBJECTS: Final = ("key rotate",)  # whose subject is coatcheck's own text; others may be paths

_DELIVERED: Final = """
    SELECT events.at, studies.project, ticket, subject, number, profile, profile_digest AS digest, edition,
        instances - duplicates - refused AS instances, duplicates, refused, bytes
    FROM events JOIN deliveries ON deliveries.id = events.delivery_id JOIN studies ON studies.id = deliveries.study_id
    WHERE events.to_state = 'released' AND events.at >= ?1 AND events.at < ?2 AND events.refusal_id IS NULL
        AND studies.project = COALESCE(?3, studies.project) ORDER BY events.id
"""
_SET_ASIDE: Final = """
    SELECT refusals.project, reason, to_state AS state, SUM(files) AS files
    FROM events JOIN refusals ON refusals.id = events.refusal_id
    WHERE to_state IN ('quarantined', 'retried', 'dropped') AND NOT (from_state = 'planned' AND to_state = 'dropped')
        AND events.at >= ?1 AND events.at < ?2 AND refusals.project = COALESCE(?3, refusals.project)
    GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_WHOSE: Final = (
    ("subject {value}, study {ticket}", "SELECT ticket FROM studies WHERE project = ?1 AND subject = ?2 ORDER BY id"),
    ("study {ticket}", "SELECT ticket FROM studies WHERE project = ?1 AND study_uid = ?2"),
    (
        "an instance of study {ticket}",
        "SELECT ticket FROM instances JOIN studies ON studies.id = instances.study_id"
        " WHERE state = 'delivered' AND sop_uid = ?2 AND project = ?1",
    ),
    (
        "a series of study {ticket}",
        "SELECT DISTINCT ticket FROM series JOIN studies ON studies.id = series.study_id"
        " WHERE project = ?1 AND series_uid = ?2",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Something that a person asked of the vault. ``at`` is UTC; ``what`` and ``why`` are "" where nothing was said."""

    at: str
    project: str
    who: str
    action: str
    what: str
    why: str

    @property
    def is_look_up(self) -> bool:
        """Whether originals were asked for."""
        return self.action.startswith(LOOK_UPS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A folder that went to the outbox. ``at`` is UTC; ``instances`` are those that went out."""

    at: str
    project: str
    ticket: str
    subject: str
    number: int
    profile: str
    digest: str
    edition: str
    instances: int
    duplicates: int
    refused: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside:
    """Files that came to a state of the quarantine in the period."""

    project: str
    reason: str
    state: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Integrity:
    """What following the audit's chain showed. ``rows`` is the number of its last row, ``anchor`` what the ledger knew.

    It is whole where there are no ``faults``.
    """

    rows: int
    digest: str
    anchor: int
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """From the beginning of the first day to the end of the last, in UTC, as texts of the ledger compare."""

    first: str
    last: str
    before: str


def asked(vault: Vault, ledger: Path, projects: Sequence[str], period: Period) -> list[Asked]:
    """What was asked of the vault for these projects, in the order in which it was. Raises StateError."""
    found = (row for name in projects for row in vault.audits_between(name, period.first, period.before))
    rows = sorted(found, key=lambda row: row.id)
    with closing(database.open_reader(ledger, migrations=migrations)) as db:

        def look(sql: str, *values: object) -> list[sqlite3.Row]:
            return database.rows(db, ledger, sql, values)

        return [_asked(row, look) for row in rows]


def _asked(row: AuditRow, look: Callable[..., list[sqlite3.Row]]) -> Asked:
    what = "" if row.subject is None else _what(row, look)
    why = row.reason or ""
    if row.sealed:
        what, why = SEALED, SEALED
    elif row.action.startswith(_OWN_REASONS):
        what, why = why, ""
    return Asked(at=row.at, project=row.project, who=row.who, action=row.action, what=what, why=why)


def _what(row: AuditRow, look: Callable[..., list[sqlite3.Row]]) -> str:
    """What was asked for, if it is a pseudonym of the ledger."""
    if row.action in _OPEN_SUBJECTS:
        return row.subject or ""
    if row.action != "redeem":
        return ""
    for told, sql in _WHOSE:
        found = [one["ticket"] for one in look(sql, row.project, row.subject)]
        if found:
            return told.format(value=row.subject, ticket=", ".join(found))
    return _ELSEWHERE


def deliveries(ledger: Path, period: Period, project: str | None) -> list[Delivery]:
    """What was delivered, in the order in which it was. Raises StateError."""
    return [Delivery(**dict(row)) for row in _rows(ledger, _DELIVERED, period, project)]


def set_aside(ledger: Path, period: Period, project: str | None) -> list[SetAside]:
    """What came into the quarantine, was given back, or thrown away. Raises StateError."""
    return [SetAside(**dict(row)) for row in _rows(ledger, _SET_ASIDE, period, project)]


def _rows(ledger: Path, sql: str, period: Period, project: str | None) -> list[sqlite3.Row]:
    with closing(database.open_reader(ledger, migrations=migrations)) as db:
        return database.rows(db, ledger, sql, (period.first, period.before, project))


def integrity(vault: Vault, anchor: tuple[int, bytes] | None) -> Integrity:
    """Follows the whole chain; ``anchor`` is what the ledger remembered before."""
    faults = tuple(vault.audit_faults(anchor))
    rows, digest = vault.audit_head()
    return Integrity(rows=rows, digest=digest.hex(), anchor=anchor[0] if anchor else 0, faults=faults)


def by_profile(found: Sequence[Delivery]) -> Iterator[tuple[tuple[str, str, str, str], Counter[str]]]:
    """Project, profile, digest and edition, with what was delivered under them."""
    sums: dict[tuple[str, str, str, str], Counter[str]] = {}
    studies: dict[tuple[str, str, str, str], set[str]] = {}
    for one in found:
        key = (one.project, one.profile, one.digest, one.edition)
        counts = {"deliveries": 1, "instances": one.instances, "duplicates": one.duplicates, "refused": one.refused}
        sums.setdefault(key, Counter()).update(counts)
        studies.setdefault(key, set()).add(one.ticket)
    for key in sorted(sums):
        sums[key]["studies"] = len(studies[key])
        yield key, sums[key]
