"""Making a backup: it appears whole, under its final name, or not at all.

Nobody but its owner may look into it from its first byte on: the vault is sealed, but lists of subjects name patients.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from coatcheck import __version__
from coatcheck.backup.contents import MANIFEST, RESTORE, Content, files_of
from coatcheck.backup.wording import restore_text
from coatcheck.config import Config
from coatcheck.config_overlap import used_paths
from coatcheck.database import translated
from coatcheck.errors import CoatcheckError, StateError
from coatcheck.files import make_durable, sync_folder, write_all
from coatcheck.ledger import Ledger
from coatcheck.pairing import reconcile
from coatcheck.units import utc_text
from coatcheck.vault import Vault

# The ledger first and the vault after it. The service writes them in the other order, so whatever the ledger's copy
# knows stands in a vault that is copied later: nothing is out that cannot be traced back. What the vault's copy knows
# beyond that are fates of newer deliveries; their numbers are passed over in the ledger's copy, and are given to none.
DATABASES: Final = ("ledger.db", "vault.db")
_PAGES: Final = 1024  # of 4 KiB, copied at a time
_PARTIAL: Final = ".coatcheck-partial-"
_SPARE: Final = 16 << 20  # bytes for everything that is no database


def make(config: Config, target: Path, *, now: datetime, audit: Callable[[], None]) -> Path:
    """Makes a backup below ``target``, also while the service runs, and gives its folder. ``now`` is UTC.

    ``audit`` is called before anything is copied. Raises CoatcheckError where it cannot be made; nothing is left of it
    then.
    """
    _refuse_place(config, target)
    _clear(target)
    final = target / f"coatcheck-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    if os.path.lexists(final):
        raise CoatcheckError(f"{final} exists already", "wait a second, and try again")
    _refuse_full(config, target)
    audit()
    try:
        with _partial(target / f"{_PARTIAL}{final.name}") as folder:
            _fill(config, folder, now)
            make_durable(folder, one_file_system=False)
            os.rename(folder, final)
        sync_folder(target)
    except OSError as error:
        raise _not_written(target, error) from None
    return final


def _fill(config: Config, folder: Path, now: datetime) -> None:
    made = utc_text(now)
    for name in DATABASES:
        _copy_database(config.state_dir / name, folder / name)
    _fit(folder, made)
    contents = [
        Content(path=name, source=str(config.state_dir / name), mode=mode)
        for name, mode in zip(DATABASES, (0o640, 0o600), strict=True)
    ]
    for content in files_of(config):
        _copy_file(Path(content.source), folder / content.path)
        contents.append(content)
    _write(folder / RESTORE, restore_text(config, contents, made).encode())
    contents.append(Content(path=RESTORE, source="", mode=0o600))
    files = [one.as_json(folder) for one in contents]
    about = {"version": 1, "coatcheck": __version__, "sqlite": sqlite3.sqlite_version, "made": made}
    whole = {**about, "projects": sorted(config.projects), "keys": "not included", "files": files}
    _write(folder / MANIFEST, json.dumps(whole, indent=2).encode())


def _copy_database(source: Path, target: Path) -> None:
    """SQLite's online backup, all pages of one moment.

    The source's read transaction stays open from the first page to the last. Without it every commit of the service
    would make the copy begin anew, for ever under load. It holds up no writer; the WAL grows while it lasts.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with translated(source):
        reader = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    with closing(reader), closing(sqlite3.connect(target, isolation_level=None)) as writer:
        with translated(source):
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()
        try:
            reader.backup(writer, pages=_PAGES, sleep=0)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
                hint = "see `coatcheck doctor`, and keep older backups"
                raise StateError(f"{source} is damaged and cannot be copied", hint) from None
            raise OSError(errno.ENOSPC if "FULL" in str(error.sqlite_errorname) else errno.EIO, "") from None


def _fit(folder: Path, made: str) -> None:
    """Makes the two copies go together, and marks them as what they are: of a time that is over when they are used."""
    with (
        closing(Ledger.open(folder / DATABASES[0])) as ledger,
        closing(Vault.open(folder / DATABASES[1], {})) as vault,
    ):
        reconcile(ledger, vault, made)
        last, refusal = ledger.last_ids()
        vault.note_restored(made, (last + 1, last), (refusal + 1, refusal), outdated=True)
    for name in DATABASES:
        with closing(sqlite3.connect(folder / name, isolation_level=None)) as connection:
            # One file each, which can be copied and looked into as it is. The service turns the WAL on again.
            connection.execute("PRAGMA journal_mode=DELETE")
            fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise StateError(f"the copy of {name} is damaged", "see `coatcheck doctor`, and keep older backups")


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        content = source.read_bytes()
    except OSError as error:
        what = f"{source} cannot be read ({error.strerror})"
        raise CoatcheckError(what, "run this as a user who can read all that the configuration names") from None
    _write(target, content)


def _write(path: Path, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        write_all(fd, content)
    finally:
        os.close(fd)


@contextmanager
def _partial(folder: Path) -> Iterator[Path]:
    """A folder for what is not whole yet, locked for as long as somebody works on it; gone if that fails."""
    os.mkdir(folder, 0o700)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        os.close(fd)


def _clear(target: Path) -> None:
    """Removes what killed backups left: folders that nobody works on any more."""
    for name in os.listdir(target):
        if not name.startswith(_PARTIAL):
            continue
        with suppress(OSError):
            fd = os.open(target / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(target / name, ignore_errors=True)
            finally:
                os.close(fd)


def _refuse_place(config: Config, target: Path) -> None:
    """A backup must not lie where files are taken in, are fetched by others, or are lost with what it is a copy of."""
    if not target.is_dir():
        hint = "mount it, or make it with `mkdir -m 700`: it is not made, for it may only be unmounted"
        raise CoatcheckError(f"{target} is not a folder", hint)
    real = target.resolve()
    for used in used_paths(config):
        folder = used.path.resolve()
        if used.path != config.path and (real == folder or folder in real.parents):
            raise CoatcheckError(f"{target} lies in {used.key} ({used.path})", "name a folder elsewhere")


def _refuse_full(config: Config, target: Path) -> None:
    try:
        needed = sum((config.state_dir / name).stat().st_size for name in DATABASES) + _SPARE
        status = os.statvfs(target)
    except FileNotFoundError:
        raise StateError("there are no records yet", "start the service once with `coatcheck run`") from None
    except OSError as error:
        raise _not_written(target, error) from None
    if status.f_bavail * status.f_frsize < needed:
        raise _not_written(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def _not_written(target: Path, error: OSError) -> CoatcheckError:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return CoatcheckError(f"the backup cannot be written to {target} ({reason})", "look at its room, rights and disk")
