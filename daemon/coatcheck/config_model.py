"""What a configuration holds once it has been read: frozen, picklable, paths absolute and times in seconds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from coatcheck.config_choice import Rules
from coatcheck.config_cluster import Members, Where
from coatcheck.config_outputs import (
    COMMAND_WRITTEN,
    LAYOUT_WRITTEN,
    RECEIPT_WRITTEN,
    AfterDelivery,
    after_delivery_of,
    layout_of,
    output_misfits,
    receipt_of,
)
from coatcheck.config_subjects import Flag, Hashed, Subjects
from coatcheck.config_values import duration, folder, is_variable, wrong
from coatcheck.config_watching import Metrics, Notify
from coatcheck.layout import SHIPPED, Layout
from coatcheck.problems import Place, nearest
from coatcheck.units import DURATION, parse_duration

FOLDERS: Final = ("inbox", "outbox", "quarantine", "archive")
MEDIA: Final = Layout(name="media", folder=SHIPPED["media"][0], file=SHIPPED["media"][1], extension="none")
_MOST_DAYS: Final = 36500
_MOST_WORKERS: Final = 1024
_MARKER: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")
NOT_YET: Final = {"review": "`review` is not available in this version"}


def _choice(*known: str) -> Callable[[object], object]:
    def choose(value: object) -> object:
        if value not in known:
            raise wrong(f"must be one of {', '.join(known)}", nearest(str(value), known))
        return value

    return choose


def _path(value: object, info: ValidationInfo) -> Path:
    return folder(value, (info.context or {}).get("base", Path("/")))


def _days(value: object) -> tuple[int, int]:
    hint = "write the fewest and the most days, such as [-365, -1]"
    pair = list(value) if isinstance(value, list | tuple) else []
    if len(pair) != 2 or any(type(day) is not int for day in pair):
        raise wrong("must be two whole numbers of days", hint)
    low, high = pair
    if low > high:
        raise wrong("the first number must not be larger than the second", f"write [{high}, {low}]")
    if low == high == 0:
        raise wrong("a shift of no days changes no date", hint)
    if max(abs(low), abs(high)) > _MOST_DAYS:
        raise wrong(f"at most {_MOST_DAYS} days either way", hint)
    return low, high


def _release(value: object) -> object:
    if value == "review":
        raise wrong(NOT_YET["review"], "write `release: auto`")
    return _choice("auto")(value)


def _workers(value: object) -> object:
    if value == "auto" or (type(value) is int and 1 <= value <= _MOST_WORKERS):
        return value
    raise wrong("must be `auto` or a number of processes, 1 or more", "write `workers: auto` for one per core")


def _profile(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise wrong("must be the name of a profile or the path of its file", "write `profile: research`")
    return value


def _marker(value: object) -> str:
    if value is False or value == "off":
        return ""
    if not isinstance(value, str) or not _MARKER.fullmatch(value):
        what = "must be a name of at most 40 letters, digits, `_` and `-`"
        raise wrong(what, "write `done_marker: DONE`, or `done_marker: off`")
    return value


def _variables(value: object) -> dict[str, str]:
    hint = "write `variables: {site: Leeds}`: names in small letters, and texts"
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise wrong("must be names and their texts", hint)
    for name in value:
        if not is_variable(str(name)):
            raise wrong("has a name that no variable can have", hint)
    return value


# What a schema says of them is what is written in YAML.
def _note(value: object, info: ValidationInfo) -> Path | str | None:
    if value is None or value is False or value == "off":
        return None
    return "beside" if value == "beside" else _path(value, info)


_OR_OFF: Final = WithJsonSchema({"anyOf": [{"type": "string"}, {"const": False}]})  # YAML reads `off` as false
Folder = Annotated[Path, BeforeValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
Seconds = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": f"^{DURATION.pattern}$"}, {"const": 0}]}),
]


class Settings(BaseModel):
    """What holds for the whole service. Defaults are those of a packaged service."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    state_dir: Folder = Path("/var/lib/coatcheck")
    key_dir: Folder = Path("/etc/coatcheck/keys")
    tls: Members = None  # before what is judged by it
    executor: Where = "processes"
    workers: Annotated[Literal["auto"] | int, BeforeValidator(_workers)] = "auto"
    metrics: Metrics = None
    notify: Notify | None = None


