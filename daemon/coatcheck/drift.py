"""Drift: which attributes a profile treats otherwise since an older edition of PS3.15, and which Studies left before.

Compared are the codes of Table E.1-1, through the options of the profile. What a profile's own rules and coatcheck's
promises for every profile do over that does not depend on the edition. The ledger tells by which edition a delivery was
made and which standard attributes its Study had, so that it can be said which Studies are concerned.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coatcheck import database
from coatcheck.deid import editions
from coatcheck.deid.editions import Codes
from coatcheck.deid.standard import EDITION
from coatcheck.ledger.migrations import migrations
from coatcheck.ledger.rows import unpack_tags

_OUT = """
    FROM deliveries JOIN studies ON studies.id = deliveries.study_id LEFT JOIN tag_sets ON tag_sets.id = tag_set_id
    WHERE folder IS NOT NULL AND state IN ('released', 'done') AND project = COALESCE(?1, project)
"""
_EDITIONS = "SELECT DISTINCT edition" + _OUT + "ORDER BY edition"
_STUDIES = (
    "SELECT project, ticket, subject, study_uid, folder, edition, profile, deliveries.changed AS delivered, tags"
    + _OUT
    + "AND edition = ?2 ORDER BY project, deliveries.id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """An attribute that is treated otherwise now. ``tag`` is as the table writes it: ``0010,0020`` or ``60xx,3000``.

    ``before`` and ``after`` are action codes of PS3.15 Table E.1-1a, empty where the edition did not list the
    attribute; ``before_by`` and ``after_by`` say what gave the code: ``basic``, or the name of an option.
    """

    tag: str
    keyword: str
    name: str
    before: str
    before_by: str
    after: str
    after_by: str

    def as_record(self) -> dict[str, str]:
        """The same as a mapping, for a table or JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredStudy:
    """A Study in the outbox, by its new identifiers, and the edition and profile it was made with.

    ``folder`` is relative to the project's outbox, ``delivered`` is UTC. ``tags`` are the standard attributes that the
    Study had, None where the delivery is older than that record.
    """

    project: str
    ticket: str
    subject: str
    study_uid: str
    folder: str
    edition: str
    profile: str
    delivered: str
    tags: frozenset[int] | None = field(default=None, repr=False)

    def had(self, drifts: Sequence[Drift]) -> list[Drift] | None:
        """Those of the attributes that the Study had; None where that is not known: it may have had any."""
        tags = self.tags
        return None if tags is None else [one for one in drifts if any(_is(tag, one.tag) for tag in tags)]

    def as_record(self) -> dict[str, str]:
        """The same as a mapping, for a table or JSON, without its tags."""
        return {key: value for key, value in asdict(self).items() if key != "tags"}


def drifted(options: Sequence[str], old: str, new: str = EDITION) -> list[Drift]:
    """The attributes that a profile with these options treats otherwise under ``new`` than under ``old``, by tag.

    The options count in the order of the profile, the later wins. Raises CoatcheckError for an edition that is not
    known.
    """
    found = []
    for one in editions.differences(old, new):
        (before, before_by), (after, after_by) = _effective(one.before, options), _effective(one.after, options)
        if before != after:
            found.append(
                Drift(
                    tag=one.tag,
                    keyword=one.keyword,
                    name=one.name,
                    before=before,
                    before_by=before_by,
                    after=after,
                    after_by=after_by,
                )
            )
    return found


def _effective(codes: Codes | None, options: Sequence[str]) -> tuple[str, str]:
    """The code that holds under the options, and what gave it."""
    if codes is None:
        return "", ""
    for option in reversed(options):
        if option in codes.options:
            return codes.options[option], option
    return codes.basic, "basic"


def delivered_by(path: Path, edition: str, project: str | None = None) -> list[DeliveredStudy]:
    """What a ledger has as delivered by one edition, oldest first; `DeliveredStudy.had` says what it is concerned by.

    A Study that was delivered in parts is there for each of its folders. All projects count where none is named. Raises
    StateError where the ledger cannot be read.
    """
    found = [dict(row) for row in _rows(path, _STUDIES, project, edition)]
    return [DeliveredStudy(**row | {"tags": _unpacked(row["tags"])}) for row in found]


def _unpacked(tags: bytes | None) -> frozenset[int] | None:
    return None if tags is None else unpack_tags(tags)


def _is(tag: int, written: str) -> bool:
    """Whether a tag is the one that the table writes so; an ``x`` stands for any digit."""
    return all(mark in ("x", digit) for digit, mark in zip(f"{tag:08X}", written.replace(",", ""), strict=True))


def editions_in(path: Path, project: str | None = None) -> list[str]:
    """The editions that past deliveries were made with, oldest first. Raises StateError as `delivered_by` does."""
    return [row["edition"] for row in _rows(path, _EDITIONS, project)]


def _rows(path: Path, sql: str, *values: str | None) -> list[sqlite3.Row]:
    with closing(database.open_reader(path, migrations=migrations)) as db:
        return database.rows(db, path, sql, values)
