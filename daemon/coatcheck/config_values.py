"""What settings of the configuration are read with: an error that has a hint, the path and the time that are meant."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationInfo
from pydantic_core import PydanticCustomError

from coatcheck.units import parse_duration


def wrong(what: str, hint: str) -> PydanticCustomError:
    """A validation error with a hint. The braces are doubled because pydantic fills the text in as a template."""
    return PydanticCustomError("coatcheck", what.replace("{", "{{").replace("}", "}}"), {"hint": hint})


def folder(
    value: object, base: Path, kind: str = "a folder", hint: str = "write it as text, such as /srv/trial/inbox"
) -> Path:
    """The absolute path that a setting means. Raises PydanticCustomError."""
    if isinstance(value, Path):  # from code, not from YAML
        return Path(os.path.normpath(base / value))
    if not isinstance(value, str) or not value.strip():
        raise wrong(f"must be the path of {kind}", hint)
    if value.startswith("~"):
        raise wrong("`~` is not replaced by a home folder here", "write the whole path")
    try:
        if b"\0" in os.fsencode(value):
            raise wrong("a path cannot hold a NUL character", "write the path without it")
    except UnicodeEncodeError:
        raise wrong("a path cannot hold this character", "write the path without it") from None
    return Path(os.path.normpath(base / value))


def duration(value: object, info: ValidationInfo) -> float:
    """The seconds that a setting means. Raises PydanticCustomError."""
    if isinstance(value, float) and not info.context:  # code that makes a Project speaks in seconds, YAML in units
        return value
    try:
        return parse_duration(value)
    except ValueError as error:
        what, _, hint = str(error).partition(": ")
        raise wrong(what, hint) from None


def is_variable(name: str) -> bool:
    """Whether a variable of templates may be called so: in small letters, so that it is no keyword of the standard."""
    return name.isascii() and name.isidentifier() and name == name.lower() and name not in ("project", "subject")
