"""What the service does because a person asked for it, and what such work left behind when it was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coatcheck.bench import Bench
from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.fates import Fate
from coatcheck.line import Line
from coatcheck.profile_file import profile_of
from coatcheck.redelivery import REPROCESS, Reprocess
from coatcheck.request_box import VERSION, RequestBox
from coatcheck.returns import Desk, Resume, Returns
from coatcheck.rotation import ROTATE, Rotations

logger = logging.getLogger("coatcheck")
_PATIENCE: Final = 5.0  # seconds until what met weather is tried again
_ACTIONS: Final = {"retry": Fate.RETRY, "drop": Fate.DROP}


@dataclass(slots=True, kw_only=True)
class _Errand:
    """One request on its way. ``desk`` is of the line that began it; another one does not go on with it."""

    name: str
    project: str
    work: Returns | Reprocess
    desk: Desk
    again: float = field(default=float("-inf"))


class Errands:
    """The requests of all projects, and each line's return to order after an interruption."""

    def __init__(self, state_dir: Path, config_dir: Path, rotations: Rotations) -> None:
        self._box = RequestBox(state_dir)
        self._config_dir = config_dir
        self._rotations = rotations
        self._waiting: list[tuple[str, dict[str, Any]]] = []
        self._errands: list[_Errand] = []
        self._resumes: dict[str, tuple[Desk, Resume | None]] = {}
        self._again: dict[str, float] = {}

    @property
    def busy(self) -> bool:
        """Whether something that was asked is not done yet."""
        return bool(self._waiting or self._errands or self._rotations.busy)

    def step(self, now: float, lines: Mapping[str, Line]) -> None:
        """Takes what was asked, and goes on as far as it can. Nothing here waits."""
        self._waiting += self._box.take()
        for name, line in lines.items():
            if line.ready and now >= self._again.get(name, now):
                self._resume(now, name, line)
        for name, content in list(self._waiting):
            self._begin(now, name, content, lines)
        for name, said in self._rotations.step(now):
            self._box.answer(name, {"version": VERSION} | said)
        for errand in list(self._errands):
            if now >= errand.again:
                self._go_on(now, errand, lines)

    def _resume(self, now: float, name: str, line: Line) -> None:
        """Once for each line: what was planned before is carried out first."""
        desk, work = self._resumes.get(name, (None, None))
        if desk is None or desk.pool is not line.bench.pool:
            desk = _desk(line.bench)
            work = Resume(desk)
            self._resumes[name] = desk, work
        try:
            if work is not None and line.answers(now) and work.step():
                self._resumes[name] = desk, None
                line.inbox.rung = line.inbox.rung or work.moved
        except Exception as error:
            self._again[name] = now + _PATIENCE
            logger.error(
                "what was begun in the quarantine cannot be finished: %s", _text(error), extra={"project": name}
            )

    def _begin(self, now: float, name: str, content: dict[str, Any], lines: Mapping[str, Line]) -> None:
        """Makes work of a request; where it moves files, once its line has listed its inbox and is in order."""
        if (content.get("version"), content.get("action")) == (VERSION, ROTATE):
            self._waiting.remove((name, content))
            self._rotations.ask(name, str(content.get("project")), str(content.get("who", "")), now)
            return
        line = lines.get(str(content.get("project")))
        if content.get("version") != VERSION or content.get("action") not in (*_ACTIONS, REPROCESS):
            self._refuse(name, content, "the service does not know this request: restart it, it is of another version")
        elif line is None:
            self._refuse(name, content, "the service does not run this project: see `coatcheck status`")
        elif line.ready and self._resumes.get(line.name, (None, line))[1] is None:
            self._waiting.remove((name, content))
            desk = self._resumes[line.name][0]
            try:
                work = self._work(content, line, desk)
            except CoatcheckError as error:
                self._box.answer(name, {"version": VERSION, "fault": str(error)})
                return
            self._errands.append(_Errand(name=name, project=line.name, work=work, desk=desk))

    def _work(self, content: dict[str, Any], line: Line, desk: Desk) -> Returns | Reprocess:
        """Raises CoatcheckError for a request that cannot be carried out."""
        who, numbers = str(content.get("who", "")), content.get("refusals")
        if content["action"] == REPROCESS:
            name = str(content.get("profile") or line.bench.project.profile)
            profile = profile_of(line.bench.project.model_copy(update={"profile": name}), self._config_dir)
            ticket = str(content.get("ticket"))
            return Reprocess(line.bench, profile, ticket, who, is_busy=line.is_busy, begin=line.take)
        if not _are_numbers(numbers):
            raise CoatcheckError("the service does not know this request", "restart it, it is of another version")
        return Returns(desk, _ACTIONS[content["action"]], numbers or [], who)

    def _refuse(self, name: str, content: dict[str, Any], fault: str) -> None:
        self._waiting.remove((name, content))
        self._box.answer(name, {"version": VERSION, "fault": fault, "refusals": []})

    def _go_on(self, now: float, errand: _Errand, lines: Mapping[str, Line]) -> None:
        line = lines.get(errand.project)
        if line is None or line.bench.pool is not errand.desk.pool:
            self._errands.remove(errand)  # What was planned is carried out by the new line's resume.
            self._say(errand, "the configuration was read again meanwhile: ask again for what is left")
            return
        if not line.answers(now):
            if line.fault:
                self._say(errand, f"{line.fault}: it is tried again until it is done")
            return
        try:
            if not errand.work.step():
                return
        except Exception as error:
            errand.again = now + _PATIENCE
            self._say(errand, f"{_text(error)}: it is tried again until it is done")
            return
        self._errands.remove(errand)
        self._say(errand, "")
        line.inbox.rung = True

    def _say(self, errand: _Errand, fault: str) -> None:
        """The answer; a person who was told of a fault is not told again."""
        if errand.name:
            self._box.answer(errand.name, {"version": VERSION, "fault": fault} | errand.work.answer())
            errand.name = ""


def _desk(bench: Bench) -> Desk:
    return Desk(project=bench.project, ledger=bench.ledger, vault=bench.vault, pool=bench.pool, utc=bench.utc)


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int for one in value)


def _text(error: Exception) -> str:
    """An error for a person; never the own words of one that nobody expected, which may quote a value."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error if isinstance(error, CoatcheckError) else Mistake.of(error))
