"""The note for people who drop and never see the server: what waits, what was delivered, what was not and why.

It holds names that were dropped, as far as the first "/", and nothing else that could tell who a patient is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from coatcheck.files import open_folder, write_all
from coatcheck.reasons import EXPLANATIONS, Reason, for_people_who_drop

_LONGEST: Final = 80  # letters of a name
_MOST: Final = 50  # rows of each part
_AGE: Final = "If this is more than ten minutes ago, nothing is taken now: tell whoever runs coatcheck."
_KEPT: Final = (
    "These files are kept, untouched. They are named here until whoever runs coatcheck clears them, at most 14 days."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One name that was dropped: with how many ``files``, ``when``, and a ``reason`` where it was refused."""

    name: str
    files: int
    when: str
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What there is to say of one project ``at`` a time. The rows that matter most come first."""

    project: str
    waiting: tuple[Row, ...]
    delivered: tuple[Row, ...]
    refused: tuple[Row, ...]
    left_alone: int = 0  # files in the inbox with a temporary name, or of litter


def shown(name: str) -> str:
    """A dropped name as people may read it anywhere: one line, no signs that steer a terminal, and not too long."""
    text = os.fsencode(name).decode("utf-8", "replace")
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def plain(note: Note, at: str) -> str:
    """The note as plain text."""
    lines = [f"coatcheck: {note.project}", f"As of {at}. {_AGE}", ""]
    for title, rows, empty, remark in _parts(note):
        lines += [title, "-" * len(title)]
        lines += [_line(row) for row in rows[:_MOST]] or [empty]
        lines += [_more(rows)] if len(rows) > _MOST else []
        lines += [remark, ""] if remark else [""]
        lines += _advised(note) if rows is note.refused else []
    return "\n".join(lines)


def _advised(note: Note) -> list[str]:
    lines = []
    for reason in _reasons(note):
        lines += [f"{reason.value}: {EXPLANATIONS[reason].what}", f"    What to do: {for_people_who_drop(reason)}", ""]
    return lines


def _line(row: Row) -> str:
    reason = f"  {row.reason.value}" if row.reason else ""
    return f"{shown(row.name)}  ({_files(row.files)})  {row.when}{reason}"


def _parts(note: Note) -> tuple[tuple[str, tuple[Row, ...], str, str], ...]:
    """Title, rows, what stands there without rows, and a remark below them."""
    return (
        ("Not delivered", note.refused, "Nothing of late.", _KEPT if note.refused else ""),
        ("On its way", note.waiting, "Nothing waits.", _left_alone(note.left_alone)),
        ("Delivered", note.delivered, "Nothing of late.", ""),
    )


def _left_alone(number: int) -> str:
    stay = f"{_files(number)} in the inbox {'is' if number == 1 else 'are'} not taken"
    return f"{stay}: the name is a temporary one, such as .part, or litter, such as Thumbs.db." if number else ""


def _more(rows: Sequence[Row]) -> str:
    return f"… and {len(rows) - _MOST} more"


def _files(number: int) -> str:
    return f"{number} file{'' if number == 1 else 's'}"


def _reasons(note: Note) -> list[Reason]:
    return list(dict.fromkeys(row.reason for row in note.refused[:_MOST] if row.reason is not None))


_STYLE: Final = """\
:root{color-scheme:light dark;--line:#8884;--soft:#8882;--bad:#b3261e;--wait:#9a6700;--good:#1a7f37}
@media(prefers-color-scheme:dark){:root{--bad:#ff8a80;--wait:#e3b341;--good:#56d364}}
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .4rem;padding-left:.6rem;border-left:.3rem solid}
p{margin:.2rem 0}.at,.empty{opacity:.7}table{border-collapse:collapse;table-layout:fixed;width:100%}
td{padding:.35rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
td:first-child{overflow-wrap:anywhere;width:40%}td:nth-child(2){width:6.5rem;opacity:.8}
.bad{border-color:var(--bad)}.wait{border-color:var(--wait)}.good{border-color:var(--good)}
dl{background:var(--soft);border-radius:.5rem;padding:.8rem 1rem;margin:.8rem 0}
dt{font-weight:600}dd{margin:0 0 .6rem}dd:last-child{margin:0}code{font-size:.9em}"""
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def page(note: Note, at: str) -> str:
    """The note as a page that loads nothing, and loads itself anew each minute."""
    project = escape(note.project)
    parts = "".join(
        f'<h2 class="{kind}">{title}</h2>\n{_table(rows, empty, remark)}{_advice(note) if kind == "bad" else ""}'
        for kind, (title, rows, empty, remark) in zip(("bad", "wait", "good"), _parts(note), strict=True)
    )
    return f"""\
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>coatcheck: {project}</title>
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta http-equiv="refresh" content="60"><meta name="viewport" content="width=device-width">
<style>
{_STYLE}
</style></head><body>
<h1>{project}</h1>
<p class="at">As of {escape(at)}. {_AGE}</p>
{parts}</body></html>
"""


def _table(rows: tuple[Row, ...], empty: str, remark: str) -> str:
    below = f'<p class="empty">{remark}</p>\n' if remark else ""
    if not rows:
        return f'<p class="empty">{empty}</p>\n{below}'
    body = "".join(
        f"<tr><td>{escape(shown(row.name))}</td><td>{_files(row.files)}</td><td>{escape(row.when)}"
        + (f" <code>{row.reason.value}</code>" if row.reason else "")
        + "</td></tr>\n"
        for row in rows[:_MOST]
    )
    more = f'<p class="empty">{_more(rows)}</p>\n' if len(rows) > _MOST else ""
    return f"<table>\n{body}</table>\n{more}{below}"


def _advice(note: Note) -> str:
    said = "".join(
        f"<dt>{reason.value}: {escape(EXPLANATIONS[reason].what)}</dt><dd>What to do: "
        f"{escape(for_people_who_drop(reason))}</dd>\n"
        for reason in _reasons(note)
    )
    return f"<dl>\n{said}</dl>\n" if said else ""


def write(folder: Path, batch: Sequence[tuple[str, str]]) -> list[bool]:
    """Writes files, by name and text, each by one rename. Raises OSError."""
    with open_folder(folder) as root:
        for name, text in batch:
            temporary = f".{name}.tmp"
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=root)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            out = os.open(temporary, flags, 0o644, dir_fd=root)
            try:
                write_all(out, text.encode())
            finally:
                os.close(out)
            os.rename(temporary, name, src_dir_fd=root, dst_dir_fd=root)
    return [True] * len(batch)
