"""`coatcheck check`: touch every folder and key that the configuration names, and say everything that is wrong."""

from __future__ import annotations

import errno
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from coatcheck.check_unit import credential
from coatcheck.config import Config, Problem, Project
from coatcheck.config_overlap import find_overlaps, used_paths
from coatcheck.converter import dcm2niix
from coatcheck.custody import refuse_destroyed, vouch_for
from coatcheck.errors import CoatcheckError, InboxFault, KeyFileError, StateError
from coatcheck.installed_unit import Installed
from coatcheck.intake.folder import file_system
from coatcheck.keys import key_path, read_key
from coatcheck.layout import ORIGINAL
from coatcheck.problems import ConfigError, in_reading_order

_PREFIX: Final = ".coatcheck-check-"  # a leading dot: an inbox leaves such names alone
_REMOTE: Final = frozenset(
    {"9p", "afs", "ceph", "cifs", "gfs2", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "smb3", "smbfs"}
)
_MODES: Final = {"key_dir": "-m 700 ", "state_dir": "-m 750 "}


def check(config: Config, credentials: Path | None, installed: Installed | None = None) -> list[Problem]:
    """All problems and notes of a configuration that was loaded, in the order of its lines.

    Touches every folder: makes and removes a dot-file in each that the service writes to. ``credentials`` is
    systemd's $CREDENTIALS_DIRECTORY, where keys may lie instead of in ``key_dir``; the unit that is ``installed`` may
    take them from elsewhere.
    """
    problems = [*_state(config), *_real_overlaps(config)]
    for project in config.projects.values():
        problems += _folders(config, project)
        problems += _key(config, project, credentials, installed)
        problems += _profile(config, project)
        problems += _outputs(config, project)
        problems += _notes(config, project)
    return list(in_reading_order(problems))


def _problem(
    config: Config, key: tuple[str, ...], what: str, hint: str, level: Literal["problem", "note"] = "problem"
) -> Problem:
    file, line = config.place(*key)
    return Problem(file=file, line=line, key=".".join(key), what=what, hint=hint, level=level)


def _state(config: Config) -> Iterator[Problem]:
    yield from _writable(config, ("state_dir",), config.state_dir)
    kind = _kind(config.state_dir)
    if is_remote(kind):
        what = f"lies on a network or FUSE file system ({kind}), where SQLite is not safe"
        yield _problem(config, ("state_dir",), what, "name a folder on a local disk")


def is_remote(kind: str) -> bool:
    """Whether the kernel's name of a file system stands for a share or FUSE, which keep fewer promises than a disk."""
    return kind in _REMOTE or kind.startswith("fuse")


def _kind(path: Path) -> str:
    try:
        return file_system(path)
    except InboxFault:  # absent: said elsewhere
        return ""


def _folders(config: Config, project: Project) -> Iterator[Problem]:
    for role, path in project.folders.items():
        key = ("projects", project.name, role)
        found = list(_writable(config, key, path))
        yield from found
        if role == "inbox" and path.is_dir():
            yield from _listable(config, key, path)
        if role == "outbox" and not found:
            yield from _renames(config, key, path)


def _missing(config: Config, key: tuple[str, ...], path: Path) -> Problem | None:
    if path.is_dir():
        return None
    if os.path.lexists(path):
        return _problem(config, key, "is not a folder, or cannot be entered", "name a folder that this user can enter")
    what = "does not exist, and the service makes no folders itself: one may only be unmounted"
    command = f"mkdir -p {_MODES.get(key[-1], '')}{shlex.quote(str(path))}"
    return _problem(config, key, what, f"mount it, or make it with `{command}`")


def _writable(config: Config, key: tuple[str, ...], path: Path) -> Iterator[Problem]:
    missing = _missing(config, key, path)
    if missing:
        yield missing
        return
    try:
        handle, name = tempfile.mkstemp(prefix=_PREFIX, dir=path)
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        yield _problem(config, key, f"cannot be written to ({error.strerror})", _why_not(error, path))


