"""The configuration: YAML in, a frozen `Config` out, or every problem at once with its file and line.

Nothing but the configuration's own files is touched here; `coatcheck.check` goes on to the folders and keys. Relative
paths count from the folder of the configuration. What stands under ``defaults:`` holds for each project that does not
say otherwise, and a project may stand alone in ``coatcheck.d/NAME.yaml`` beside the configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from coatcheck.config_model import FOLDERS, Config, Project, Settings, misfits
from coatcheck.config_overlap import Used, find_overlaps
from coatcheck.config_subjects import Listed
from coatcheck.config_values import folder
from coatcheck.config_yaml import Document, KeyPath, parse
from coatcheck.errors import CoatcheckError
from coatcheck.problems import ConfigError, Place, Problem, nearest
from coatcheck.subject_list import read_list

__all__ = ["Config", "ConfigError", "Place", "Problem", "Project", "config_folder", "find_config", "load"]

DROP_IN: Final = "coatcheck.d"
SYSTEM_CONFIG: Final = Path("/etc/coatcheck/coatcheck.yaml")
PROJECT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME_HINT: Final = "use small letters, digits and hyphens, at most 63, a letter or digit first"
_PROJECT_KEYS: Final = tuple(name for name in Project.model_fields if name != "name")
_TOP_KEYS: Final = (*Settings.model_fields, "defaults", "projects")


def find_config(option: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The configuration to use: ``--config``, ``$COATCHECK_CONFIG``, ``./coatcheck.yaml``, the system's own.

    Raises CoatcheckError (exit code 78) when there is none.
    """
    named = option or (Path(environ["COATCHECK_CONFIG"]) if environ.get("COATCHECK_CONFIG") else None)
    if named is not None:
        return cwd / named
    for path in (cwd / "coatcheck.yaml", SYSTEM_CONFIG):
        if os.path.isfile(path):  # One that cannot be looked at is none, as in a folder of another user.
            return path
    error = CoatcheckError(
        "there is no configuration", "name one with `--config FILE`, or make one with `coatcheck init`"
    )
    error.exit_code = 78
    raise error


def config_folder(path: Path) -> Path:
    """The folder that relative paths of a configuration count from."""
    return Path(os.path.abspath(path)).parent


def load(path: Path, *, may_be_empty: bool = False) -> Config:
    """Read a configuration and the ``coatcheck.d`` beside it. Raises ConfigError with all problems at once.

    That there is no project is one of them, unless it ``may_be_empty``.
    """
    reading = _Loading(config_folder(path), _document(path))
    reading.settings()
    reading.defaults()
    for name in reading.mapping("projects"):
        reading.project(name, reading.top, "projects", name)
    reading.drop_ins()
    return reading.config(path, may_be_empty)


def _document(path: Path) -> Document:
    try:
        return parse(str(path), path.read_bytes())
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        hint = "name another file with `--config FILE`, or make one with `coatcheck init`"
        problem = Problem(file=str(path), line=1, key="", what=what, hint=hint)
        return Document(file=str(path), value=None, lines={}, problems=(problem,))


