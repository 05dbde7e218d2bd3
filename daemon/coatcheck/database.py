"""How coatcheck opens SQLite: one durable writer, readers that do not hold it up, and errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from coatcheck.errors import StateError
from coatcheck.files import sync_folder
from coatcheck.steps import BOOK, Database, Migrations

BUSY_SECONDS = 5.0
_MOMENT = 2.0  # seconds in which a service that starts brings its records up to date
"""How long a statement waits for another process's transaction before it gives up."""

_OTHER_TABLES = "SELECT 1 FROM sqlite_schema WHERE tbl_name <> ?"
_BE_PATIENT = f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}"

CHUNK = 500
"""Most values in one IN (…), well below SQLite's limit on bound variables."""

WAL_KEPT = 16 << 20
"""Bytes that the -wal may keep once it was folded in. It grows further only while a reader holds it open."""

LOOKED_THROUGH = 256 << 20
"""Bytes up to which a database is looked through for damage when the one writer opens it: at most a second or two."""

_RESTORE = "stop the service, move it away with its -wal and -shm, and restore ledger.db and vault.db of one backup"
_HINTS = {
    "SQLITE_BUSY": "another process is writing to it; try again, and look for a second coatcheck with this state_dir",
    "SQLITE_LOCKED": "another process is writing to it; try again, and look for a second coatcheck with this state_dir",
    "SQLITE_FULL": "make room on the disk of state_dir",
    "SQLITE_IOERR": "look at the health and the free space of the disk that holds state_dir",
    "SQLITE_READONLY": "make state_dir and the files in it writable for the user of the service",
    "SQLITE_PERM": "make state_dir and the files in it accessible for the user of the service",
    "SQLITE_CANTOPEN": "check that state_dir exists and that this user may use it",
    "SQLITE_NOTADB": f"it is damaged or no database: {_RESTORE}",
    "SQLITE_CORRUPT": f"it is damaged: {_RESTORE}",
}


def open_writer(path: Path, *, mode: int, migrations: Migrations, look_through: bool = True) -> Database:
    """Open, and if need be make, a database for the one process that writes.

    ``mode`` holds from the file's first byte, and SQLite gives -wal and -shm the mode of the main file. Every commit is
    on the disk when it returns. Raises StateError for a file that is damaged, locked, of a newer version, a link, or
    open to more users than a private ``mode`` allows. Without ``look_through`` damage is met where it is: the service
    has looked, and a command that adds one row is to be quick.
    """
    with translated(path):
        _create(path, mode)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _configure_writer(connection, path)
            db = Database(connection)
            _refuse_foreign(db, path, migrations)
            if look_through:
                _refuse_damaged(connection, path)
            migrations.apply(db)
        except BaseException:
            connection.close()
            raise
    return db


def open_reader(path: Path, *, migrations: Migrations) -> Database:
    """Open an existing database only to read. Raises StateError where it is missing, damaged or of another version."""
    if not path.exists():
        raise StateError(f"{path} is not there", "start the service once with `coatcheck run`, which makes it")
    with translated(path):
        connection = _connect_readonly(path)
        try:
            db = Database(connection)
            _refuse_foreign(db, path, migrations)
            if migrations.pending(db) and not _comes_up_to_date(db, migrations):
                raise StateError(
                    f"{path} was made by an older coatcheck", "start the service once, which brings it up to date"
                )
        except BaseException:
            connection.close()
            raise
    return db


def _comes_up_to_date(db: Database, migrations: Migrations) -> bool:
    """Whether a service that starts at this moment has brought it up to date a moment later."""
    end = time.monotonic() + _MOMENT
    while migrations.pending(db):
        if time.monotonic() > end:
            return False
        time.sleep(_MOMENT / 50)
    return True


@contextmanager
def transaction(db: Database, path: Path) -> Generator[sqlite3.Connection, None, None]:
    """All writes of the block, or none of them; durable when the block ends. Faults come out as StateError."""
    with translated(path):
        _begin(db.conn)
        try:
            yield db.conn
            db.conn.execute("COMMIT")
        except BaseException:
            if db.conn.in_transaction:
                db.conn.execute("ROLLBACK")
            raise


