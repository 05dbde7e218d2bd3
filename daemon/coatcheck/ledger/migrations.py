"""The tables of ledger.db, as steps that each run once. Never change a step that was released: add another."""

from __future__ import annotations

from coatcheck.ledger import totals
from coatcheck.steps import Database, Migrations

migrations = Migrations("ledger")


@migrations()
def m001_studies_and_deliveries(db: Database) -> None:
    """Studies by ticket, and the jobs done for them."""
    db.conn.execute(
        """
        CREATE TABLE studies (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL,
            ticket TEXT NOT NULL,
            study_uid TEXT NOT NULL,
            subject TEXT NOT NULL,
            first_seen TEXT NOT NULL,
            UNIQUE (project, ticket)
        )
        """
    )
    db.conn.execute(
        """
        CREATE TABLE deliveries (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            study_id INTEGER NOT NULL REFERENCES studies (id),
            number INTEGER,
            state TEXT NOT NULL
                CHECK (state IN ('open', 'staged', 'released', 'done', 'quarantined', 'abandoned')),
            profile TEXT NOT NULL,
            profile_digest TEXT NOT NULL,
            folder TEXT,
            instances INTEGER NOT NULL,
            duplicates INTEGER NOT NULL DEFAULT 0,
            refused INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            opened TEXT NOT NULL,
            changed TEXT NOT NULL
        )
        """
    )
    db.conn.execute("CREATE INDEX deliveries_study ON deliveries (study_id)")
    db.conn.execute(
        "CREATE INDEX deliveries_unfinished ON deliveries (state) WHERE state IN ('open', 'staged', 'released')"
    )


@migrations()
def m002_instances(db: Database) -> None:
    """One short row for each Instance: millions of them. They stand in one tree, in the order in which they are sought.

    ``copy`` is 0 for what was staged and counts the duplicates of one delivery from 1. What a Series has in common
    stands once in ``series``; the view joins it for people.
    """
    db.conn.execute(
        """
        CREATE TABLE series (
            id INTEGER PRIMARY KEY,
            study_id INTEGER NOT NULL REFERENCES studies (id),
            series_uid TEXT NOT NULL,
            sop_class_uid TEXT NOT NULL,
            UNIQUE (study_id, series_uid, sop_class_uid)
        )
        """
    )
    db.conn.execute(
        """
        CREATE TABLE instances (
            study_id INTEGER NOT NULL REFERENCES studies (id),
            sop_uid TEXT NOT NULL,
            delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
            copy INTEGER NOT NULL,
            series_id INTEGER NOT NULL REFERENCES series (id),
            digest BLOB NOT NULL,
            size INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('staged', 'delivered', 'duplicate')),
            PRIMARY KEY (study_id, sop_uid, delivery_id, copy)
        ) WITHOUT ROWID
        """
    )
    db.conn.execute(
        """
        CREATE VIEW instance_list AS
        SELECT studies.project, studies.ticket, studies.subject, studies.study_uid, series.series_uid,
               series.sop_class_uid, instances.sop_uid, instances.state, instances.size, instances.delivery_id
        FROM instances
        JOIN studies ON studies.id = instances.study_id
        JOIN series ON series.id = instances.series_id
        """
    )


@migrations()
def m003_refusals_and_events(db: Database) -> None:
    """What was set aside, and each transition of a delivery or a refusal."""
    db.conn.execute(
        """
        CREATE TABLE refusals (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            project TEXT NOT NULL,
            study_id INTEGER REFERENCES studies (id),
            delivery_id INTEGER REFERENCES deliveries (id),
            reason TEXT NOT NULL,
            detail TEXT NOT NULL,
            files INTEGER NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('planned', 'quarantined', 'retried', 'dropped')),
            folder TEXT NOT NULL,
            at TEXT NOT NULL
        )
        """
    )
    db.conn.execute("CREATE INDEX refusals_reason ON refusals (project, reason)")
    db.conn.execute("CREATE INDEX refusals_delivery ON refusals (delivery_id) WHERE delivery_id IS NOT NULL")
    db.conn.execute(
        """
        CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            project TEXT NOT NULL,
            study_id INTEGER REFERENCES studies (id),
            delivery_id INTEGER REFERENCES deliveries (id),
            refusal_id INTEGER REFERENCES refusals (id),
            from_state TEXT,
            to_state TEXT NOT NULL,
            note TEXT NOT NULL DEFAULT ''
        )
        """
    )
    db.conn.execute("CREATE INDEX events_study ON events (study_id) WHERE study_id IS NOT NULL")