def _why_not(error: OSError, path: Path) -> str:
    if error.errno == errno.EROFS:
        return (
            "it is read-only here; under systemd add a drop-in with `[Service]` and "
            f"`ReadWritePaths={path}` by `systemctl edit coatcheck`, and restart"
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"give user number {os.geteuid()} the right to write there, or run this as the service's user"
    return "mend the disk or the share first"


def _listable(config: Config, key: tuple[str, ...], path: Path) -> Iterator[Problem]:
    try:
        with os.scandir(path) as entries:
            next(entries, None)
    except OSError as error:
        hint = f"give user number {os.geteuid()} the right to read there, or run this as the service's user"
        yield _problem(config, key, f"cannot be listed ({error.strerror})", hint)


def _renames(config: Config, key: tuple[str, ...], path: Path) -> Iterator[Problem]:
    """A study appears by the rename of a folder with files in it: try one."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=path))
        renamed = folder.with_name(folder.name + "-renamed")
        (folder / "file").touch()
        try:
            folder.rename(renamed)
        finally:
            there = renamed if renamed.is_dir() else folder
            (there / "file").unlink()
            there.rmdir()
    except OSError as error:
        what = f"a folder cannot be renamed there ({error.strerror})"
        yield _problem(config, key, what, "use a file system that renames folders: studies appear by one rename")


def _key(config: Config, project: Project, credentials: Path | None, installed: Installed | None) -> Iterator[Problem]:
    given = credential(installed.unit, project.name) if installed is not None and credentials is None else None
    if given is not None and (given.encrypted or not given.source.is_absolute()):
        return  # Only systemd can open it.
    path = given.source if given is not None else key_path(config.key_dir, project.name, credentials)
    try:
        with suppress(StateError):  # The vault of a service that is newer, or somebody else's.
            refuse_destroyed(config, project.name)
        key = read_key(path, credentials)
        with suppress(StateError):
            vouch_for(config, project.name, key)
    except KeyFileError as error:
        command = f"coatcheck key new --config {shlex.quote(str(config.path))} --project {project.name}"
        missing = not os.path.lexists(path) and "is missing" in error.what
        hint = f"restore it from a copy, or make one with `{command}`" if missing else error.hint
        yield _problem(config, ("projects", project.name), error.what, hint)


def _profile(config: Config, project: Project) -> Iterator[Problem]:
    from coatcheck.profile_file import profile_of

    try:
        profile_of(project, config.path.parent)
    except ConfigError as error:
        yield from error.problems
    except CoatcheckError as error:
        yield _problem(config, ("projects", project.name, "profile"), error.what, error.hint)


def _outputs(config: Config, project: Project) -> Iterator[Problem]:
    """What is made beside the results, and what names they get."""
    key = ("projects", project.name)
    if project.arranged.name == ORIGINAL:
        what = "puts the names that were dropped into the outbox: a leak, unless they are harmless"
        hint = (
            "only names in which this Study's own identity is found become UIDs; the other layouts know new values only"
        )
        yield _problem(config, (*key, "layout"), what, hint, "note")
    if project.nifti and dcm2niix() is None:
        hint = "install `coatcheck[nifti]`, or write `nifti: no`"
        yield _problem(config, (*key, "nifti"), "needs the program dcm2niix, which is not installed", hint)
    command = project.after_delivery.command[0] if project.after_delivery is not None else "/"
    if not os.access(command, os.X_OK):
        hint = "name a program that the service's user may run, with its whole path"
        yield _problem(config, (*key, "after_delivery"), "the command is not there or cannot be run", hint)


def _notes(config: Config, project: Project) -> Iterator[Problem]:
    """What is worth knowing and no mistake."""
    inbox, archive = project.inbox, project.archive
    key = ("projects", project.name)
    devices = {_device(path) for path in (inbox, archive) if path} - {None}
    if project.originals == "archive" and len(devices) > 1:
        what = "lies on another file system than the inbox, so each original is copied instead of renamed"
        yield _problem(config, (*key, "archive"), what, "nothing to do if that is meant", "note")
    kind = _kind(inbox)
    if project.watch == "events" and is_remote(kind):
        what = f"the inbox's file system ({kind}) tells nothing of files that other machines write"
        yield _problem(
            config, (*key, "watch"), what, "write `watch: auto`: files are found by the regular scan", "note"
        )


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _real_overlaps(config: Config) -> list[Problem]:
    """The overlaps that only the disk shows: links, bind mounts, two names of one folder."""
    canonical: dict[tuple[int, int], Path] = {}
    real = []
    for used in used_paths(config):
        real.append(used._replace(path=_canonical(Path(os.path.realpath(used.path)), canonical)))
    return find_overlaps(real)


def _canonical(path: Path, known: dict[tuple[int, int], Path]) -> Path:
    """One path for one folder: each step is named as the first path that led to the same inode."""
    result = Path(path.anchor)
    for part in path.parts[1:]:
        result = result / part
        try:
            status = os.stat(result)
        except OSError:
            continue
        result = known.setdefault((status.st_dev, status.st_ino), result)
    return result