def _begin(connection: sqlite3.Connection) -> None:
    """Waits for another writer, but not again while the same one stays: the service would stand still for minutes."""
    try:
        # IMMEDIATE: a transaction that begins as a reader cannot wait for another writer, it fails at once.
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        connection.execute("PRAGMA busy_timeout = 0")
        raise
    connection.execute(_BE_PATIENT)


def rows(db: Database, path: Path, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
    """Every row of a query, read in one go: a cursor that stays open would pin the WAL, which then grows."""
    with translated(path), closing(db.conn.cursor()) as cursor:
        cursor.row_factory = sqlite3.Row
        return cursor.execute(sql, values).fetchall()


class Log(NamedTuple):
    """A write-ahead log and its bytes."""

    path: Path
    size: int


def fold_in(db: Database, path: Path, above: int) -> Log:
    """Folds the write-ahead log into the database if it has grown beyond ``above``, as far as no reader forbids it."""
    log = path.with_name(path.name + "-wal")
    with translated(path):
        if _size(log) > above:
            db.conn.execute("PRAGMA busy_timeout = 0")  # A reader that stays is not waited for.
            db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            db.conn.execute(_BE_PATIENT)
        return Log(log, _size(log))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def marks(values: Sequence[object]) -> str:
    """The placeholders for ``IN (…)``."""
    return ",".join("?" * len(values))


@contextmanager
def translated(path: Path) -> Generator[None, None, None]:
    """Turn faults of SQLite and of the file system into a StateError that names the database and what to do.

    A number that SQLite cannot hold is such a fault too.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or type(error).__name__
        # Extended codes such as SQLITE_IOERR_WRITE begin with the code that they refine.
        hint = _HINTS.get("_".join(name.split("_")[:2]), "it may be damaged: restore a backup if this stays")
        raise StateError(f"{path} cannot be used ({name})", hint) from error
    except OSError as error:
        raise StateError(f"{path} cannot be used ({error.strerror})", _HINTS["SQLITE_CANTOPEN"]) from error
    except OverflowError as error:
        raise StateError(f"{path} cannot hold so large a number", "report it: this is a mistake") from error


def _create(path: Path, mode: int) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    before = os.umask(~mode & 0o777)  # exactly this mode at once, so that nothing is to be mended afterwards
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        _refuse_unsafe(path, mode)
        return
    finally:
        os.umask(before)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)


def _refuse_unsafe(path: Path, mode: int) -> None:
    # By lstat and not on a descriptor: closing any descriptor of a database drops this process's locks on it.
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise StateError(f"{path} is not a regular file", "put the database itself there, not a link")
    private = mode & 0o077 == 0
    if private and found.st_mode & 0o077:
        raise StateError(f"{path} is open to other users", f"run `chmod {mode:04o} {path}`")


def _configure_writer(connection: sqlite3.Connection, path: Path) -> None:
    journal = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if journal != "wal":
        raise StateError(f"{path} cannot be used safely on this file system", "put state_dir on a local disk")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA cache_size=-8192")  # KiB; the vault's indexes are written in random order
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT}")


def _connect_readonly(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri() + "?mode=ro"
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        wal = path.with_name(path.name + "-wal")
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or wal.exists():
            raise
        # No service runs and this user may not make the -shm file: nobody writes, so the file can be read as it is.
        connection = sqlite3.connect(uri + "&immutable=1", uri=True, isolation_level=None)
    return connection


def _refuse_foreign(db: Database, path: Path, migrations: Migrations) -> None:
    """Refuse a database with steps that this version does not know: of a newer coatcheck, or another database."""
    applied = set(migrations.done(db))
    foreign = {kind for kind, _ in applied} - {migrations.name}
    if foreign or (not applied and db.conn.execute(_OTHER_TABLES, (BOOK,)).fetchone()):
        raise StateError(f"{path} is not coatcheck's {migrations.name}", "move it away, or correct state_dir")
    if {name for _, name in applied} - set(migrations.names):
        raise StateError(f"{path} was made by a newer coatcheck", "install that version again, or restore a backup")


def _refuse_damaged(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a database with pages that are none. A large one would hold up the start: `doctor` looks through it."""
    if path.stat().st_size > LOOKED_THROUGH:
        return
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StateError(f"{path} is damaged", _RESTORE)
