"""A project's key file: what turns original UIDs into new ones and seals the vault. Losing it cannot be mended."""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from coatcheck.errors import KeyFileError
from coatcheck.files import sync_folder

SECRET_BYTES = 32
SEALING_BYTES = 64  # two keys of 256 bits, as AES-SIV with AES-256 needs (RFC 5297)
_LARGEST_FILE = 65536
_VERSION = 1

_HEAD = """\
# A key of coatcheck. Whoever holds it can find the original behind every pseudonym of this project.
# Keep a copy in a safe place: without it nothing can be traced back, and late files no longer match.
version: 1
# Decides every new UID, pseudonym and date shift. It must never change.
pseudonym_secret: {secret}
# Seal the vault. The highest number seals new rows, the others still open old ones.
sealing_keys:
"""


@dataclass(frozen=True, slots=True, repr=False)
class ProjectKey:
    """The secrets of one project. ``repr`` shows none of them.

    ``pseudonym_secret`` (32 bytes) never changes. ``sealing_keys`` are numbered from 1, 64 bytes each.
    """

    pseudonym_secret: bytes
    sealing_keys: Mapping[int, bytes]

    def __repr__(self) -> str:
        """Only that it is a key."""
        return "ProjectKey(hidden)"

    @property
    def current(self) -> int:
        """The number of the sealing key for new rows: the highest."""
        return max(self.sealing_keys)


def new_key(randomness: Callable[[int], bytes]) -> ProjectKey:
    """Make a key. ``randomness`` gives so many unpredictable bytes, as `secrets.token_bytes` does."""
    key = ProjectKey(randomness(SECRET_BYTES), {1: randomness(SEALING_BYTES)})
    if len(key.pseudonym_secret) != SECRET_BYTES or len(key.sealing_keys[1]) != SEALING_BYTES:
        raise ValueError("the source of randomness gave too few bytes")
    return key


def with_sealing_key(key: ProjectKey, number: int, randomness: Callable[[int], bytes]) -> ProjectKey:
    """The key with one more sealing key, for new rows."""
    return replace(key, sealing_keys={**key.sealing_keys, number: randomness(SEALING_BYTES)})


def with_newest_alone(key: ProjectKey) -> ProjectKey:
    """The key without its older sealing keys."""
    return replace(key, sealing_keys={key.current: key.sealing_keys[key.current]})


def write_key(path: Path, key: ProjectKey) -> None:
    """Write a new key file that only its owner may read, durable when this returns.

    The owner is that of the folder, where root writes it. Raises FileExistsError where anything stands at ``path``: a
    key is never overwritten.
    """
    _write_new(path, key, path.parent.stat(), 0o600)
    sync_folder(path.parent)


def prepare_key(path: Path, key: ProjectKey) -> Path:
    """Write what is to take the place of a key file beside it, as private and of the same owner; gives its path."""
    prepared, old = unfinished(path), path.stat()
    wipe(prepared)  # what an earlier attempt left
    _write_new(prepared, key, old, stat.S_IMODE(old.st_mode) & 0o600)
    return prepared


def unfinished(path: Path) -> Path:
    """Where `prepare_key` writes."""
    return path.with_name(f".{path.name}.new")


def put_in_place(prepared: Path, path: Path) -> None:
    """Let what was prepared be the key file, durably: a crash leaves the old one or the new one, whole.

    The old bytes are overwritten then, unless another name leads to them.
    """
    descriptor = _open_to_overwrite(path)
    try:
        os.rename(prepared, path)
        sync_folder(path.parent)
        if os.fstat(descriptor).st_nlink == 0:
            _overwrite(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> bool:
    """Overwrite a key file, as far as a disk lets itself be overwritten, and remove it durably. False: there is none.

    Raises OSError, also where it is a link.
    """
    try:
        descriptor = _open_to_overwrite(path)
    except FileNotFoundError:
        sync_folder(path.parent)
        return False
    try:
        _overwrite(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync_folder(path.parent)
    return True


def _open_to_overwrite(path: Path) -> int:
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_WRONLY | flags)
    except PermissionError:  # It may be read-only for its owner.
        descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)
    return os.open(path, os.O_WRONLY | flags)


