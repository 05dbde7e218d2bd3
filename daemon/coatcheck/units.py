"""Durations as people write them, such as ``500ms``, ``2s``, ``5m``, ``6h``, ``30d``; times as records have them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)")
_LONGEST: Final = 3650 * 86400.0


def parse_duration(value: object) -> float:
    """Seconds of a duration such as ``5m``. The only number without a unit that is understood is 0.

    Raises ValueError with a text for people.
    """
    if type(value) is int and value == 0:
        return 0.0
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        unit = "a number needs a unit" if isinstance(value, int | float) else "not a duration"
        raise ValueError(f"{unit}: write it like 500ms, 2s, 5m, 6h or 30d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST:
        raise ValueError("longer than ten years: write a shorter time, such as 30d")
    return seconds


def format_duration(seconds: float) -> str:
    """A duration for people, in one or two units and never longer than it needs: ``1m 5s``, ``6h``, ``0.5s``."""
    if seconds < 10:
        return f"{round(seconds, 1):g}s"
    left = round(seconds)
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        amount, left = divmod(left, size)
        if amount:
            parts.append(f"{amount}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def utc_now() -> str:
    """The time, as it stands in records."""
    return utc_text(datetime.now(UTC))


def utc_text(moment: datetime) -> str:
    """A time as it stands in records: UTC, ISO 8601, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
