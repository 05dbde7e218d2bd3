"""What a backup holds beside the two databases: the configuration and the files that it names. Never a key."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

import yaml

from coatcheck.config import DROP_IN, Config, config_folder
from coatcheck.config_subjects import Listed
from coatcheck.data import profiles_dir
from coatcheck.profile_file import path_of

MANIFEST: Final = "manifest.json"
RESTORE: Final = "RESTORE.txt"
_CONFIG: Final = "config"
_ELSEWHERE: Final = "elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file of a backup: its path in there, where it came from, and with which rights it is put back."""

    path: str
    source: str
    mode: int

    def as_json(self, folder: Path) -> dict[str, Any]:
        """Its line in the manifest."""
        path = folder / self.path
        known = {"path": self.path, "from": self.source, "mode": f"{self.mode:04o}"}
        return {**known, "bytes": path.stat().st_size, "sha256": digest(path)}


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def files_of(config: Config) -> Iterator[Content]:
    """The configuration, its drop-ins, and the profiles and lists that these name; each once."""
    base = config_folder(config.path)
    named = [config.path, *_drop_ins(base)]
    for project in config.projects.values():
        named += _profiles(path_of(project.profile, base), ())
        if isinstance(project.subjects, Listed):
            named.append(project.subjects.file)
    keys = Path(os.path.abspath(config.key_dir))
    for number, path in enumerate(dict.fromkeys(Path(os.path.abspath(path)) for path in named)):
        if keys in path.parents:
            continue  # Nothing of that folder is ever copied.
        within = path.relative_to(base) if path.is_relative_to(base) else None
        place = Path(_CONFIG) / within if within else Path(_ELSEWHERE) / str(number) / path.name
        yield Content(path=os.fspath(place), source=os.fspath(path), mode=path.stat().st_mode & 0o777)


def _drop_ins(base: Path) -> list[Path]:
    return sorted(path for path in (base / DROP_IN).glob("*.yaml") if not path.name.startswith("."))


def _profiles(path: Path, chain: tuple[Path, ...]) -> list[Path]:
    """A profile with those that it extends, and the lists of values that they name. Those that ship are left out."""
    if path.is_relative_to(profiles_dir()) or path in chain:
        return []
    found = [path]
    said = yaml.safe_load(path.read_bytes())
    rules = said.get("rules") or ()
    lists = [rule["list"] for rule in rules if rule.get("do") == "lookup" and isinstance(rule.get("list"), str)]
    found += [path.parent / name for name in lists]
    if isinstance(said.get("extends"), str):
        found += _profiles(path_of(said["extends"], path.parent), (*chain, path))
    return found
