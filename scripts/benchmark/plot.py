"""A plot of the peers as SVG: processor time for 1,000 CT files, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from scripts.benchmark.page import ordered, processor
from scripts.benchmark.told import titled
from scripts.benchmark.wanted import Row

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW, _BOTTOM = 760, 190, 70, 62, 30, 46
_INK, _FAINT, _OURS, _OTHERS = "#24292f", "#d0d7de", "#0b6bcb", "#8c959f"
_STYLE = "font-family: system-ui, sans-serif; font-size: 14px"


def plot(tools: Mapping[str, Row]) -> str:
    """A dot for each tool that ran, the quickest at the top."""
    shown = [(titled(name, one), processor(one)) for name, one in ordered(tools)]
    bottom = _TOP + _ROW * len(shown)
    least, most = _decades([value for _, value in shown])
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + _BOTTOM}" style="{_STYLE}">',
        "<title>Processor time for 1,000 CT files</title>",
        f'<rect width="{_WIDTH}" height="{bottom + _BOTTOM}" fill="white"/>',
        _text(16, 26, "Processor time for 1,000 CT files of 535 kB, all processes", weight=600),
        *_scale(least, most, bottom),
        _text(_WIDTH - _RIGHT, bottom + 38, "seconds, user and system; logarithmic", anchor="end"),
    ]
    for number, (label, value) in enumerate(shown):
        parts += _row(label, value, _TOP + _ROW * (number + 0.5), _place(value, least, most))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _decades(values: list[float]) -> tuple[int, int]:
    """The powers of ten around all values."""
    least, most = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return least, max(most, least + 1)


def _place(value: float, least: int, most: int) -> float:
    return _LEFT + (math.log10(value) - least) / (most - least) * (_WIDTH - _LEFT - _RIGHT)


def _scale(least: int, most: int, bottom: int) -> Iterator[str]:
    for power in range(least, most + 1):
        x = _place(10.0**power, least, most)
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{bottom}" stroke="{_FAINT}"/>'
        yield _text(x, bottom + 18, f"{10.0**power:g}", anchor="middle")


def _row(label: str, value: float, y: float, x: float) -> Iterator[str]:
    ours = label == "coatcheck"
    color, weight = (_OURS, 600) if ours else (_OTHERS, 400)
    yield _text(_LEFT - 14, y + 5, label, anchor="end", weight=weight)
    yield f'<line x1="{_LEFT}" x2="{x:.1f}" y1="{y}" y2="{y}" stroke="{color}" stroke-width="2"/>'
    yield f'<circle cx="{x:.1f}" cy="{y}" r="6" fill="{color}"/>'
    yield _text(x + 12, y + 5, f"{value:.2f}" if value < 10 else f"{value:.0f}", weight=weight)


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text {place} fill="{_INK}">{escape(text)}</text>'
