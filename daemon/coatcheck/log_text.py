"""The words of a log record, made so that no value of an Attribute can be among them.

A library's message and the text of a foreign exception may quote what was read ("invalid value for VR DA: ..."). So
of a foreign record only the place in the code is kept, and of a foreign exception only its type and its code places.
What coatcheck says itself, CoatcheckError included, holds no value by the rule of errors.py and is kept.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import PurePath
from types import TracebackType

from coatcheck.errors import CoatcheckError

_OWN = "coatcheck"
_MOST_PLACES = 12


def message(record: logging.LogRecord) -> str:
    """The text of a record on one line, with its exception if it has one."""
    text = _own_text(record) if is_own(record) else f"{record.name} reported something at {_place(record)}"
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        text = f"{text}: {exception(error)}"
    return " ".join(text.split())


def is_own(record: logging.LogRecord) -> bool:
    """Does the record come from coatcheck's own code?"""
    return record.name == _OWN or record.name.startswith(f"{_OWN}.")


def exception(error: BaseException) -> str:
    """An exception and its causes as types and code places, innermost place first; messages only of CoatcheckError."""
    return ", because of ".join(_one_exception(link) for link in _chain(error))


def context(record: logging.LogRecord) -> tuple[str, str]:
    """The project and the Study's ticket that the record was given by ``extra``; "" for each that it was not."""
    return str(getattr(record, "project", None) or ""), str(getattr(record, "study", None) or "")


def _own_text(record: logging.LogRecord) -> str:
    # `logger.error("...: %s", error)` is quickly written: such an argument is shown like any other exception.
    args = record.args
    if isinstance(args, tuple):
        args = tuple(exception(arg) if isinstance(arg, BaseException) else arg for arg in args)
    try:
        return str(record.msg) % args if args else _plain(record.msg)
    except (TypeError, ValueError, KeyError):
        return f"a log record that cannot be put into words, from {_place(record)}"


def _plain(said: object) -> str:
    return exception(said) if isinstance(said, BaseException) else str(said)


def _place(record: logging.LogRecord) -> str:
    return f"{_short(record.pathname)}:{record.lineno}"


def _one_exception(error: BaseException) -> str:
    kind = type(error).__name__
    said = f"{kind} ({error})" if isinstance(error, CoatcheckError) else kind
    places = list(_places(error.__traceback__))[::-1]
    if len(places) > _MOST_PLACES:
        places = [*places[: _MOST_PLACES - 1], "...", places[-1]]
    return f"{said} at {' < '.join(places)}" if places else said


def _places(step: TracebackType | None) -> Iterator[str]:
    while step is not None:
        code = step.tb_frame.f_code
        yield f"{_short(code.co_filename)}:{step.tb_lineno} {code.co_name}"
        step = step.tb_next


def _short(path: str) -> str:
    """A code file as its folder and name: enough to find it, and nothing of where it was installed."""
    return "/".join(PurePath(path).parts[-2:])


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


class LineFormatter(logging.Formatter):
    """``2026-11-21T10:00:00Z level project study: message``; a dash for what a record does not have."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        project, study = context(record)
        return f"{at} {record.levelname.lower()} {project or '-'} {study or '-'}: {message(record)}{repeats(record)}"


def repeats(record: logging.LogRecord) -> str:
    """What a RateLimit left out before this record, in words."""
    count = getattr(record, "left_out", 0)
    return f" (and {count} more like this were left out)" if count else ""


class RateLimit(logging.Filter):
    """Lets the same message on the same project and Study pass once in ``seconds``, then says how many it left out.

    ``clock`` gives seconds that never go back. What was left out last and never comes again is not told.
    """

    _MOST_MESSAGES = 1000

    def __init__(self, clock: Callable[[], float], seconds: float = 60.0) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}  # message → (when it last passed, left out since)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record may pass."""
        now = self._clock()
        key = (*context(record), record.levelname, message(record))
        passed, left_out = self._seen.get(key, (now - self._seconds, 0))
        if now - passed < self._seconds:
            self._seen[key] = (passed, left_out + 1)
            return False
        if len(self._seen) >= self._MOST_MESSAGES:
            self._forget(now)
        self._seen[key] = (now, 0)
        record.left_out = left_out
        return True

    def _forget(self, now: float) -> None:
        self._seen = {key: seen for key, seen in self._seen.items() if now - seen[0] < self._seconds}
        while len(self._seen) >= self._MOST_MESSAGES:
            del self._seen[next(iter(self._seen))]