class Project(BaseModel):
    """One project: its folders (absolute), its profile and its times (seconds)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    inbox: Folder
    outbox: Folder
    quarantine: Folder
    archive: Folder | None = None
    profile: Annotated[str, BeforeValidator(_profile)] = "research"
    subjects: Subjects = Hashed()
    file_settle: Seconds = 5.0
    study_settle: Seconds = 60.0
    study_longest_wait: Seconds = 6 * 3600.0
    done_marker: Annotated[str, BeforeValidator(_marker), _OR_OFF] = "DONE"  # "" where there is none
    include: Rules = Field(default=())
    exclude: Rules = Field(default=())
    note: Annotated[Path | Literal["beside"] | None, BeforeValidator(_note), _OR_OFF] = None
    originals: Annotated[Literal["archive", "delete"], BeforeValidator(_choice("archive", "delete"))] = "archive"
    variables: Annotated[dict[str, str], BeforeValidator(_variables)] = Field(default={})  # for templates
    date_shift_days: Annotated[tuple[int, int], BeforeValidator(_days)] = (-365, -1)
    release: Annotated[Literal["auto"], BeforeValidator(_release)] = "auto"
    pixel_risk: Annotated[Literal["quarantine", "allow"], BeforeValidator(_choice("quarantine", "allow"))] = (
        "quarantine"
    )
    watch: Annotated[Literal["auto", "events", "polling"], BeforeValidator(_choice("auto", "events", "polling"))] = (
        "auto"
    )

    layout: Annotated[Layout, BeforeValidator(layout_of), WithJsonSchema(LAYOUT_WRITTEN)] = Layout()  # after variables
    dicomdir: Flag = False
    receipt: Annotated[
        Literal["no", "yes", "checksums"], BeforeValidator(receipt_of), WithJsonSchema(RECEIPT_WRITTEN)
    ] = "no"
    zip: Flag = False
    nifti: Flag = False
    after_delivery: Annotated[
        AfterDelivery | None, BeforeValidator(after_delivery_of), WithJsonSchema(COMMAND_WRITTEN)
    ] = None

    @property
    def arranged(self) -> Layout:
        """The layout in force: a DICOMDIR can only name files of ``media``."""
        return MEDIA if self.dicomdir else self.layout

    @property
    def note_folder(self) -> Path | None:
        """Where the note for those who drop lies, if there is one."""
        return self.inbox.parent if self.note == "beside" else self.note

    @property
    def folders(self) -> dict[str, Path]:
        """Its folders by their settings: inbox, outbox, quarantine, and those of archive and note if it has them."""
        found: dict[str, Path | None] = {role: getattr(self, role) for role in FOLDERS} | {"note": self.note_folder}
        return {role: path for role, path in found.items() if path is not None}


def misfits(values: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Settings that are right alone and wrong together: the key, what is wrong with it, and a hint."""
    if values.get("originals", "archive") == "archive" and values.get("archive") is None:
        yield "archive", "is missing", "name a folder for the originals, or write `originals: delete`"
    yield from output_misfits(values)
    with suppress(ValueError):  # a wrong duration was named already
        settle = parse_duration(values.get("study_settle", "60s"))
        if parse_duration(values.get("study_longest_wait", "6h")) < settle:
            yield "study_longest_wait", "is shorter than `study_settle`", "make it the longer of the two"


class Config(Settings):
    """The whole configuration. ``places`` says where each setting stands, for messages."""

    path: Path
    projects: Mapping[str, Project]
    places: Mapping[tuple[str, ...], Place]

    def place(self, *key: str) -> Place:
        """Where a setting stands: the nearest line that is known, such as the project's own."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, Place(str(self.path), 1))
