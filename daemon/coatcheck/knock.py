"""Whether a project's folders answer. A share whose server hangs gives no answer, and no error either.

Whoever calls into it then waits for as long as that lasts, and often cannot even be killed. So a thread knocks first,
and the loop, on which all projects depend, goes in only where it was answered a moment ago.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Final

from coatcheck.errors import CoatcheckError
from coatcheck.lane import Lane

AGAIN: Final = 0.25  # seconds until it is worth while to ask once more for an answer that has not come
_NAMES: Final = 1000  # of files that are not there: no cache still knows that, and the server has to tell
_COUNTS: Final = 0.05  # seconds for which an answer counts
_MOMENT: Final = 0.05  # seconds that the loop waits for an answer: nearly all come at once
_PATIENCE: Final = 10.0  # seconds after which silence is a fault, and not a disk that wakes up


class Knock:
    """Knocks at a project's ``folders``, by what they are, and stops its ``lane`` in the pool while one is silent.

    ``now`` is the monotonic clock, in seconds.
    """

    def __init__(self, folders: Mapping[str, Path], lane: Lane) -> None:
        self._folders = dict(folders)
        self._lane = lane
        self._names = cycle(range(_NAMES))
        self._at = ""  # which of them is being asked
        self._answer: threading.Event | None = None  # that is awaited
        self._asked = self._answered = float("-inf")
        self._stopped = False

    @property
    def silent(self) -> bool:
        """Whether an answer is awaited."""
        return self._answer is not None

    def answered(self, now: float) -> bool:
        """Whether all folders answered just now, with an error perhaps. False: ask again after :data:`AGAIN` seconds.

        Raises CoatcheckError where one has been silent for too long; the thread waits on.
        """
        if self._answer is None and now - self._answered < _COUNTS:
            return True
        answer = self._answer or self._ask(now)
        if answer.wait(_MOMENT if now == self._asked else 0):
            self._answer, self._answered = None, now
            if self._stopped:
                self._stopped = False
                self._lane.go_on()
            return True
        if now - self._asked < _PATIENCE:
            return False
        self._stopped = True
        self._lane.stand_still()
        shown = os.fsencode(self._folders[self._at]).decode(errors="replace")
        raise CoatcheckError(
            f"{self._at} {shown}: it does not answer",
            "look at the server of its share, or at the disk; the project rests, and goes on by itself",
        )

    def _ask(self, now: float) -> threading.Event:
        answer = threading.Event()
        self._at = next(iter(self._folders))
        threading.Thread(target=self._knock, args=(answer,), daemon=True).start()
        self._asked, self._answer = now, answer  # Only now: a thread that could not start would never answer.
        return answer

    def _knock(self, answer: threading.Event) -> None:
        try:
            number = next(self._names)
            for name, folder in self._folders.items():
                self._at = name
                for ask in (lambda path: os.lstat(path / f".coatcheck-{number}"), os.statvfs):
                    with suppress(OSError):  # an error is an answer: the work that meets it will say it
                        ask(folder)
        finally:
            answer.set()
