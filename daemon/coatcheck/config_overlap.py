"""Folders that must not lie in each other: what goes into an inbox is taken, so nothing of ours may stand there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from coatcheck.config_model import Config
from coatcheck.problems import Place, Problem


class Used(NamedTuple):
    """A path that the service uses: for what, and where the configuration says so."""

    path: Path
    key: str
    place: Place
    exclusive: bool  # nothing else may be this folder or lie below it


def used_paths(config: Config) -> Iterator[Used]:
    """Every folder of the configuration, and the configuration's own file."""
    for name in ("state_dir", "key_dir"):
        yield Used(getattr(config, name), name, config.place(name), False)
    yield Used(config.path, "the configuration", Place(str(config.path), 1), False)
    for name, project in config.projects.items():
        for role, path in project.folders.items():
            # A note lies beside other things, and that of several projects in one folder.
            yield Used(path, f"projects.{name}.{role}", config.place("projects", name, role), role != "note")


def overlaps(config: Config) -> list[Problem]:
    """A problem for each path that is, or lies inside, a folder that must be alone. Judged by the paths' text."""
    return find_overlaps(list(used_paths(config)))


def find_overlaps(used: Iterable[Used]) -> list[Problem]:
    """The same for any paths: `coatcheck.check` asks again with the real ones."""
    problems = []
    alone: dict[Path, Used] = {}
    entries = list(used)
    for entry in entries:
        if entry.exclusive and entry.path in alone:
            problems.append(_problem(entry, alone[entry.path], "is the same folder as"))
        elif entry.exclusive:
            alone[entry.path] = entry
    for entry in entries:
        if not entry.exclusive and entry.path in alone:
            problems.append(_problem(alone[entry.path], entry, "is the same folder as"))
        problems += [_problem(entry, alone[above], "lies inside") for above in entry.path.parents if above in alone]
    return problems


def _problem(entry: Used, other: Used, how: str) -> Problem:
    what = f"{how} {other.key} ({other.place.file}:{other.place.line})"
    hint = "give each its own folder, beside the others and not inside one"
    return Problem(file=entry.place.file, line=entry.place.line, key=entry.key, what=what, hint=hint)
