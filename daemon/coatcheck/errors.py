"""Errors that a person reads: what happened, to which thing, and what to do. Never an Attribute's value."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coatcheck.reasons import Reason


class CoatcheckError(Exception):
    """Base of every error that coatcheck raises on purpose.

    ``what`` names the thing and what happened to it, ``hint`` what to do next. Both are shown to people and written
    to logs, so neither may hold the value of an Attribute, a file's dropped name or a key.
    """

    exit_code = 1

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what if not hint else f"{what}: {hint}")
        self.what = what
        self.hint = hint


class KeyFileError(CoatcheckError):
    """A project's key is missing, damaged or readable by others. Such a project does not run."""

    exit_code = 78


class StateError(CoatcheckError):
    """The state folder cannot be used: locked by another service, damaged, or of a newer version."""


class InboxFault(CoatcheckError):
    """An inbox cannot be listed now (absent, unmounted, permission). Weather: shown, waited out, tried again."""


class Refused(CoatcheckError):
    """A file cannot be delivered. ``reason`` is a :class:`coatcheck.reasons.Reason`, ``detail`` a tag path or a place.

    Raised inside the reading and rewriting of one file, and turned into a ``Refusal`` where that file's name is known.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.value, detail)
        self.reason = reason
        self.detail = detail


class Mistake(CoatcheckError):
    """An exception that nobody expected, told by its type and its place alone: its own text may quote a value."""

    @classmethod
    def of(cls, error: BaseException) -> Mistake:
        """The mistake that shows itself in ``error``."""
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f" in {PurePath(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
        hint = "this is a mistake in coatcheck: report it with this place; the work is tried again"
        return cls(f"unexpected {type(error).__name__}{place}", hint)
