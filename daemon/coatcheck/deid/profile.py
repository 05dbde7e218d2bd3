"""Profiles: which options of PS3.15 Annex E a project chose. A page of YAML, checked when it is loaded."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from coatcheck.data import profiles_dir
from coatcheck.deid import standard
from coatcheck.errors import CoatcheckError

# What this version can do. The other options of Annex E are refused, never silently left out.
AVAILABLE = ("retain-longitudinal-modified-dates", "retain-patient-characteristics")
_KEYS = ("title", "options")
_HINT = "see `coatcheck profile show basic` for a profile that is right"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A profile as it is applied. ``digest`` names its content and the standard's edition, for records."""

    name: str
    title: str
    options: tuple[str, ...]

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that change when anything that the profile does changes."""
        content = "\n".join((standard.EDITION, *self.options))
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def methods(self) -> tuple[standard.Option, ...]:
        """The codes of CID 7050 for what was done, the profile's own first."""
        known = standard.options()
        return (known["basic"], *(known[option] for option in self.options))

    @property
    def temporal_information(self) -> str:
        """The value of Longitudinal Temporal Information Modified (0028,0303)."""
        return "MODIFIED" if "retain-longitudinal-modified-dates" in self.options else "REMOVED"


def built_in() -> list[str]:
    """The names of the profiles that ship with coatcheck."""
    return sorted(path.stem for path in profiles_dir().glob("*.yaml"))


def load_profile(name_or_path: str, base: Path) -> Profile:
    """A built-in profile by name, or one from a YAML file; a relative path is relative to ``base``.

    Raises CoatcheckError for a profile that is not there or not right: a bad profile never runs.
    """
    if "/" not in name_or_path and not name_or_path.endswith((".yaml", ".yml")):
        if name_or_path not in built_in():
            raise CoatcheckError(
                f"there is no built-in profile {name_or_path!r}",
                f"use one of {', '.join(built_in())}, or a path to a YAML file",
            )
        path = profiles_dir() / f"{name_or_path}.yaml"
    else:
        path = base / name_or_path
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CoatcheckError(f"the profile {path} cannot be read ({error.strerror})", "check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise CoatcheckError(f"the profile {path} is not YAML", _HINT) from None
    return _checked(path.stem, str(path), content)


def _checked(name: str, where: str, content: object) -> Profile:
    if not isinstance(content, dict):
        raise CoatcheckError(f"the profile {where} is not a mapping of settings", _HINT)
    for key in content:
        if key not in _KEYS:
            raise CoatcheckError(f"the profile {where} has an unknown setting {key!r}", _nearest(str(key), _KEYS))
    options = content.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise CoatcheckError(f"the `options` of the profile {where} are not a list of names", _HINT)
    _check_options(where, options)
    return Profile(name=name, title=str(content.get("title", name)), options=tuple(options))


def _check_options(where: str, options: list[str]) -> None:
    known = [option for option in standard.options() if option != "basic"]
    for option in options:
        if option not in known:
            raise CoatcheckError(f"the profile {where} has an unknown option {option!r}", _nearest(option, known))
        if option not in AVAILABLE:
            raise CoatcheckError(
                f"the profile {where} asks for the option {option!r}, which this version cannot do",
                f"leave it out; available are {', '.join(AVAILABLE)}",
            )
    if len(set(options)) != len(options):
        raise CoatcheckError(f"the profile {where} names an option twice", "name each option once")


def _nearest(word: str, known: tuple[str, ...] | list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
