"""A report as headings, facts, paragraphs, lists and tables, and how it is shown: as a page to be printed, or as text.

The page stands alone: no script, no picture, nothing that is fetched. Every text is escaped.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from itertools import zip_longest
from typing import Final

_WIDTH: Final = 100
_WIDEST: Final = 72  # of a column in a text
_STYLE: Final = """
@page { size: A4; margin: 16mm 14mm 18mm; }
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 10.5pt/1.4 system-ui, "Liberation Sans", Arial, sans-serif; color: #1a1f24; background: #fff;
  max-width: 182mm; margin: 10mm auto; padding: 0 4mm; }
h1 { font-size: 18pt; line-height: 1.2; margin: 0 0 1mm; }
h2 { font-size: 12.5pt; margin: 8mm 0 2mm; padding-bottom: 1mm; border-bottom: 1pt solid #b8c2cc;
  break-after: avoid; }
p { margin: 0 0 2mm; max-width: 165mm; orphans: 3; widows: 3; }
p.about { color: #4a5560; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 1mm 5mm; margin: 4mm 0; padding: 3mm 4mm;
  background: #f2f5f8; border-left: 3pt solid #45617d; break-inside: avoid; print-color-adjust: exact; }
dt { color: #4a5560; } dd { margin: 0; overflow-wrap: anywhere; }
ul { margin: 0 0 2mm; padding-left: 5mm; } li { margin-bottom: 1.2mm; break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-size: 8.5pt; line-height: 1.3; margin: 2mm 0 3mm; }
thead { display: table-header-group; }
th { text-align: left; vertical-align: bottom; border-bottom: 1pt solid #45617d; padding: 1mm 2mm 1mm 0; }
td { vertical-align: top; border-bottom: .5pt solid #d8dfe5; padding: .8mm 2mm .8mm 0; overflow-wrap: break-word; }
tr { break-inside: avoid; }
th.number, td.number { text-align: right; padding-right: 4mm; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th:first-child:not(.number, .fixed) { min-width: 28mm; }
td.fixed { white-space: nowrap; font-family: ui-monospace, "Liberation Mono", monospace; font-size: 8pt; }
footer { margin-top: 8mm; color: #4a5560; font-size: 8.5pt; }
@media print { body { margin: 0; padding: 0; max-width: none; } }
"""
_HEAD: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="robots" content="noindex">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows under a head. A column of numbers stands to the right; one that is ``fixed`` is never broken."""

    head: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    fixed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with paragraphs, a table and points under it, in this order."""

    title: str
    text: tuple[str, ...] = ()
    table: Table | None = None
    points: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report. ``about`` says what it is, ``facts`` are labels with their values, ``end`` is its last line."""

    title: str
    about: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...] = field(default=())
    end: str = ""


def as_html(document: Document) -> str:
    """The report as one HTML page for screen and A4."""
    return "".join(_html(document))


def _html(document: Document) -> Iterator[str]:
    yield _HEAD.format(title=escape(document.title), style=_STYLE)
    yield f'<h1>{escape(document.title)}</h1>\n<p class="about">{escape(document.about)}</p>\n<dl>\n'
    for label, value in document.facts:
        yield f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>\n"
    yield "</dl>\n"
    for section in document.sections:
        yield f"<section>\n<h2>{escape(section.title)}</h2>\n"
        yield from (f"<p>{escape(text)}</p>\n" for text in section.text)
        if section.table is not None:
            yield from _html_table(section.table)
        if section.points:
            yield "<ul>\n" + "".join(f"<li>{escape(point)}</li>\n" for point in section.points) + "</ul>\n"
        yield "</section>\n"
    yield f"<footer>{escape(document.end)}</footer>\n</body>\n</html>\n"


def _html_table(table: Table) -> Iterator[str]:
    kinds = [_kind(table, place) for place in range(len(table.head))]
    head = "".join(_cell("th", kind, name) for kind, name in zip(kinds, table.head, strict=True))
    yield f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n"
    for row in table.rows:
        yield "<tr>" + "".join(_cell("td", kind, cell) for kind, cell in zip(kinds, row, strict=True)) + "</tr>\n"
    yield "</tbody>\n</table>\n"


def _kind(table: Table, place: int) -> str:
    if table.head[place] in table.fixed:
        return "fixed"
    return "number" if table.rows and all(isinstance(row[place], int) for row in table.rows) else ""


def _cell(element: str, kind: str, value: object) -> str:
    marked = f' class="{kind}"' if kind else ""
    return f"<{element}{marked}>{escape(str(value))}</{element}>"


def as_text(document: Document) -> str:
    """The report as plain text, for a terminal or a mail."""
    return "\n".join(_text(document)) + "\n"


def _text(document: Document) -> Iterator[str]:
    yield from (document.title, "=" * len(document.title), *_wrapped(document.about), "")
    width = max(len(label) for label, _ in document.facts)
    for label, value in document.facts:
        yield from _wrapped(value, f"{label:<{width}}  ", " " * (width + 2))
    for section in document.sections:
        yield from ("", section.title, "-" * len(section.title))
        for text in section.text:
            yield from _wrapped(text)
        if section.table is not None:
            yield from ("", *_columns(section.table))
        for point in section.points:
            yield from _wrapped(point, "- ", "  ")
    yield from ("", document.end)


def _wrapped(text: str, first: str = "", further: str = "") -> list[str]:
    return textwrap.wrap(
        _plain(text), _WIDTH, initial_indent=first, subsequent_indent=further, break_on_hyphens=False
    ) or [first.rstrip()]


def _columns(table: Table) -> Iterator[str]:
    rows = [table.head, *([_plain(str(cell)) for cell in row] for row in table.rows)]
    widths = [min(max(map(len, cells)), _WIDEST) for cells in zip(*rows, strict=True)]
    for row in rows:
        parts = [textwrap.wrap(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for line in zip_longest(*parts, fillvalue=""):
            yield "  ".join(part.ljust(width) for part, width in zip(line, widths, strict=True)).rstrip()


def _plain(text: str) -> str:
    """Without what would steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
