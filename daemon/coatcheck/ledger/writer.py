"""Writing ledger.db. Each method is one transaction: it happens whole or not at all, and is durable when it returns."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from coatcheck import database
from coatcheck.errors import StateError
from coatcheck.ledger import guard, references
from coatcheck.ledger import transitions as step
from coatcheck.ledger.migrations import migrations
from coatcheck.ledger.reader import LedgerReader
from coatcheck.ledger.rows import CommandState, DeliveryState, InstanceState, Note, RefusalState, pack_tags
from coatcheck.model import Refusal, Staged
from coatcheck.reasons import Reason

MODE = 0o640

_ADD_STUDY = """
    INSERT INTO studies (project, ticket, study_uid, subject, first_seen) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (project, ticket) DO NOTHING
"""
# As long as nothing of a Study has left, a Patient ID that was corrected at the source gives it another subject.
_CORRECT_SUBJECT = """
    UPDATE studies SET subject = ? WHERE project = ? AND ticket = ? AND NOT EXISTS (
        SELECT 1 FROM deliveries WHERE study_id = studies.id AND folder IS NOT NULL
        AND state IN ('staged', 'released', 'done'))
"""
_MAPPED_UID = _CORRECT_SUBJECT.replace("subject = ?", "study_uid = ?", 1)
_ADD_DELIVERY = """
    INSERT INTO deliveries (study_id, state, profile, profile_digest, edition, tag_set_id, instances, opened, changed)
    VALUES (?, 'open', ?, ?, ?, (SELECT id FROM tag_sets WHERE tags = ?), ?, ?, ?)
"""
_ADD_TAGS = "INSERT OR IGNORE INTO tag_sets (tags) VALUES (?)"
_ADD_SERIES = "INSERT OR IGNORE INTO series (study_id, series_uid, sop_class_uid) VALUES (?, ?, ?)"
_SERIES = "SELECT series_uid, sop_class_uid, id FROM series WHERE study_id = ?"
_ADD_INSTANCE = """
    INSERT INTO instances (study_id, sop_uid, delivery_id, copy, series_id, digest, size, state)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_COUNT_ALL = "UPDATE deliveries SET instances = ? WHERE id = ?"
_COUNT = "UPDATE deliveries SET duplicates = ?, refused = ?, bytes = ?, number = ?, folder = ? WHERE id = ?"
_SET_LAYOUT = "UPDATE deliveries SET layout = ? WHERE id = ?"
_DELIVER = """
    UPDATE instances SET state = 'delivered'
    WHERE state = 'staged' AND delivery_id = ? AND study_id = (SELECT study_id FROM deliveries WHERE id = ?)
"""
_FORGET = """
    DELETE FROM instances WHERE delivery_id = ? AND study_id = (SELECT study_id FROM deliveries WHERE id = ?)
"""
_FAULT = """
    INSERT INTO errors (at, project, kind, what, hint, last_at) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (project, kind, what) DO UPDATE SET
        count = count + 1, last_at = excluded.last_at, hint = excluded.hint, cleared = NULL
"""
_ADD_COMMAND = "INSERT INTO commands (delivery_id, state, at) VALUES (?, 'waiting', ?)"
_TRIED_COMMAND = "UPDATE commands SET state = ?, tries = tries + 1, exit_code = ?, at = ? WHERE delivery_id = ?"
_RAISE_ID = "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?"
_CLEAR = "UPDATE errors SET cleared = ? WHERE cleared IS NULL AND project = ? AND kind = ?"