class _Loading:
    """One reading of a configuration: gathers the projects that are right, and what is wrong with the others."""

    def __init__(self, base: Path, top: Document) -> None:
        self.base = base
        self.top = top
        self.problems = list(top.problems)
        self.projects: dict[str, Project] = {}
        self.places: dict[KeyPath, Place] = {}
        self.names: dict[str, Place] = {}
        self.top_settings = Settings()
        self.used: list[Used] = []
        self.default_faults: set[tuple[str, str]] = set()
        if top.value is not None and not isinstance(top.value, dict):
            self.complain(top, (), "the configuration must be a mapping", "write `projects:` and below it each project")

    def complain(self, document: Document, path: KeyPath, what: str, hint: str, line: int = 0) -> None:
        key = ".".join(path)
        line = line or document.line(*path)
        self.problems.append(Problem(file=document.file, line=line, key=key, what=what, hint=hint))

    def mapping(self, key: str) -> dict[str, object]:
        """The mapping below one of the top keys; empty where there is none."""
        value = self.top.value.get(key) if isinstance(self.top.value, dict) else None
        if value is not None and not isinstance(value, dict):
            self.complain(self.top, (key,), "must be a mapping", "write `name: value` lines below it, indented")
        return value if isinstance(value, dict) else {}

    def settings(self) -> None:
        """The keys that hold for the whole service."""
        values = self.top.value if isinstance(self.top.value, dict) else {}
        for name in values:
            if name not in _TOP_KEYS:
                self.unknown(self.top, (name,), _TOP_KEYS)
        given = {name: values[name] for name in Settings.model_fields if name in values}
        settings = self.validate(Settings, given, self.top, ())
        if isinstance(settings, Settings):
            self.top_settings = settings
        self.places |= {(name,): Place(self.top.file, self.top.line(name)) for name in Settings.model_fields}
        self.used.append(
            Used(Path(os.path.abspath(self.top.file)), "the configuration", Place(self.top.file, 1), False)
        )
        for name in ("state_dir", "key_dir"):
            self.uses(getattr(self.top_settings, name), name, self.places[name,], exclusive=False)

    def uses(self, value: object, key: str, place: Place, *, exclusive: bool) -> None:
        """Note a folder, even where the rest of its project is wrong, so that overlaps are found all the same."""
        with suppress(PydanticCustomError):
            self.used.append(Used(folder(value, self.base), key, place, exclusive))

    def defaults(self) -> None:
        """What stands under ``defaults:`` is judged once, at its own line, whether or not a project uses it."""
        given = self.mapping("defaults")
        for name in given:
            if name not in _PROJECT_KEYS:
                self.unknown(self.top, ("defaults", name), _PROJECT_KEYS)
        known = {name: value for name, value in given.items() if name in _PROJECT_KEYS}
        before = len(self.problems)
        self.validate(Project, {"name": "x"} | {role: "/x" for role in FOLDERS} | known, self.top, ("defaults",))
        faults = self.problems[before:]
        self.default_faults = {(problem.key.removeprefix("defaults."), problem.what) for problem in faults}

    def project(self, name: str, document: Document, *path: str) -> None:
        """One project, wherever it stands: ``path`` leads to it in its document."""
        if not PROJECT_NAME.fullmatch(name):
            self.complain(document, path, "this is no name for a project", _NAME_HINT)
        if name in self.names:
            first = self.names[name]
            self.complain(
                document, path, f"the project `{name}` also stands in {first.file}:{first.line}", "remove one"
            )
            return
        self.names[name] = Place(document.file, document.line(*path))
        own = self.own(document, path)
        if own is None:
            return
        for key in own:
            if key not in _PROJECT_KEYS:
                self.unknown(document, (*path, key), _PROJECT_KEYS)
        defaults = self.mapping("defaults")
        self.remember(name, own, defaults, document, path)
        merged = {"name": name} | defaults | own
        known = {key: value for key, value in merged.items() if key in Project.model_fields}
        project = self.validate(Project, known, document, path, frozenset(defaults) - frozenset(own))
        for key, what, hint in misfits(known):
            self.complain(document, (*path, key), what, hint)
        for role in FOLDERS:
            if known.get(role) is not None:
                place = self.places["projects", name, role]
                self.uses(known[role], f"projects.{name}.{role}", place, exclusive=True)
        if isinstance(project, Project):
            if project.note_folder is not None:
                place = self.places["projects", name, "note"]
                self.uses(project.note_folder, f"projects.{name}.note", place, exclusive=False)
            self.projects[name] = self.with_list(project)

    def with_list(self, project: Project) -> Project:
        """The project with the subjects that its list holds, if it has one."""
        subjects = project.subjects
        if not isinstance(subjects, Listed):
            return project
        place = self.places["projects", project.name, "subjects"]
        key = f"projects.{project.name}.subjects.file"
        entries, problems = read_list(subjects.file, subjects.spelling, place, key)
        self.problems += problems
        self.uses(subjects.file, key, place, exclusive=False)  # in an inbox it would be taken for a dropped file
        return project.model_copy(update={"subjects": subjects.model_copy(update={"entries": entries})})

    def own(self, document: Document, path: KeyPath) -> dict[str, object] | None:
        """What stands at the project itself, or None where that is no mapping."""
        value = document.value
        for key in path:
            value = value[key] if isinstance(value, dict) else None
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        self.complain(document, path, "a project must be a mapping", "write `inbox: FOLDER` and the rest below it")
        return None

    def remember(
        self, name: str, own: dict[str, object], defaults: dict[str, object], document: Document, path: KeyPath
    ) -> None:
        """Note the place of each setting, so that later findings can name it."""
        self.places["projects", name] = Place(document.file, document.line(*path))
        for key in _PROJECT_KEYS:
            if key in own:
                place = Place(document.file, document.line(*path, key))
            elif key in defaults:
                place = Place(self.top.file, self.top.line("defaults", key))
            else:
                place = self.places["projects", name]
            self.places["projects", name, key] = place

    def unknown(self, document: Document, path: KeyPath, known: tuple[str, ...]) -> None:
        self.complain(document, path, "this setting is not known", nearest(path[-1], known))

    def validate(
        self,
        model: type[BaseModel],
        values: dict[str, object],
        document: Document,
        path: KeyPath,
        inherited: frozenset[str] = frozenset(),
    ) -> BaseModel | None:
        """The model of these values, or None and its problems. Inherited values were judged where they stand."""
        try:
            return model.model_validate(values, context={"base": self.base})
        except ValidationError as error:
            for found in error.errors(include_url=False, include_input=False):
                key = tuple(map(str, found["loc"]))
                if inherited.intersection(key[:1]) and (".".join(key), found["msg"]) in self.default_faults:
                    continue
                hint = str(found.get("ctx", {}).get("hint", "")) or f"write `{''.join(key[-1:])}: VALUE`"
                what = "is missing" if found["type"] == "missing" else found["msg"]
                self.complain(document, (*path, *key), what, hint)
            return None

    def drop_ins(self) -> None:
        """The projects that stand alone in ``coatcheck.d``."""
        folder = Path(self.top.file).parent / DROP_IN
        try:
            found = sorted(folder.iterdir(), key=lambda path: os.fsencode(path.name))
        except FileNotFoundError:
            return
        except OSError as error:
            what = f"cannot be listed ({error.strerror})"
            self.problems.append(Problem(file=str(folder), line=1, key="", what=what, hint="mend its permissions"))
            return
        for path in found:
            self.drop_in(path)

    def drop_in(self, path: Path) -> None:
        if path.name.startswith(".") or path.suffix not in (".yaml", ".yml"):
            return  # an editor's backup, a note: a configuration management tool leaves such things
        document = _document(path)
        self.problems += document.problems
        if path.suffix == ".yml":
            self.complain(document, (), "this file is not read", f"name it {path.stem}.yaml")
        elif not document.problems or document.value is not None:
            self.project(path.stem, document)

    def config(self, path: Path, may_be_empty: bool) -> Config:
        """The whole, if there is nothing to mend."""
        if not self.names and not self.problems and not may_be_empty:
            self.complain(
                self.top, ("projects",), "there is no project", "add one with `coatcheck init --project NAME`"
            )
        self.problems += find_overlaps(self.used)
        if self.problems:
            raise ConfigError(self.problems)
        settings = {name: getattr(self.top_settings, name) for name in Settings.model_fields}
        return Config(path=Path(os.path.abspath(path)), projects=self.projects, places=self.places, **settings)
