"""The tables of vault.db, as steps that each run once. Never change a step that was released: add another."""

from __future__ import annotations

from coatcheck.steps import Database, Migrations
from coatcheck.vault.chain import BEFORE_THE_CHAIN, GENESIS, Link, content

migrations = Migrations("vault")
_CHAIN_COLUMNS = (("format INTEGER", BEFORE_THE_CHAIN), ("content BLOB", "x''"), ("digest BLOB", "x''"))


@migrations()
def m001_mappings(db: Database) -> None:
    """Original and replacement, once for each original.

    The first 16 bytes of what AES-SIV sealed are a keyed fingerprint of the value and of its project and kind. They
    alone are indexed: with millions of UIDs that halves the vault, and most of what a commit writes is index pages.
    """
    db.conn.execute(
        """
        CREATE TABLE mappings (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL,
            kind TEXT NOT NULL,
            key_number INTEGER NOT NULL,
            original BLOB NOT NULL,
            replacement BLOB NOT NULL,
            first_seen TEXT NOT NULL
        )
        """
    )
    db.conn.execute("CREATE UNIQUE INDEX mappings_original ON mappings (substr(original, 1, 16))")
    db.conn.execute("CREATE INDEX mappings_replacement ON mappings (substr(replacement, 1, 16))")


@migrations()
def m002_files(db: Database) -> None:
    """The journal of the originals' fates."""
    db.conn.execute(
        """
        CREATE TABLE files (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL,
            delivery_id INTEGER,
            refusal_id INTEGER,
            path BLOB NOT NULL,
            device INTEGER NOT NULL,
            inode INTEGER NOT NULL,
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            ctime_ns INTEGER NOT NULL,
            fate TEXT NOT NULL,
            destination BLOB NOT NULL,
            state TEXT NOT NULL DEFAULT 'planned',
            key_number INTEGER NOT NULL,
            CHECK ((delivery_id IS NULL) <> (refusal_id IS NULL)),
            CHECK (state IN ('planned', 'done', 'superseded'))
        )
        """
    )
    # Millions of files are done and a few thousand are planned: the index holds only those.
    db.conn.execute("CREATE INDEX files_planned ON files (project, path) WHERE state = 'planned'")
    db.conn.execute("CREATE INDEX files_delivery ON files (delivery_id) WHERE delivery_id IS NOT NULL")
    db.conn.execute("CREATE INDEX files_refusal ON files (refusal_id) WHERE refusal_id IS NOT NULL")


@migrations()
def m003_audit(db: Database) -> None:
    """Who asked for what. A reason is written by a person and may name a patient, so it is sealed as well."""
    db.conn.execute(
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            project TEXT NOT NULL,
            who TEXT NOT NULL,
            action TEXT NOT NULL,
            subject BLOB,
            reason BLOB,
            key_number INTEGER NOT NULL
        )
        """
    )


@migrations()
def m004_proofs(db: Database) -> None:
    """Which key a project began with: a keyed constant, from which the key cannot be told."""
    db.conn.execute("CREATE TABLE proofs (project TEXT PRIMARY KEY, proof BLOB NOT NULL)")


@migrations()
def m005_sequences(db: Database) -> None:
    """The last number that each project gave to a patient."""
    db.conn.execute("CREATE TABLE sequences (project TEXT PRIMARY KEY, last INTEGER NOT NULL)")


@migrations()
def m006_returned(db: Database) -> None:
    """What was taken out of the quarantine is found without reading the whole journal."""
    db.conn.execute("CREATE INDEX files_returned ON files (project, refusal_id) WHERE fate IN ('retry', 'drop')")


@migrations()
def m007_keys(db: Database) -> None:
    """Which sealing key a project is to have at least, which rotation is under way, and whose key was destroyed."""
    db.conn.execute("ALTER TABLE proofs ADD COLUMN key_number INTEGER NOT NULL DEFAULT 0")
    db.conn.execute("CREATE TABLE rotations (project TEXT PRIMARY KEY, key_number INTEGER NOT NULL)")
    db.conn.execute("CREATE TABLE destroyed (project TEXT PRIMARY KEY, at TEXT NOT NULL)")


@migrations()
def m008_audit_chain(db: Database) -> None:
    """The chain of the audit; rows that are there already become its beginning, as they stand."""
    for column in ("row_key BLOB", *(f"{name} NOT NULL DEFAULT {value}" for name, value in _CHAIN_COLUMNS)):
        db.conn.execute(f"ALTER TABLE audit ADD COLUMN {column}")
    previous = GENESIS
    rows = db.conn.execute("SELECT id, at, project, who, action, subject, reason FROM audit ORDER BY id").fetchall()
    for row, at, project, who, action, subject, reason in rows:
        sealed = content(subject, reason)
        previous = Link(row, BEFORE_THE_CHAIN, at, project, who, action, sealed).after(previous)
        db.conn.execute("UPDATE audit SET content = ?, digest = ? WHERE id = ?", (sealed, previous, row))


@migrations()
def m009_restored(db: Database) -> None:
    """That records were put back from a backup, and what they may lack since. ``at`` is UTC, of the backup.

    The ledger knows nothing of deliveries and refusals from ``first`` to ``last``, whose fates stand here. With
    ``outdated`` the vault itself may lack what was recorded since. ``sure`` is the newest of those rows after which a
    person said where a sequence goes on.
    """
    db.conn.execute(
        """
        CREATE TABLE restored (
            id INTEGER PRIMARY KEY,
            at TEXT NOT NULL,
            first_delivery INTEGER NOT NULL,
            last_delivery INTEGER NOT NULL,
            first_refusal INTEGER NOT NULL,
            last_refusal INTEGER NOT NULL,
            outdated INTEGER NOT NULL
        )
        """
    )
    db.conn.execute("ALTER TABLE sequences ADD COLUMN sure INTEGER NOT NULL DEFAULT 0")


@migrations()
def m010_imports(db: Database) -> None:
    """What was taken over from maps of an earlier system: how many pairs of each kind, and when."""
    db.conn.execute(
        """
        CREATE TABLE imports (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL,
            kind TEXT NOT NULL,
            pairs INTEGER NOT NULL,
            at TEXT NOT NULL
        )
        """
    )
