"""The project's key ``subjects``: how patients get their subjects, and which spellings of a Patient ID are one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, InitErrorDetails

from coatcheck.config_values import folder, wrong
from coatcheck.problems import nearest

SUBJECT: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
SUBJECT_HINT: Final = "use letters, digits, `.`, `_` and `-`, at most 64, a letter or digit first and no `.` last"
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9._-]{0,39})?")
_MOST_DIGITS: Final = 12
_MOST_START: Final = 10**_MOST_DIGITS
_ISSUER: Final = "\0"  # between an ID and its issuer: no value of an Attribute has it here


class Entry(NamedTuple):
    """One line of a list: the subject, and its date shift in days where the list gives one."""

    subject: str
    shift_days: int | None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise wrong("must be true or false", "write `true` or `false`")
    return value


def _prefix(value: object) -> str:
    if not isinstance(value, str) or not _PREFIX.fullmatch(value):
        what = "must be text of at most 40 letters, digits, `.`, `_` and `-`, a letter or digit first"
        raise wrong(what, "write `prefix: LUNG-`")
    return value


def _digits(value: object) -> int:
    if type(value) is not int or not 1 <= value <= _MOST_DIGITS:
        raise wrong(f"must be a whole number from 1 to {_MOST_DIGITS}", "write `digits: 4`")
    return value


def _start(value: object) -> int:
    if type(value) is not int or not 0 <= value < _MOST_START:
        raise wrong("must be a whole number, 0 or more", "write `start: 1`")
    return value


def _file(value: object, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path("/"))
    return folder(value, base, "a CSV file", "write `file: subjects.csv`")


Flag = Annotated[bool, BeforeValidator(_flag)]


class Part(BaseModel):
    """A part of a setting, in which a key that is not known is told with the nearest one that is."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known(cls, values: Any) -> Any:  # noqa: ANN401  # whatever YAML holds
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise wrong("must be a mapping", "write `name: value` lines below it, indented")
        known = tuple(cls.model_fields)
        unknown = [
            InitErrorDetails(type=wrong("this setting is not known", nearest(key, known)), loc=(key,), input=None)
            for key in values
            if key not in known
        ]
        if unknown:
            raise ValidationError.from_exception_data(cls.__name__, unknown)
        return values


class Spelling(Part):
    """Which differences between two Patient IDs do not count."""

    ignore_case: Flag = Field(default=False, description="Whether `abc` and `ABC` are one patient.")
    ignore_leading_zeros: Flag = Field(default=False, description="Whether `007` and `7` are one patient.")
    ignore_spaces: Flag = Field(default=True, description="Whether `12 34` and `1234` are one patient.")
    issuer: Flag = Field(default=False, description="Whether Issuer of Patient ID is a part of the ID.")

    def key(self, patient_id: str, issuer: str = "") -> str:
        """What all spellings of one Patient ID have in common; "" for none.

        The Issuer of Patient ID (0010,0021) is a part of it only with ``issuer``. Spaces around an ID never count
        (PS3.5, 6.2: LO).
        """
        name = self._plain(patient_id)
        if self.ignore_leading_zeros:
            name = name.lstrip("0") or name[-1:]
        by = self._plain(issuer) if self.issuer else ""
        return f"{name}{_ISSUER}{by}" if name and by else name

    def label(self, patient_id: str, issuer: str = "") -> str:
        """How an ID is shown to people and kept in the vault: as it came, and with its issuer where that counts."""
        return f"{patient_id}^^^{issuer}" if self.issuer and issuer else patient_id

    def _plain(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text).replace("\0", "\ufffd").strip()
        if self.ignore_spaces:
            text = "".join(text.split())
        return unicodedata.normalize("NFC", text.casefold()) if self.ignore_case else text


class Hashed(Part):
    """A subject is a keyed function of the Patient ID."""

    kind: Literal["hashed"] = Field(default="hashed", description="A keyed function of the Patient ID.")
    spelling: Spelling = Spelling()

    def __str__(self) -> str:
        return self.kind  # as it is written


class Sequential(Part):
    """Subjects are numbered in the order in which patients are first seen. More digits are taken where need be."""

    kind: Literal["sequential"] = Field(default="sequential", description="Numbers, in the order of first sight.")
    prefix: Annotated[str, BeforeValidator(_prefix)] = Field(default="", description="What stands before the number.")
    digits: Annotated[int, BeforeValidator(_digits)] = Field(
        default=4, description="How many digits, with zeros first."
    )
    start: Annotated[int, BeforeValidator(_start)] = Field(default=1, description="The first number.")
    spelling: Spelling = Spelling()

    def subject(self, number: int) -> str:
        """The subject of a number."""
        return f"{self.prefix}{number:0{self.digits}d}"


class Listed(Part):
    """Subjects stand in a CSV file. ``entries`` is what it held when the configuration was loaded, by normalised ID."""

    kind: Literal["list"] = Field(default="list", description="Subjects stand in a CSV file.")
    file: Annotated[Path, BeforeValidator(_file)] = Field(description="CSV with the header `patient_id,subject`.")
    spelling: Spelling = Spelling()
    entries: SkipJsonSchema[Mapping[str, Entry]] = Field(default={}, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_the_file_only(cls, values: Any) -> Any:  # noqa: ANN401
        if isinstance(values, dict) and "entries" in values:
            raise wrong("the entries stand in the list's file", "remove `entries` here")
        return values


def _subjects(value: object, info: ValidationInfo) -> object:
    if isinstance(value, Part):  # from code
        return value
    content = {"kind": value} if isinstance(value, str) else value
    hint = "write `subjects: hashed`, or below `subjects:` a `kind:` with its settings"
    if not isinstance(content, dict) or "kind" not in content:
        raise wrong("must be a kind of subjects, or a mapping with its `kind`", hint)
    kind = str(content["kind"])
    if kind not in _KINDS:
        raise wrong(f"the kind must be one of {', '.join(_KINDS)}", nearest(kind, tuple(_KINDS)))
    return _KINDS[kind].model_validate(content, context=info.context)


_KINDS: Final[dict[str, type[Hashed | Sequential | Listed]]] = {
    "hashed": Hashed,
    "sequential": Sequential,
    "list": Listed,
}


class _OrWord:
    """A kind without settings may be written as its name alone; with settings, the kind must be named."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """What a schema says of it."""
        kinds = {"type": "object", "required": ["kind"], **handler(core)}
        return {"anyOf": [{"enum": ["hashed", "sequential"]}, kinds]}


Subjects = Annotated[Hashed | Sequential | Listed, BeforeValidator(_subjects), _OrWord()]
