"""What a delivery looks like and what follows it: the project's keys ``layout``, ``receipt`` and ``after_delivery``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ValidationError, ValidationInfo, model_validator
from pydantic_core import InitErrorDetails

from coatcheck.config_subjects import Part
from coatcheck.config_values import wrong
from coatcheck.layout import DEFAULT, SHIPPED, Layout
from coatcheck.problems import nearest
from coatcheck.units import parse_duration

PLACEHOLDERS: Final = ("folder", "number", "project", "study_uid", "subject", "ticket")
"""What stands in braces in the words of ``after_delivery``."""

_MOST_PARTS: Final = 6
_MOST_TRIES: Final = 100
_LONGEST_RUN: Final = 86400.0  # seconds
_TEXT: Final = {"type": "string", "minLength": 1}
# How the settings are written, for their JSON schema.
LAYOUT_WRITTEN: Final[dict[str, Any]] = {
    "anyOf": [
        {"enum": list(SHIPPED)},
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "name": {"enum": list(SHIPPED), "description": "A layout that ships."},
                "folder": _TEXT | {"description": "A template for the delivery's own folder in the outbox."},
                "file": _TEXT | {"description": "A template for the files below it."},
                "extension": {"enum": ["dcm", "none", "kept"], "description": "What the names of files end with."},
            },
        },
    ]
}
RECEIPT_WRITTEN: Final[dict[str, Any]] = {"anyOf": [{"type": "boolean"}, {"enum": ["no", "yes", "checksums"]}]}
_WORDS_WRITTEN: Final = {"type": "array", "minItems": 1, "items": _TEXT}
COMMAND_WRITTEN: Final[dict[str, Any]] = {
    "anyOf": [
        _WORDS_WRITTEN,
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["command"],
            "properties": {
                "command": _WORDS_WRITTEN | {"description": "The program with its whole path, and its words."},
                "time_limit": _TEXT | {"description": "How long it may run, such as 5m."},
                "tries": {"type": "integer", "minimum": 1, "maximum": _MOST_TRIES, "description": "How often at most."},
            },
        },
        {"type": "null"},
    ]
}
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_KNOWN: Final = ("name", "folder", "file", "extension")
_LAYOUT_HINT: Final = "write `layout: flat`, or below `layout:` a `folder:` and a `file:` with templates"
_COMMAND_HINT: Final = 'write a list of words, the program with its whole path first: [/usr/local/bin/told, "{folder}"]'


def layout_of(value: object, info: ValidationInfo) -> Layout:
    """The layout that a setting means: a name, or a mapping. Raises PydanticCustomError."""
    if isinstance(value, Layout):  # from code
        return value
    content = {"name": value} if isinstance(value, str) else value
    if not isinstance(content, dict):
        raise wrong("must be the name of a layout, or a mapping", _LAYOUT_HINT)
    for key in content:
        if key not in _KNOWN:
            raise wrong(f"`{key}` is not known in a layout", nearest(str(key), _KNOWN))
    if "folder" not in content and "file" not in content:
        return _shipped(content)
    from coatcheck.deid.settings import SettingError  # few have templates of their own, and what reads them is large
    from coatcheck.naming import reads

    layout = _own(content)
    given = info.data.get("variables")
    variables = frozenset(given) if isinstance(given, dict) else frozenset()
    try:
        reads(layout, variables)
    except SettingError as error:
        raise wrong(error.what, error.hint) from None
    return layout


def _shipped(content: Mapping[str, object]) -> Layout:
    name = str(content.get("name", DEFAULT))
    if name not in SHIPPED:
        raise wrong(f"the layout must be one of {', '.join(SHIPPED)}", nearest(name, tuple(SHIPPED)))
    folder, file, extension = SHIPPED[name]
    return Layout(name=name, folder=folder, file=file, extension=_extension(content.get("extension", extension)))


def _own(content: Mapping[str, object]) -> Layout:
    if "name" in content:
        raise wrong("a layout has a `name` or templates of its own", "remove one of the two")
    texts = [content.get("folder", SHIPPED[DEFAULT][0]), content.get("file", SHIPPED[DEFAULT][1])]
    for text in texts:
        parts = text.split("/") if isinstance(text, str) else []
        if not 1 <= len(parts) <= _MOST_PARTS or not all(part.strip() for part in parts):
            raise wrong(
                f"a template must be text with 1 to {_MOST_PARTS} parts between slashes",
                'write it as "{subject}/{StudyInstanceUID}"',
            )
    folder, file = map(str, texts)
    return Layout(name="", folder=folder, file=file, extension=_extension(content.get("extension", "dcm")))


def _extension(value: object) -> Literal["dcm", "none", "kept"]:
    match value:
        case "dcm" | "none" | "kept":
            return value
    raise wrong("the extension must be dcm, none or kept", "write `extension: none`")


def receipt_of(value: object) -> object:
    """``no``, ``yes`` or ``checksums``; YAML reads the first two as truth values."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value not in ("no", "yes", "checksums"):
        raise wrong("must be no, yes or checksums", "write `receipt: yes`")
    return value


