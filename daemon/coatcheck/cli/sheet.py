"""Sheets of elements, as `preview`, `compare` and `profile` print them: what a reader asked to see, and how it fits."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
Record = Mapping[str, object]

_CUT: Final = "…"
_NOTHING: Final = "-"  # where there is no element
_NARROWEST: Final = 11  # a tag
_BETWEEN: Final = 1  # blanks between columns
_EMPTY: Final = "<empty>"


def only_changed_option(function: Function) -> Function:
    """``--only-changed``."""
    return click.option("--only-changed", is_flag=True, help="Only what is not the same afterwards.")(function)


def search_option(function: Function) -> Function:
    """``--search TEXT``."""
    help_text = "Only what has this text in it, in any case, anywhere."
    return click.option("--search", metavar="TEXT", default="", help=help_text)(function)


def csv_option(function: Function) -> Function:
    """``--csv``."""
    return click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")(function)


def one_format(**formats: bool) -> None:
    """Raises a usage error where more than one format is asked for."""
    chosen = [f"--{name.removeprefix('as_')}" for name, wanted in formats.items() if wanted]
    if len(chosen) > 1:
        raise click.UsageError(f"choose one of {' and '.join(chosen)}")


def wanted(record: Record, search: str, only_changed: bool = False) -> bool:
    """Whether a reader who asked so wants to see this."""
    if only_changed and not record["changed"]:
        return False
    folded = search.casefold()
    return not folded or any(folded in value.casefold() for value in record.values() if isinstance(value, str))


def write_csv(columns: Sequence[str], records: Iterable[Record], *, head: bool = True) -> None:
    """Print records as CSV, values as they are; what is not there is an empty cell."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if head:
        writer.writerow(columns)
    for record in records:
        writer.writerow([_cell(record[column]) for column in columns])


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else value


def print_sheet(columns: Mapping[str, int], records: Sequence[Record]) -> None:
    """Print records as a table. ``columns`` are keys with the most characters that each is given; 0 means all.

    On a terminal the table takes its width, so that no row is broken; elsewhere the columns stand under each other.
    """
    rows = [[_shown(record[column], most, column) for column, most in columns.items()] for record in records]
    head = [column.upper() for column in columns]
    widths = [max(map(_width, cells)) for cells in zip(head, *rows, strict=True)]
    if sys.stdout.isatty():
        _print_table(columns, widths, records)
        return
    for row in [head, *rows]:
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _print_table(columns: Mapping[str, int], widths: Sequence[int], records: Sequence[Record]) -> None:
    """With rich: what changed stands out."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    fitted = dict(zip(columns, _fitting(widths, console.width), strict=True))
    table = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for name, width in fitted.items():
        table.add_column(name.upper(), width=width, no_wrap=True)
    stands_out = any(record.get("changed") for record in records)
    for record in records:
        cells = (Text(_shown(record[name], width, name)) for name, width in fitted.items())  # brackets are no markup
        table.add_row(*cells, style="bold" if record.get("changed") else "dim" if stands_out else None)
    console.print(table)


def _fitting(widths: Sequence[int], room: int) -> list[int]:
    """Widths that fit beside each other as far as that goes: the widest gives way first, the narrow ones stay."""
    found = list(widths)
    room -= _BETWEEN * (len(found) - 1)
    while sum(found) > room and max(found) > _NARROWEST:
        found[found.index(max(found))] -= 1
    return found


def _shown(value: object, most: int, column: str) -> str:
    """A value on one line, cut where it is too long. Of a path the end tells most."""
    text = _NOTHING if value is None else _EMPTY if value == "" else str(_cell(value))
    if most and column == "path":
        return _cut(text[::-1], most)[::-1]
    text = _cut(text, most) if most else text
    text = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)
    return _cut(text, most) if most else text


def _escaped(letter: str) -> str:
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(letter, f"\\x{ord(letter):02x}")


def _cut(text: str, most: int) -> str:
    """As much of a text as fits, with an ellipsis where something is left out."""
    if len(text) <= most and _width(text) <= most:
        return text
    text = text[: most - 1]
    while _width(text) > most - 1:
        text = text[:-1]
    return text + _CUT


def _width(text: str) -> int:
    """How many cells of a terminal a text takes: a Han character takes two."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
