"""What the ledger knows of one Study, and what its profile did to it: everything that a report on it is made of.

No identity comes in here: the ledger holds none, and of a profile only its options and rules are told. A profile is
asked only if its digest is that of the delivery, so that nothing is told that was not so.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck import database
from coatcheck.deid.profile import Profile
from coatcheck.deid.treatment import Treatment, treatments
from coatcheck.errors import CoatcheckError
from coatcheck.ledger.migrations import migrations
from coatcheck.ledger.rows import unpack_tags

_TICKET: Final = re.compile(r"[0-9A-Z]{10}", re.IGNORECASE)
_FOUND: Final = """
    SELECT * FROM studies WHERE (ticket = ? OR study_uid = ?) AND project = COALESCE(?, project) ORDER BY project
"""
_DELIVERIES: Final = """
    SELECT number, profile, profile_digest, edition, instances, duplicates, refused, bytes, tags,
        COALESCE((SELECT MAX(at) FROM events WHERE study_id = ?1 AND delivery_id = deliveries.id
            AND to_state = 'released'), changed) AS at
    FROM deliveries LEFT JOIN tag_sets ON tag_sets.id = tag_set_id
    WHERE study_id = ?1 AND folder IS NOT NULL AND state IN ('released', 'done') ORDER BY deliveries.id
"""
_CLASSES: Final = """
    SELECT sop_class_uid, COUNT(DISTINCT series_uid), COUNT(*) FROM instances JOIN series ON series.id = series_id
    WHERE instances.study_id = ? AND state = 'delivered' GROUP BY sop_class_uid ORDER BY sop_class_uid
"""
_REFUSED: Final = """
    SELECT reason, state, SUM(files) FROM refusals WHERE study_id = ? AND state <> 'dropped' GROUP BY reason, state
    ORDER BY reason, state
"""
_MISSING: Final = "SELECT COUNT(*) FROM dangling WHERE study_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One folder that went to the outbox. ``at`` is UTC, ``profile`` its name; ``instances`` are those that went out.

    ``tags`` are the standard Attributes that came in, at any depth; None where the delivery is older than that record.
    """

    number: int
    at: str
    profile: str
    digest: str
    edition: str
    instances: int
    duplicates: int
    refused: int
    bytes: int
    tags: frozenset[int] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SopClass:
    """How many Series and Instances of a SOP Class were delivered."""

    uid: str
    series: int
    instances: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """What the ledger has of a Study, by its new identifiers."""

    project: str
    ticket: str
    subject: str
    study_uid: str
    first_seen: str
    deliveries: tuple[Delivered, ...]
    sop_classes: tuple[SopClass, ...]
    set_aside: tuple[tuple[str, str, int], ...]
    unresolved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was done by one profile. ``profile`` is None where none with this digest is at hand.

    ``treatments`` is None where the profile or the Study's Attributes are not known.
    """

    name: str
    digest: str
    edition: str
    numbers: tuple[int, ...]
    profile: Profile | None
    treatments: tuple[Treatment, ...] | None


def find(path: Path, wanted: str, project: str | None) -> Study:
    """The Study with a ticket or a new Study Instance UID. Raises CoatcheckError where none or several have it."""
    with closing(database.open_reader(path, migrations=migrations)) as db:
        ticket = wanted.upper() if _TICKET.fullmatch(wanted) else wanted

        def rows(sql: str, *values: object) -> list[sqlite3.Row]:
            return database.rows(db, path, sql, values)

        found = rows(_FOUND, ticket, wanted, project)
        if not found:
            hint = "name its ticket or the Study Instance UID of its result: `coatcheck status` and the log have them"
            raise CoatcheckError("the ledger has no such study", hint)
        if len(found) > 1:
            names = ", ".join(row["project"] for row in found)
            raise CoatcheckError(f"several projects have this study: {names}", "name one with --project")
        row, study = found[0], found[0]["id"]
        return Study(
            project=row["project"],
            ticket=row["ticket"],
            subject=row["subject"],
            study_uid=row["study_uid"],
            first_seen=row["first_seen"],
            deliveries=tuple(map(_delivered, rows(_DELIVERIES, study))),
            sop_classes=tuple(SopClass(uid=uid, series=many, instances=n) for uid, many, n in rows(_CLASSES, study)),
            set_aside=tuple((reason, state, files) for reason, state, files in rows(_REFUSED, study)),
            unresolved=rows(_MISSING, study)[0][0],
        )


def _delivered(row: sqlite3.Row) -> Delivered:
    return Delivered(
        number=row["number"],
        at=row["at"],
        profile=row["profile"],
        digest=row["profile_digest"],
        edition=row["edition"],
        instances=row["instances"] - row["duplicates"] - row["refused"],
        duplicates=row["duplicates"],
        refused=row["refused"],
        bytes=row["bytes"],
        tags=None if row["tags"] is None else unpack_tags(row["tags"]),
    )


def works(study: Study, profiles: Sequence[Profile]) -> list[Work]:
    """What was done to the Study, for each profile that it was delivered by, oldest first.

    ``profiles`` are those at hand; one that says something else by now has another digest, and is not asked.
    """
    found = []
    for name, digest, edition in dict.fromkeys((one.profile, one.digest, one.edition) for one in study.deliveries):
        mine = [one for one in study.deliveries if (one.profile, one.digest, one.edition) == (name, digest, edition)]
        profile = next((one for one in profiles if one.digest == digest), None)
        known = [one.tags for one in mine]
        classes = [one.uid for one in study.sop_classes]
        done = None
        if profile is not None and None not in known:
            tags = frozenset[int]().union(*(one for one in known if one is not None))
            done = tuple(treatments(profile, classes, tags))
        numbers = tuple(one.number for one in mine)
        found.append(Work(name=name, digest=digest, edition=edition, numbers=numbers, profile=profile, treatments=done))
    return found
