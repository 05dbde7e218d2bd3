"""The chain of the audit: each row carries a digest over itself and over the row before it.

Nothing of it needs a key, so it can be checked by anybody, and still when a project's key was destroyed. What a person
said is sealed under a key of its own row, and only that row key is sealed anew when the project's sealing key is
rotated: the bytes that the chain covers never change.

What it shows: that a row was changed, put in or taken out; and, by the anchor that ledger.db keeps, that rows were
taken from the end or all of it was replaced. What it cannot show: the work of somebody who writes both databases,
because he can make a new chain and a new anchor as this module does. Against him help only copies elsewhere: a backup,
or the last digest noted down. Rows that are older than the chain are in it as they stood when it was begun; what
was said in them is under their project's seal alone from the next rotation on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

GENESIS: Final = bytes(32)
"""What stands in place of the digest before the first row."""

BEFORE_THE_CHAIN: Final = 0
SEALED_BY_ROW: Final = 1
"""The formats of a row: sealed by the project's key itself, or by a key of its own."""


class Link(NamedTuple):
    """What the chain covers of an audit row, and the digest that it carries."""

    id: int
    format: int
    at: str
    project: str
    who: str
    action: str
    content: bytes
    digest: bytes = b""

    def after(self, previous: bytes) -> bytes:
        """The digest that this row has behind a row with the digest ``previous``."""
        return _digest([previous, *map(_bytes, self[:-1])])


def content(subject: bytes | None, reason: bytes | None) -> bytes:
    """The digest of what a row holds sealed, as it is stored."""
    return _digest([subject, reason])


def faults(rows: Iterable[Any], anchor: tuple[int, bytes] | None) -> Iterator[str]:
    """One sentence for each break. ``rows`` are all of the audit, in the order of their ids, as they are stored.

    ``anchor`` is a row's id and digest as another place remembers them. It must have been read before the rows.
    """
    previous, last, anchored = GENESIS, 0, anchor is None or anchor[0] == 0
    for row in rows:
        link = Link(*(row[name] for name in Link._fields))
        yield from _broken(row, link, previous, last)
        if anchor is not None and link.id == anchor[0]:
            anchored = True
            if link.digest != anchor[1]:
                yield f"audit row {link.id} is not the one that ledger.db remembers: the audit was replaced"
        previous, last = link.digest, link.id
    if anchor is not None and not anchored:
        now = f"ends with row {last}" if last else "is empty"
        yield f"audit row {anchor[0]}, which ledger.db remembers, is gone: the audit {now}"


def _broken(row: Any, link: Link, previous: bytes, last: int) -> Iterator[str]:  # noqa: ANN401
    original = link.format == SEALED_BY_ROW or row["row_key"] is None
    if original and content(row["subject"], row["reason"]) != link.content:
        yield f"what is sealed in audit row {link.id} was changed"
    if link.after(previous) != link.digest:
        before = f"row {last}" if last else "the beginning"
        yield f"audit row {link.id} was changed, or is not the one that followed {before}"


def _bytes(value: object) -> bytes:
    """A field as bytes, whatever somebody wrote into it by hand."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")


def _digest(fields: Iterable[bytes | None]) -> bytes:
    """SHA-256 over fields, each led by its length, so that none can run into the next."""
    found = hashlib.sha256(b"coatcheck audit")
    for field in fields:
        found.update(b"-" if field is None else b"%d:" % len(_bytes(field)) + _bytes(field))
    return found.digest()