def _overwrite(descriptor: int) -> None:
    os.pwrite(descriptor, bytes(os.fstat(descriptor).st_size), 0)
    os.fsync(descriptor)


def _write_new(path: Path, key: ProjectKey, owner: os.stat_result, mode: int) -> None:
    text = _HEAD.format(secret=_encode(key.pseudonym_secret))
    text += "".join(f"  {number}: {_encode(value)}\n" for number, value in sorted(key.sealing_keys.items()))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            if os.geteuid() == 0:
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(text.encode("ascii"))
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        # Half a key would block the next attempt, and it is nobody's key yet.
        path.unlink(missing_ok=True)
        raise


def key_path(key_dir: Path, project: str, credentials: Path | None) -> Path:
    """Where a project's key is: a systemd credential ``NAME.key`` or ``NAME`` if there is one, else KEY_DIR/NAME.key.

    ``credentials`` is the folder in $CREDENTIALS_DIRECTORY, or None.
    """
    if credentials is not None:
        for name in (f"{project}.key", project):
            if os.path.lexists(credentials / name):
                return credentials / name
    return key_dir / f"{project}.key"


def read_key(path: Path, credentials: Path | None = None) -> ProjectKey:
    """Read a key file.

    Raises KeyFileError when it is missing, damaged, a link, or open to other users. A file below ``credentials`` may be
    readable by its group, as systemd makes it. No text of the file is ever part of an error.
    """
    text = _read(path, trusted=_is_below(path, credentials))
    key = _parse(text)
    if key is None:
        raise KeyFileError(f"the key file {path} is damaged", "restore it from your copy; a new key would not match")
    return key


def _is_below(path: Path, credentials: Path | None) -> bool:
    return credentials is not None and path.absolute().parent == credentials.absolute()


def _read(path: Path, *, trusted: bool) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        hint = f"run `coatcheck key new --project {path.stem}` to make a key, or restore it from your copy"
        raise KeyFileError(f"the key file {path} is missing", hint) from None
    except OSError as error:
        if os.path.islink(path):
            raise KeyFileError(f"the key file {path} is a link", "put the file itself there") from None
        hint = "make it readable for the user of the service"
        raise KeyFileError(f"the key file {path} cannot be read ({error.strerror})", hint) from None
    try:
        _refuse_unsafe(path, os.fstat(descriptor).st_mode, trusted=trusted)
        return os.read(descriptor, _LARGEST_FILE)
    finally:
        os.close(descriptor)


def _refuse_unsafe(path: Path, mode: int, *, trusted: bool) -> None:
    if not stat.S_ISREG(mode):
        raise KeyFileError(f"the key file {path} is not a regular file", "put the key file itself there")
    # systemd gives credentials 0400 or, with an access list for the service's user, 0440.
    if mode & (0o037 if trusted else 0o077):
        raise KeyFileError(f"the key file {path} is open to other users", f"run `chmod 0600 {path}`")


def _parse(text: bytes) -> ProjectKey | None:
    """The key in a file's text, or None: no parser's message may come out, for it would quote the text."""
    try:
        content = yaml.load(text.decode("ascii"), Loader=yaml.BaseLoader)  # BaseLoader makes only text, lists and maps
        if content["version"] != str(_VERSION):
            return None
        secret = _decode(content["pseudonym_secret"], SECRET_BYTES)
        sealing = {_number(n): _decode(value, SEALING_BYTES) for n, value in content["sealing_keys"].items()}
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return ProjectKey(secret, sealing) if sealing else None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text) < 2**31):
        raise ValueError
    return int(text)


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decode(text: str, length: int) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
    if len(value) != length:
        raise ValueError
    return value
