"""What the service and the workers of a cluster send each other: sealed letters, for others handle them on the way.

A scheduler keeps them in its memory, writes of tasks in its log and shows them on its dashboard. So the key of a task
is a random number, and a letter shows nothing of what is in it.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from coatcheck import __version__
from coatcheck.data import profiles_dir
from coatcheck.turns import Function, Weather

_DECIDING: Final = ("pydicom", "cryptography")  # packages that decide over the bytes of a result


class Lost(Exception):
    """The worker that had a letter is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """By what a folder is known again on another machine: its number there. Each machine has its own for the device."""

    device: int
    inode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A batch, and what the worker is to prove first. ``room`` is where results are made, for those that make any."""

    function: Function
    context: Any = field(repr=False)
    items: Sequence[Any] = field(repr=False)
    inbox: Mark
    room: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of an order: results, made in ``folder`` of its room; or why there are none."""

    results: Sequence[Any] = field(default=(), repr=False)
    folder: str = ""
    died: bool = False  # the process that had it in hand
    blind: bool = False  # the worker does not have the project's folders before it
    weather: Weather | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """An order or an answer on its way. ``sender`` is the worker that answers, ``host`` its machine."""

    content: bytes = field(repr=False)
    sender: str = ""
    host: str = ""

    def read(self) -> Any:  # noqa: ANN401  # an Order or an Answer
        """What is in it. Only from one who showed the cluster's certificate: reading it may run any code."""
        return pickle.loads(self.content)


def write(what: Order | Answer) -> bytes:
    """The content of a letter."""
    return pickle.dumps(what, pickle.HIGHEST_PROTOCOL)


@cache
def build() -> str:
    """What a worker must have in common with the service to make the same bytes: a version and a digest of its code,
    its tables, the Python that runs it and the packages that decide.
    """
    digest = hashlib.sha256()
    package, tables = Path(__file__).parent, profiles_dir() / "standard"
    for root, pattern in ((package, "*.py"), (tables, "*")):
        for path in sorted(path for path in root.rglob(pattern) if path.is_file()):
            digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    packages = [f"{name} {version(name)}" for name in _DECIDING]
    digest.update(repr((sys.version_info[:2], unicodedata.unidata_version, packages)).encode())
    return f"coatcheck-{__version__}-{digest.hexdigest()[:16]}"
