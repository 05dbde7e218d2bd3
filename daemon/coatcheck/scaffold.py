"""What `coatcheck init` makes: a configuration, keys and folders. It overwrites nothing, and says what it did."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coatcheck.config import DROP_IN, PROJECT_NAME, Config, config_folder, load
from coatcheck.config_model import FOLDERS
from coatcheck.custody import make_key
from coatcheck.errors import CoatcheckError
from coatcheck.keys import key_path
from coatcheck.scaffold_text import indented, project_text, quoted_key, top_text, with_project

_TAKEN: Final = ("state", "keys")  # folders of our own beside those of the projects
# Originals name the patients: those who fetch results are members of the service's group, and may not look at them.
_MODES: Final = {"state_dir": 0o750, "key_dir": 0o700, "quarantine": 0o700, "archive": 0o700}


@dataclass(slots=True)
class Made:
    """What `init` did: the configuration's path, and one line for each thing that was made."""

    config: Path
    actions: list[str] = field(default_factory=list)


def init(
    directory: Path, projects: Sequence[str], randomness: Callable[[int], bytes], config: Path | None = None
) -> Made:
    """Make a configuration and everything that it names, or whatever of it is missing.

    A new configuration gets the named projects, or one called ``default``. An existing one gets those that it lacks:
    their text is inserted below its last project and every other byte stays; where that cannot be done safely the
    project gets its own ``coatcheck.d/NAME.yaml``. Folders are made for all projects; keys for new projects and for
    those that are named, because a new key in place of a lost one means new pseudonyms. ``config`` is the
    configuration's path, by default ``coatcheck.yaml`` in the directory. Raises ConfigError when an existing
    configuration is wrong, and CoatcheckError.
    """
    file = config or directory / "coatcheck.yaml"
    made = Made(file)
    for name in projects:
        _check_name(name)
    if not os.path.lexists(file):
        names = list(dict.fromkeys(projects)) or ["default"]
        _write_new(file, _first_text(file, directory, names))
        made.actions.append(f"wrote {file}")
    else:
        known = load(file, may_be_empty=True).projects
        names = list(dict.fromkeys(projects))
        for name in names:
            if name not in known:
                made.actions.append(_add(file, directory, name))
    _complete(load(file), names, randomness, made)
    return made


def _check_name(name: str) -> None:
    if not PROJECT_NAME.fullmatch(name):
        hint = "use small letters, digits and hyphens, at most 63, a letter or digit first"
        raise CoatcheckError(f"`{name}` is no name for a project", hint)
    if name in _TAKEN:
        raise CoatcheckError(f"a project cannot be called `{name}`", "its folder would be one of coatcheck's own")


def _first_text(file: Path, directory: Path, names: Sequence[str]) -> str:
    base = config_folder(file)
    blocks = [_block(base, directory, name, "  ") for name in names]
    return top_text(_named(base, directory / "state"), _named(base, directory / "keys")) + "\n".join(blocks)


def _block(base: Path, directory: Path, name: str, indent: str) -> str:
    return f"{indent}{quoted_key(name)}:\n{indented(_settings(base, directory, name), indent * 2)}"


def _settings(base: Path, directory: Path, name: str) -> str:
    return project_text({role: _named(base, directory / name / role) for role in FOLDERS})


def _named(base: Path, path: Path) -> str:
    """A path as the configuration names it: relative where it lies below the configuration's folder."""
    path = Path(os.path.abspath(path))
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path)


def _add(file: Path, directory: Path, name: str) -> str:
    """Add a project to a configuration that is right, and say how."""
    base = config_folder(file)
    after = with_project(file.read_bytes(), name, lambda indent: _block(base, directory, name, indent))
    if after is not None:
        _replace(file, after)
        return f"added the project {name} to {file}"
    path = file.parent / DROP_IN / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    _write_new(path, f"# The project {name} of coatcheck.\n{_settings(base, directory, name)}")
    return f"wrote {path}"


def _complete(config: Config, names: Sequence[str], randomness: Callable[[int], bytes], made: Made) -> None:
    """Make the folders that are missing, and the missing keys of the named projects."""
    for setting in ("state_dir", "key_dir"):
        _make_folder(getattr(config, setting), _MODES.get(setting), made)
    for project in config.projects.values():
        for role, path in project.folders.items():
            _make_folder(path, _MODES.get(role), made)
    for name in names:
        path = key_path(config.key_dir, name, None)
        if os.path.lexists(path):
            continue
        make_key(config, name, randomness)
        made.actions.append(f"made the key {path}: keep a copy of it in a safe place")


def _make_folder(path: Path, mode: int | None, made: Made) -> None:
    if path.is_dir():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o777 if mode is None else mode)
    except OSError as error:
        raise CoatcheckError(f"cannot make the folder {path} ({error.strerror})", "make it by hand") from None
    made.actions.append(f"made {path}")


def _write_new(path: Path, text: str) -> None:
    """Write a file that must not exist yet."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CoatcheckError(f"cannot write {path} ({error.strerror})", "mend the folder's permissions") from None


def _replace(path: Path, content: bytes) -> None:
    """Change a file by one rename: a crash leaves the old text or the new. Keeps its mode and owner."""
    path = path.resolve()  # a linked configuration stays linked
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, temporary)
        with suppress(PermissionError):  # only root may give a file to another user
            os.chown(temporary, path.stat().st_uid, path.stat().st_gid)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise CoatcheckError(f"cannot change {path} ({error.strerror})", "mend the folder's permissions") from None
