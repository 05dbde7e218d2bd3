"""By how many days dates move, and what that number is the same for (PS3.15 E.3.6): one number for each scope, keyed.

Intervals stay what they were inside a scope, and only there. The standard asks for no particular scope.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from coatcheck.deid import pseudonyms
from coatcheck.deid.settings import SettingError, Settings, choice, days_range, flag, leftover

SCOPES = ("study", "patient", "project", "series", "instance")
SETTINGS = ("scope", "days", "whole_weeks")
"""What ``shift_of`` reads."""

MOST_DAYS = 36_500
"""A hundred years: dates that moved farther could not be written in every system."""


class Ids(NamedTuple):
    """The original identifiers of one Instance; "" for a Patient ID that is not there."""

    patient: str = ""
    study: str = ""
    series: str = ""
    instance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far dates move: whole days from ``lowest`` to ``highest``, drawn once for each Study, patient … of ``scope``.

    With ``whole_weeks`` only multiples of 7 are drawn, so that weekdays stay. Equal bounds are a fixed shift, and only
    that may be 0. Raises ValueError for a range that holds no such number.
    """

    scope: str = "study"
    lowest: int
    highest: int
    whole_weeks: bool = False

    def __post_init__(self) -> None:
        if self.scope not in SCOPES:
            raise ValueError(f"a date shift's scope is one of {', '.join(SCOPES)}")
        if self.lowest > self.highest or max(abs(self.lowest), abs(self.highest)) > MOST_DAYS:
            raise ValueError(f"a date shift needs a lowest and a highest number of days within {MOST_DAYS}")
        low, high = self._steps
        if low > high or (self.lowest < self.highest and low == 0 == high):
            raise ValueError("a date shift's range holds no number of days that may be drawn")

    @property
    def _steps(self) -> tuple[int, int]:
        """The bounds in days, or in weeks."""
        step = 7 if self.whole_weeks else 1
        return -(-self.lowest // step), self.highest // step

    @property
    def fixed(self) -> bool:
        """Whether it is the same for everybody, so that nothing is drawn."""
        return self.lowest == self.highest

    def days(self, secret: bytes, ids: Ids, project: str) -> int:
        """The number of days for one Instance. A patient without a Patient ID is one of its Study."""
        if self.fixed:
            return self.lowest
        low, high = self._steps
        steps = self._drawn(secret, ids, project, low, high)
        return steps * 7 if self.whole_weeks else steps

    def _drawn(self, secret: bytes, ids: Ids, project: str, low: int, high: int) -> int:
        originals = {"project": project, "patient": ids.patient, "series": ids.series, "instance": ids.instance}
        original = originals.get(self.scope, "")
        if self.scope == "study" or (self.scope == "patient" and not original):
            return pseudonyms.shift_days(secret, ids.study, low, high)
        number = int.from_bytes(pseudonyms.derive(secret, f"date-shift-{self.scope}", original)[:8], "big")
        crosses = low <= 0 <= high
        steps = low + number % (high - low + 1 - crosses)
        return steps + 1 if crosses and steps >= 0 else steps


def shift_of(settings: Settings) -> Shift:
    """The shift that these settings ask for: ``days`` (one number or two), ``scope`` and ``whole_weeks``.

    Raises SettingError for wrong ones; what else there is in the settings is left to the caller.
    """
    lowest, highest = days_range(settings, "days")
    scope = choice(settings, "scope", SCOPES, "study")
    whole_weeks = flag(settings, "whole_weeks", False)
    try:
        return Shift(scope=scope, lowest=lowest, highest=highest, whole_weeks=whole_weeks)
    except ValueError:
        raise SettingError(
            "`days` holds no number of whole weeks", "write multiples of 7, such as [-364, -7]"
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """What a profile says of dates that move; without ``days`` (fewest, most) the project's own range holds."""

    scope: str = "study"
    days: tuple[int, int] | None = None
    whole_weeks: bool = False

    def shift(self, project_days: tuple[int, int]) -> Shift:
        """The shift for a project with this range of its own. Raises ValueError where no such number is in it."""
        lowest, highest = self.days or project_days
        return Shift(scope=self.scope, lowest=lowest, highest=highest, whole_weeks=self.whole_weeks)


def dates_of(settings: Settings, base: Dates) -> Dates:
    """A profile's settings for dates, over those that it extends. Raises SettingError."""
    leftover(settings, "scope", "days", "whole_weeks")
    dates = Dates(
        scope=choice(settings, "scope", SCOPES, base.scope),
        days=days_range(settings, "days", base.days),
        whole_weeks=flag(settings, "whole_weeks", base.whole_weeks),
    )
    try:
        dates.shift((-MOST_DAYS, MOST_DAYS))
    except ValueError:
        raise SettingError("`days` holds no number of whole weeks", "write multiples of 7") from None
    return dates