def _words(value: object) -> tuple[str, ...]:
    words = tuple(value) if isinstance(value, list | tuple) else ()
    if not words or not all(isinstance(word, str) and word and "\0" not in word for word in words):
        raise wrong("the command must be a list of words", _COMMAND_HINT)
    if not words[0].startswith("/"):
        raise wrong("the command's first word must be the whole path of a program; there is no shell", _COMMAND_HINT)
    for word in words:
        for name in _BRACES.findall(word):
            if name not in PLACEHOLDERS:
                raise wrong(f"there is no placeholder `{{{name}}}`", nearest(name, PLACEHOLDERS))
    return words


def _limit(value: object, info: ValidationInfo) -> float:
    try:
        seconds = value if isinstance(value, float) and not info.context else parse_duration(value)
    except ValueError as error:
        what, _, hint = str(error).partition(": ")
        raise wrong(what, hint) from None
    if not 0 < seconds <= _LONGEST_RUN:
        raise wrong("must be longer than nothing and at most a day", "write `time_limit: 5m`")
    return seconds


def _tries(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_TRIES:
        raise wrong(f"must be a whole number from 1 to {_MOST_TRIES}", "write `tries: 5`")
    return value


class AfterDelivery(Part):
    """A command that is run after each delivery, without a shell. ``time_limit`` is in seconds."""

    command: Annotated[tuple[str, ...], BeforeValidator(_words)]
    time_limit: Annotated[float, BeforeValidator(_limit)] = 300.0
    tries: Annotated[int, BeforeValidator(_tries)] = 5

    @model_validator(mode="before")
    @classmethod
    def _has_a_command(cls, values: Any) -> Any:  # noqa: ANN401  # whatever YAML holds
        if isinstance(values, dict) and "command" not in values:
            missing = wrong("the command is missing", _COMMAND_HINT)
            details = InitErrorDetails(type=missing, loc=("command",), input=None)
            raise ValidationError.from_exception_data(cls.__name__, [details])
        return values

    def words(self, values: Mapping[str, str]) -> list[str]:
        """The command with a value for each placeholder."""
        return [_BRACES.sub(lambda found: values[found[1]], word) for word in self.command]


def after_delivery_of(value: object) -> object:
    """A list is the command alone."""
    return {"command": value} if isinstance(value, list | tuple) else value


def output_misfits(values: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Outputs that are right alone and wrong together: the key, what is wrong with it, and a hint."""
    layout = values.get("layout", "media")
    name = layout.get("name") if isinstance(layout, dict) else layout
    if values.get("dicomdir") is True and name != "media":
        yield "dicomdir", "a DICOMDIR can only name files of the layout `media`", "write `layout: media`"
    if values.get("dicomdir") is True and isinstance(layout, dict) and layout.get("extension", "none") != "none":
        yield "dicomdir", "a DICOMDIR can only name files without an extension", "remove `extension`"
