"""The answer key of a planted set: what stands where, and what must become of it.

A key is JSON: ``{"generator", "seed", "files": [{"file", …, "plants": [{"id", "path", …}]}]}``. The actions of a plant:

* ``removed``, ``text_removed``, ``date_changed``, ``uid_changed``, ``file_level``: no pattern may be in the output;
* ``retained``, ``uid_kept``: the patterns must be there still; ``retained_if_safe_private``: with that option;
* ``pixels_hidden``: text burned into the pixels; ``pixels_retained``: the pixel data has this digest still.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired, TypedDict

KEPT = frozenset({"retained", "uid_kept", "retained_if_safe_private"})


class Plant(TypedDict):
    """One planted thing. ``patterns`` are bytes in hexadecimal, ``tokens`` the text they came from."""

    id: str
    path: str
    kind: str
    value: str
    patterns: list[str]
    action: str
    why: str
    tokens: NotRequired[list[str]]
    box: NotRequired[list[int] | None]
    frames: NotRequired[int]
    sha256: NotRequired[str]


class PlantedFileEntry(TypedDict):
    """One file of the set. ``expect``: what ``basic`` does with it: ``delivered``, or the reason why it is not.

    ``any``: identity stands where the table keeps it, so the file may be cleaned or set aside as ``identity-found``.
    """

    file: str
    sop_class: str
    modality: str
    transfer_syntax: str
    charset: str | None
    plants: list[Plant]
    expect: NotRequired[str]


class AnswerKey(TypedDict):
    """The whole key."""

    generator: str
    seed: int
    files: list[PlantedFileEntry]


def read_key(path: Path) -> AnswerKey:
    """The answer key in a file. Raises OSError or ValueError."""
    key: AnswerKey = json.loads(path.read_text(encoding="utf-8"))
    return key


def write_key(key: AnswerKey, path: Path) -> None:
    """Write the key as readable JSON."""
    path.write_text(json.dumps(key, indent=1, ensure_ascii=False), encoding="utf-8")
