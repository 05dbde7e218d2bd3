"""Profiles as files: a page of YAML, read whole, with every problem named at once. A bad profile never runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coatcheck.config import Project
from coatcheck.config_values import is_variable
from coatcheck.config_yaml import Document, parse
from coatcheck.data import profiles_dir
from coatcheck.deid import standard
from coatcheck.deid.actions import KINDS, Maker
from coatcheck.deid.conditions import parse as parse_condition
from coatcheck.deid.lint import lint
from coatcheck.deid.profile import AVAILABLE, FULL_DATES, MODIFIED_DATES, Profile, WrittenRule
from coatcheck.deid.selectors import parse as parse_selector
from coatcheck.deid.settings import SettingError, choice, nearest
from coatcheck.deid.shifts import Dates, dates_of
from coatcheck.errors import CoatcheckError
from coatcheck.problems import ConfigError, Problem

KEYS: Final = ("title", "extends", "options", "unlisted", "private", "dates", "variables", "rules")
RULE_KEYS: Final = ("at", "do", "when", "because")
_VARIABLE: Final = "a variable's name is of small letters, digits and _, and its value is a text"
_DEEPEST: Final = 8
SAFE_PRIVATE: Final = "retain-safe-private"
_SHOW: Final = "see `coatcheck profile show basic` for a profile that is right"


def built_in() -> list[str]:
    """The names of the profiles that ship with coatcheck."""
    return sorted(path.stem for path in profiles_dir().glob("*.yaml"))


def path_of(name_or_path: str, base: Path) -> Path:
    """Where a profile stands: a built-in one by name, or a YAML file; a relative path is relative to ``base``.

    Raises CoatcheckError for a name that no built-in profile has.
    """
    if "/" in name_or_path or name_or_path.endswith((".yaml", ".yml")):
        return base / name_or_path
    if name_or_path not in built_in():
        hint = nearest(name_or_path, built_in()) or f"use one of {', '.join(built_in())}, or a path to a YAML file"
        raise CoatcheckError(f"there is no built-in profile {name_or_path!r}", hint)
    return profiles_dir() / f"{name_or_path}.yaml"


def load_profile(name_or_path: str, base: Path, variables: Mapping[str, str] | None = None) -> Profile:
    """A built-in profile by name, or one from a YAML file; a relative path is relative to ``base``.

    ``variables`` are those that the project adds. Raises ConfigError with every problem of the file, and
    CoatcheckError for a profile that is not there: a bad profile never runs.
    """
    path = path_of(name_or_path, base)
    reading = _Reading(frozenset(variables or ()))
    profile = reading.profile(path, ())
    if reading.problems:
        raise ConfigError(reading.problems)
    found = [
        Problem(file=_file(one.place), line=_line(one.place), key="rules", what=one.what, hint=one.hint)
        for one in lint(profile)
        if one.level == "problem"
    ]
    if found:
        raise ConfigError(found)
    return profile


def profile_of(project: Project, base: Path) -> Profile:
    """A project's profile, with the project's own variables. Raises CoatcheckError where it does not suit."""
    profile = load_profile(project.profile, base, project.variables)
    try:
        profile.dates.shift(project.date_shift_days)
    except ValueError:
        raise CoatcheckError(
            f"the profile {profile.name} finds no number of days in `date_shift_days`",
            "it moves dates by whole weeks: write multiples of 7, such as [-364, -7]",
        ) from None
    return profile


@dataclass(slots=True)
class _Reading:
    """One profile and those that it extends."""

    project_variables: frozenset[str]
    problems: list[Problem] = field(default_factory=list)

    def profile(self, path: Path, chain: tuple[Path, ...]) -> Profile:
        """The profile in a file, over the one that it extends."""
        try:
            document = parse(str(path), path.read_bytes())
        except OSError as error:
            raise CoatcheckError(f"the profile {path} cannot be read ({error.strerror})", "check the path") from None
        self.problems += document.problems
        if not isinstance(document.value, dict):
            if not document.problems:
                self.say(document, (), "a profile is a mapping of settings", _SHOW)
            return Profile(name=path.stem, title=path.stem)
        return self.composed(path, document, document.value, chain)

    def composed(self, path: Path, document: Document, said: dict[str, Any], chain: tuple[Path, ...]) -> Profile:
        """What a file says over what it extends."""
        self.known_keys(document, said)
        base = self.extended(path, document, said, (*chain, path.resolve()))
        variables = self.variables(document, said, base)
        names = frozenset(name for name, _ in variables) | self.project_variables
        options, private = self.options(document, said, base), self.private(document, said, base)
        return Profile(
            name=path.stem,
            title=self.title(document, said, path.stem),
            options=tuple(option for option in options if private == "safe" or option != SAFE_PRIVATE),
            unlisted=self.word(document, said, "unlisted", ("keep", "remove"), base.unlisted),
            private=private,
            dates=self.dates(document, said, base),
            variables=variables,
            rules=(*base.rules, *self.rules(path, document, said, names)),
        )

    def say(self, document: Document, key: tuple[str, ...], what: str, hint: str = "") -> None:
        """One problem."""
        line = document.line(*key)
        self.problems.append(Problem(file=document.file, line=line, key=".".join(key), what=what, hint=hint))

    def known_keys(self, document: Document, said: dict[str, Any]) -> None:
        for key in said:
            if key not in KEYS:
                self.say(document, (key,), "unknown setting", nearest(key, KEYS))

    def title(self, document: Document, said: dict[str, Any], name: str) -> str:
        title = said.get("title", name)
        if not isinstance(title, str):
            self.say(document, ("title",), "must be a text", "put it into quotes")
        return str(title)

    def extended(self, path: Path, document: Document, said: dict[str, Any], chain: tuple[Path, ...]) -> Profile:
        """The profile that this one extends; one without anything where it extends none."""
        nothing = Profile(name=path.stem, title=path.stem)
        wanted = said.get("extends")
        if wanted is None:
            return nothing
        if not isinstance(wanted, str):
            self.say(document, ("extends",), "must be the name of a profile or the path of its file")
            return nothing
        try:
            other = path_of(wanted, path.parent)
            if other.resolve() in chain:
                self.say(document, ("extends",), "leads back to this profile", "extend another one")
                return nothing
            if len(chain) > _DEEPEST:
                self.say(document, ("extends",), f"more than {_DEEPEST} profiles in a row", "extend a simpler one")
                return nothing
            return self.profile(other, chain)
        except CoatcheckError as error:
            self.say(document, ("extends",), error.what, error.hint)
            return nothing

    def options(self, document: Document, said: dict[str, Any], base: Profile) -> tuple[str, ...]:
        """The options of Annex E, those of the extended profile first."""
        options = said.get("options", [])
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            self.say(document, ("options",), "must be a list of names", _SHOW)
            return base.options
        known = [option for option in standard.options() if option != "basic"]
        for option in options:
            if option not in known:
                self.say(document, ("options",), f"unknown option `{option}`", nearest(option, known))
            elif option not in AVAILABLE:
                hint = "leave it out; `pixel_risk` of the project decides what happens to burned-in text"
                self.say(document, ("options",), f"this version cannot do the option `{option}`", hint)
        if len(set(options)) != len(options):
            self.say(document, ("options",), "an option stands twice", "name each option once")
        found = tuple(dict.fromkeys((*base.options, *options)))
        if FULL_DATES in options and MODIFIED_DATES not in options:  # the later wins
            found = tuple(option for option in found if option != MODIFIED_DATES)
        elif MODIFIED_DATES in options and FULL_DATES not in options:
            found = tuple(option for option in found if option != FULL_DATES)
        if {FULL_DATES, MODIFIED_DATES} <= set(found):
            self.say(
                document,
                ("options",),
                "dates cannot be both kept and moved",
                f"leave out one of `{FULL_DATES}` and `{MODIFIED_DATES}` (PS3.15 E.3.6)",
            )
        return tuple(option for option in found if option in AVAILABLE)

    def word(self, document: Document, said: dict[str, Any], key: str, allowed: tuple[str, ...], default: str) -> str:
        try:
            return choice(said, key, allowed, default)
        except SettingError as error:
            self.say(document, (key,), error.what, error.hint)
            return default

    def private(self, document: Document, said: dict[str, Any], base: Profile) -> str:
        """What becomes of private elements. The option to retain safe ones says so by itself.

        A profile that says otherwise than the one it extends takes that one's option away: the later wins.
        """
        options = said.get("options")
        safe = isinstance(options, list) and SAFE_PRIVATE in options
        default = "safe" if safe else base.private
        private = self.word(document, said, "private", ("remove", "safe", "keep-listed"), default)
        if safe and private != "safe":
            self.say(document, ("private",), f"contradicts the option `{SAFE_PRIVATE}`", "leave out one of the two")
        if private == "safe" and not safe and SAFE_PRIVATE not in base.options:
            self.say(document, ("private",), f"`safe` is the option `{SAFE_PRIVATE}`", "write it under `options`")
        return private

    def dates(self, document: Document, said: dict[str, Any], base: Profile) -> Dates:
        """How far dates move."""
        found = said.get("dates", {})
        try:
            if not isinstance(found, dict):
                raise SettingError("must be a mapping", "write `dates: {scope: patient}`, for example")
            return dates_of(found, base.dates)
        except SettingError as error:
            self.say(document, ("dates",), error.what, error.hint)
            return base.dates

    def variables(self, document: Document, said: dict[str, Any], base: Profile) -> tuple[tuple[str, str], ...]:
        """Named texts for templates; those of this file win."""
        found = said.get("variables", {})
        if not isinstance(found, dict):
            self.say(document, ("variables",), "must be a mapping of names to texts")
            return base.variables
        for name, value in found.items():
            if not isinstance(value, str) or not is_variable(name):
                self.say(document, ("variables", name), "is no variable", _VARIABLE)
        texts = {name: value for name, value in found.items() if isinstance(value, str)}
        return tuple((dict(base.variables) | texts).items())

    def rules(self, path: Path, document: Document, said: dict[str, Any], names: frozenset[str]) -> list[WrittenRule]:
        """The rules of this file that can be read."""
        rules = said.get("rules", [])
        if not isinstance(rules, list):
            self.say(document, ("rules",), "must be a list of rules", "each begins with `- at:`")
            return []
        maker = Maker(names, path.parent)
        found = []
        for number, rule in enumerate(rules):
            key = ("rules", str(number))
            lines = [line for place, line in document.lines.items() if place[:2] == key]
            line = min(lines, default=document.line("rules"))
            try:
                found.append(written_rule(rule, maker, f"{document.file}:{line}"))
            except SettingError as error:
                what = Problem(file=document.file, line=line, key="rules", what=error.what, hint=error.hint)
                self.problems.append(what)
        return found


def written_rule(said: object, maker: Maker, place: str) -> WrittenRule:
    """One rule as YAML has it; ``place`` is ``file:line``. Raises SettingError."""
    if not isinstance(said, dict):
        raise SettingError("a rule is a mapping with `at` and `do`", "write `- at: PatientSex` and `do: keep` below it")
    for key in ("at", "do"):
        if key not in said:
            raise SettingError(f"`{key}` is missing", "a rule says `at` what it is and what to `do`")
    action = choice(said, "do", tuple(KINDS))
    at = said["at"] if isinstance(said["at"], list) else [said["at"]]
    if not at or not all(isinstance(one, str) for one in at):
        raise SettingError("`at` must be a selector or a list of them", "write a keyword, such as PatientSex")
    because = said.get("because", "")
    if not isinstance(because, str):
        raise SettingError("`because` must be a text", "put it into quotes")
    settings = {key: value for key, value in said.items() if key not in RULE_KEYS}
    do = KINDS[action].make(settings, maker) if settings or action not in _PLAIN else None
    return WrittenRule(
        selectors=tuple(parse_selector(one) for one in at),
        action=action,
        do=do,
        when=parse_condition(said["when"]) if "when" in said else None,
        because=because,
        place=place,
        content=repr((sorted({**said, "because": ""}.items()), getattr(do, "digest", ""))),
    )


_PLAIN: Final = frozenset({"keep", "allow", "remove", "empty", "dummy", "uid", "subject"})


def _file(place: str) -> str:
    return place.rpartition(":")[0]


def _line(place: str) -> int:
    return int(place.rpartition(":")[2] or 1)