@migrations()
def m004_errors(db: Database) -> None:
    """Faults. One that comes back counts up in its row, and ``cleared`` is empty while it lasts."""
    db.conn.execute(
        """
        CREATE TABLE errors (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            project TEXT NOT NULL,
            kind TEXT NOT NULL,
            what TEXT NOT NULL,
            hint TEXT NOT NULL,
            count INTEGER NOT NULL DEFAULT 1,
            last_at TEXT NOT NULL,
            cleared TEXT,
            UNIQUE (project, kind, what)
        )
        """
    )


@migrations()
def m005_references(db: Database) -> None:
    """New UIDs that a Study refers to and that nothing delivered has; ``delivery_id`` is the first that did so.

    A target is sought by its UID in all Studies of a project, so delivered Instances get an index by it.
    """
    db.conn.execute(
        """
        CREATE TABLE dangling (
            study_id INTEGER NOT NULL REFERENCES studies (id),
            sop_uid TEXT NOT NULL,
            delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
            PRIMARY KEY (study_id, sop_uid)
        ) WITHOUT ROWID
        """
    )
    db.conn.execute("CREATE INDEX dangling_uid ON dangling (sop_uid)")
    db.conn.execute("CREATE INDEX instances_delivered ON instances (sop_uid) WHERE state = 'delivered'")
    db.conn.execute("CREATE INDEX studies_uid ON studies (study_uid)")
    db.conn.execute(
        """
        CREATE VIEW references_unresolved AS
        SELECT studies.project, studies.ticket, studies.subject, studies.study_uid, COUNT(*) AS missing
        FROM dangling JOIN studies ON studies.id = dangling.study_id
        GROUP BY studies.id
        """
    )


@migrations()
def m006_editions(db: Database) -> None:
    """By which edition of PS3.15 a delivery was made, and which standard Attributes its Study had: both for drift.

    A tag set is its tags in ascending order, four bytes each, big endian. Series of one kind share theirs.
    """
    db.conn.execute("CREATE TABLE tag_sets (id INTEGER PRIMARY KEY, tags BLOB NOT NULL UNIQUE)")
    db.conn.execute("ALTER TABLE deliveries ADD COLUMN edition TEXT NOT NULL DEFAULT '2026d'")
    db.conn.execute("ALTER TABLE deliveries ADD COLUMN tag_set_id INTEGER REFERENCES tag_sets (id)")


@migrations()
def m007_audit_anchor(db: Database) -> None:
    """The last row of the vault's audit that was seen, and its digest: nothing that identifies. One row."""
    db.conn.execute("CREATE TABLE audit_anchor (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER, head BLOB)")


@migrations()
def m008_totals(db: Database) -> None:
    """What ``status`` tells stands in totals; what a start looks for among the refusals has an index of its own."""
    totals.make(db.conn)
    db.conn.execute("CREATE INDEX refusals_planned ON refusals (project) WHERE state = 'planned'")


@migrations()
def m009_layouts_and_commands(db: Database) -> None:
    """In which layout and with what else a delivery was made, and the command that is run after it.

    ``layout`` is "" where results lie by subject, Study and Series. No two deliveries of a project ever have one
    folder, whatever its layout makes of them, so folders are sought, without regard to case. A row in ``commands`` is
    made with the release; ``exit_code`` is that of the last try, below 0 the signal that ended it, null where it could
    not begin.
    """
    db.conn.execute("ALTER TABLE deliveries ADD COLUMN layout TEXT NOT NULL DEFAULT ''")
    db.conn.execute("CREATE INDEX deliveries_folder ON deliveries (folder COLLATE NOCASE) WHERE folder IS NOT NULL")
    db.conn.execute(
        """
        CREATE TABLE commands (
            delivery_id INTEGER PRIMARY KEY REFERENCES deliveries (id),
            state TEXT NOT NULL CHECK (state IN ('waiting', 'done', 'failed')),
            tries INTEGER NOT NULL DEFAULT 0,
            exit_code INTEGER,
            at TEXT NOT NULL
        )
        """
    )
    db.conn.execute("CREATE INDEX commands_left ON commands (state) WHERE state != 'done'")