class Ledger(LedgerReader):
    """ledger.db, for the one process that writes it. ``now`` is UTC as in 2026-11-21T10:00:00.000Z.

    Beside StateError, a method raises ValueError for a text that does not belong into the ledger; nothing is
    written then.
    """

    @classmethod
    def open(cls, path: Path, *, look_through: bool = True) -> Self:
        """Open, and if need be make, the ledger. Raises StateError where that cannot be done.

        ``look_through``: whether all of it is looked at for damage, as the service does at its start.
        """
        return cls(database.open_writer(path, mode=MODE, migrations=migrations, look_through=look_through), path)

    def open_delivery(
        self,
        *,
        project: str,
        ticket: str,
        study_uid: str,
        subject: str,
        profile: str,
        profile_digest: str,
        edition: str,
        tags: Collection[int],
        instances: int,
        now: str,
        mapped: bool = False,
    ) -> int:
        """Journal that a Study is about to be worked on; gives the delivery's id. UID and subject are the new ones.

        ``edition`` of PS3.15 is the one worked by, ``tags`` are the standard Attributes of the Study at any depth.
        ``mapped``: its new UID is an earlier system's, whose map may have been taken over since it was last here.
        Raises StateError if the Study was known by another UID or subject: then the key was exchanged.
        """
        guard.time(now)
        names = (guard.ticket(ticket), guard.uid(study_uid), guard.subject(subject))
        with self._transaction() as connection:
            connection.execute(_ADD_STUDY, (project, *names, now))
            connection.execute(_CORRECT_SUBJECT, (subject, project, ticket))
            if mapped:
                connection.execute(_MAPPED_UID, (study_uid, project, ticket))
            study = self.study(project, ticket)
            if study is None or (study.study_uid, study.subject) != (study_uid, subject):
                raise StateError(
                    f"study {ticket} of project {project} was delivered under other identifiers before",
                    "the project's key or its subjects were changed: put the old ones back",
                )
            packed = pack_tags(tags)
            connection.execute(_ADD_TAGS, (packed,))
            values = (study.id, profile, profile_digest, edition, packed, instances, now, now)
            delivery_id = int(connection.execute(_ADD_DELIVERY, values).lastrowid or 0)
            step.born(connection, now, project, DeliveryState.OPEN, study_id=study.id, delivery_id=delivery_id)
        return delivery_id

    def stage(
        self,
        delivery_id: int,
        *,
        number: int,
        folder: str,
        layout: str = "",
        staged: Sequence[Staged],
        duplicates: Sequence[Staged] = (),
        refused: Sequence[Refusal] = (),
        now: str,
    ) -> list[int]:
        """Open → staged: all results are durable in staging and ``folder``, relative to the outbox, is chosen.

        Gives the ids of the refusals, in the order of ``refused``. Their folder is REASON/TICKET.
        """
        guard.folder(folder)
        with self._transaction() as connection:
            delivery = step.move(connection, delivery_id, DeliveryState.STAGED, now)
            self._add_instances(connection, delivery_id, staged, duplicates)
            references.record(connection, delivery, staged)
            size = sum(one.size for one in staged)
            connection.execute(_COUNT, (len(duplicates), len(refused), size, number, folder, delivery_id))
            connection.execute(_COUNT_ALL, (len(staged) + len(duplicates) + len(refused), delivery_id))
            connection.execute(_SET_LAYOUT, (guard.layout(layout), delivery_id))
            return step.refuse_all(connection, delivery_id, refused, now)

    def finish_empty(
        self, delivery_id: int, *, duplicates: Sequence[Staged] = (), refused: Sequence[Refusal] = (), now: str
    ) -> list[int]:
        """Open → done without a folder: every Instance was a duplicate or was refused. Gives the refusals' ids."""
        with self._transaction() as connection:
            step.move(connection, delivery_id, DeliveryState.DONE, now)
            self._add_instances(connection, delivery_id, (), duplicates)
            connection.execute(_COUNT, (len(duplicates), len(refused), 0, None, None, delivery_id))
            connection.execute(_COUNT_ALL, (len(duplicates) + len(refused), delivery_id))
            return step.refuse_all(connection, delivery_id, refused, now)

    def release(self, delivery_id: int, now: str, *, command: bool = False) -> None:
        """Staged → released: the folder is in the outbox for good, its Instances are delivered.

        With ``command`` it is recorded that a command is to be run after it.
        """
        with self._transaction() as connection:
            delivery = step.move(connection, delivery_id, DeliveryState.RELEASED, now)
            connection.execute(_DELIVER, (delivery_id, delivery_id))
            references.resolve(connection, delivery)
            if command:
                connection.execute(_ADD_COMMAND, (delivery_id, now))

    def command_ended(self, delivery_id: int, state: CommandState, exit_code: int | None, now: str) -> None:
        """The command after a delivery was tried once more. ``exit_code`` is None where it could not begin."""
        values = (CommandState(state), exit_code, guard.time(now), delivery_id)
        with self._transaction() as connection:
            connection.execute(_TRIED_COMMAND, values)

    def done(self, delivery_id: int, now: str) -> None:
        """Released → done: the originals are archived or deleted."""
        with self._transaction() as connection:
            step.move(connection, delivery_id, DeliveryState.DONE, now)

    def abandon(self, delivery_id: int, now: str, note: Note) -> None:
        """Open or staged → abandoned: the work will be repeated. What it had staged and refused is forgotten."""
        note = Note(note)
        with self._transaction() as connection:
            delivery = step.move(connection, delivery_id, DeliveryState.ABANDONED, now, note)
            connection.execute(_FORGET, (delivery_id, delivery_id))
            references.forget(connection, delivery)
            connection.execute(_COUNT, (0, 0, 0, None, None, delivery_id))
            step.drop_refusals(connection, delivery_id, now, note)

    def quarantine_study(
        self, delivery_id: int, *, reason: Reason, detail: str = "", files: int, folder: str, now: str
    ) -> int:
        """Open → quarantined: nothing of the Study leaves. Gives the refusal's id. ``folder`` is REASON/TICKET."""
        with self._transaction() as connection:
            delivery = step.move(connection, delivery_id, DeliveryState.QUARANTINED, now)
            guard.quarantine_folder(folder, Reason(reason), delivery.ticket)
            connection.execute(_COUNT, (0, files, 0, None, None, delivery_id))
            return step.refuse(connection, now, delivery, reason=reason, detail=detail, files=files)

    def refuse_file(
        self, *, project: str, reason: Reason, detail: str = "", folder: str, now: str, refusal_id: int | None = None
    ) -> int:
        """One file that belongs to no known Study is to be set aside; gives the refusal's id.

        ``folder`` is REASON/unassigned, ``refusal_id`` what `next_refusal_id` said when the vault was written.
        """
        guard.quarantine_folder(folder, Reason(reason), None)
        with self._transaction() as connection:
            return step.refuse_unassigned(connection, now, project, reason, detail, refusal_id)

    def refusal_done(self, refusal_id: int, now: str) -> None:
        """Planned → quarantined: the files lie in the quarantine."""
        self.settle_refusal(refusal_id, RefusalState.QUARANTINED, now)

    def settle_refusal(self, refusal_id: int, state: RefusalState, now: str) -> None:
        """Move a refusal to another state: a person retried or dropped its files, or they reached the quarantine."""
        with self._transaction() as connection:
            step.move_refusal(connection, refusal_id, RefusalState(state), now)

    def skip_ids(self, delivery_id: int, refusal_id: int) -> None:
        """Never give these numbers, nor lower ones, to a new delivery or refusal: they were given before."""
        with self._transaction() as connection:
            for table, number in (("deliveries", delivery_id), ("refusals", refusal_id)):
                known = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
                sql = _RAISE_ID if known else "INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)"
                connection.execute(sql, (number, table))

    def fault(self, project: str, kind: str, what: str, hint: str, now: str) -> None:
        """A fault lasts or came back: its row counts up. ``project`` is "" for the service; no value may be in here."""
        guard.time(now)
        values = (now, project, guard.plain(kind), guard.plain(what), guard.plain(hint), now)
        with self._transaction() as connection:
            connection.execute(_FAULT, values)

    def clear_fault(self, project: str, kind: str, now: str) -> None:
        """Faults of this kind are over."""
        with self._transaction() as connection:
            connection.execute(_CLEAR, (guard.time(now), project, kind))

    def anchor_audit(self, last: int, head: bytes) -> None:
        """Remember how far the chain of the vault's audit has come."""
        with self._transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO audit_anchor (id, last, head) VALUES (1, ?, ?)", (last, head))

    def fold_in(self, above: int) -> database.Log:
        """Folds in the write-ahead log if it is larger than ``above`` bytes; gives what is left of it."""
        return database.fold_in(self._db, self._path, above)

    def _transaction(self) -> AbstractContextManager[sqlite3.Connection]:
        return database.transaction(self._db, self._path)

    def _add_instances(
        self, connection: sqlite3.Connection, delivery_id: int, staged: Sequence[Staged], duplicates: Sequence[Staged]
    ) -> None:
        study_id = connection.execute("SELECT study_id FROM deliveries WHERE id = ?", (delivery_id,)).fetchone()[0]
        everything = [*staged, *duplicates]
        found = {(one.series_uid, one.sop_class_uid) for one in everything}
        connection.executemany(_ADD_SERIES, [(study_id, *map(guard.uid, pair)) for pair in sorted(found)])
        series = {(uid, kind): row for uid, kind, row in connection.execute(_SERIES, (study_id,))}
        for copies, state in ((_first(staged), InstanceState.STAGED), (_counted(duplicates), InstanceState.DUPLICATE)):
            values = (
                (
                    *(study_id, guard.uid(one.sop_uid), delivery_id, copy),
                    *(series[one.series_uid, one.sop_class_uid], one.digest, one.size, state),
                )
                for copy, one in copies
            )
            connection.executemany(_ADD_INSTANCE, values)


def _first(staged: Iterable[Staged]) -> Iterator[tuple[int, Staged]]:
    return ((0, one) for one in staged)


def _counted(duplicates: Iterable[Staged]) -> Iterator[tuple[int, Staged]]:
    seen: Counter[str] = Counter()
    for one in duplicates:
        seen[one.sop_uid] += 1
        yield seen[one.sop_uid], one
