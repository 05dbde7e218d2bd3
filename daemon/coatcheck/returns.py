"""What a person gives back from the quarantine to the inbox, or throws away: the journal, the move, then the ledger.

The vault's plan comes first, so that a crash leaves nothing half done: what was planned is carried out by whoever
comes next, the service or the command, and the ledger follows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coatcheck.batches import Again, Batches
from coatcheck.config import Project
from coatcheck.errors import CoatcheckError
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger, RefusalRow, RefusalState
from coatcheck.returning import Ways, give_back
from coatcheck.vault import Vault
from coatcheck.whereabouts import Finder, Found, fates_of, tidy

logger = logging.getLogger("coatcheck")
_CHUNK: Final = 200  # refusals that are planned and moved together
_BATCH: Final = 200
_STATES: Final = {Fate.RETRY: RefusalState.RETRIED, Fate.DROP: RefusalState.DROPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What is needed of a project: its settings, the records, a way into the pool and the time for records."""

    project: Project
    ledger: Ledger
    vault: Vault
    pool: Lane
    utc: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What came of one refusal: ``files`` that it had, ``found`` of them, and why nothing was done ("" if it was)."""

    id: int
    state: str
    files: int
    found: int
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Returns:
    """The work on some refusals of one project. ``results`` grows as it goes on."""

    def __init__(self, desk: Desk, action: Fate, refusals: Sequence[int], who: str) -> None:
        self._desk = desk
        self._action = action
        self._todo = list(refusals)
        self._who = who
        self._finder = Finder(desk.project.quarantine)
        self._moves: _Moves | None = None
        self._chunk: list[tuple[RefusalRow, int]] = []
        self._noted = False
        self.results: list[Returned] = []

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises OSError or CoatcheckError; call it again later."""
        if not self._noted:
            self._note()
        while self._todo or self._moves is not None:
            if self._moves is None:
                self._moves = self._plan()
            if not self._moves.step():
                return False
            self._settle()
            self._moves = None
        return True

    def answer(self) -> dict[str, Any]:
        """What came of it so far, as plain values."""
        return {"refusals": [one.as_json() for one in self.results]}

    def _note(self) -> None:
        """An audit row: these are originals, and perhaps the only copies."""
        desk = self._desk
        action = f"quarantine {self._action.value}"
        reason = " ".join(map(str, self._todo))
        desk.vault.audit(desk.project.name, who=self._who, action=action, reason=reason, now=desk.utc())
        self._noted = True

    def _plan(self) -> _Moves:
        """Finds the files of the next refusals, and journals what is to become of them."""
        desk, planned = self._desk, []
        chunk: list[tuple[RefusalRow, int]] = []
        problems: list[Returned] = []
        gone = desk.vault.returned(desk.project.name)
        for number in self._todo[:_CHUNK]:
            refusal = desk.ledger.refusal(number)
            if refusal is None or refusal.project != desk.project.name or refusal.state is not RefusalState.QUARANTINED:
                problems.append(self._not_there(number, refusal))
                continue
            found = self._finder.find(refusal.folder, fates_of(desk.ledger, desk.vault, refusal))
            if not found and self._action is Fate.RETRY and number not in gone:
                problems.append(_nothing_left(refusal))
                continue
            chunk.append((refusal, len(found)))
            planned += [(number, self._planned(one, one.fingerprint)) for one in found if one.fingerprint is not None]
        rows = desk.vault.plan_returns(desk.project.name, planned)
        moves = _Moves(desk, [(row, file) for row, (_, file) in zip(rows, planned, strict=True)])
        self._chunk = chunk  # Only now: nothing above is half done if it raises.
        self.results += problems
        del self._todo[:_CHUNK]
        return moves

    def _not_there(self, number: int, refusal: RefusalRow | None) -> Returned:
        """What is not in quarantine: a mistake, unless an earlier start of the same work was finished just now."""
        desk = self._desk
        if refusal is None or refusal.project != desk.project.name:
            return Returned(id=number, state="", files=0, found=0, problem="nothing in this project has this number")
        state, problem, found = refusal.state, "", 0
        if state is _STATES[self._action]:
            rows = desk.vault.fates(desk.project.name, refusal_id=number)
            found = sum(row.file.fate is self._action and row.state is FateState.DONE for row in rows)
        else:
            problem = f"it is {state.value}: nothing of it lies in the quarantine"
        return Returned(id=number, state=state.value, files=refusal.files, found=found, problem=problem)

    def _planned(self, found: Found, mark: Any) -> PlannedFile:  # noqa: ANN401
        destination = found.dropped if self._action is Fate.RETRY else ""
        return PlannedFile(path=found.place, fingerprint=mark, fate=self._action, destination=destination)

    def _settle(self) -> None:
        """The ledger follows what was moved."""
        desk, state = self._desk, _STATES[self._action]
        while self._chunk:
            refusal, found = self._chunk[-1]
            desk.ledger.settle_refusal(refusal.id, state, desk.utc())
            self._chunk.pop()
            self.results.append(Returned(id=refusal.id, state=state.value, files=refusal.files, found=found))
            _tidy(desk, refusal)
            text = "%s from the quarantine: %d of %d files, %s"
            values = (state.value, found, refusal.files, refusal.reason)
            logger.info(text, *values, extra={"project": refusal.project, "study": refusal.ticket or ""})


class Resume:
    """What an interrupted return left behind: moved files whose refusal says otherwise, and plans."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._moves: _Moves | None = None
        self.moved = False  # whether there was anything to carry out

    def step(self) -> bool:
        """Goes on as far as it can; True when all is done. Raises OSError or CoatcheckError; call it again later."""
        desk = self._desk
        if self._moves is None:
            left = desk.vault.planned_returns(desk.project.name)
            self.moved = bool(left)
            self._moves = _Moves(desk, [(row.id, row.file) for row in left])
        if not self._moves.step():
            return False
        gone = desk.vault.returned(desk.project.name)
        for refusal in desk.ledger.refusals(desk.project.name, state=RefusalState.QUARANTINED) if gone else ():
            if refusal.id in gone:
                desk.ledger.settle_refusal(refusal.id, _STATES[gone[refusal.id]], desk.utc())
                _tidy(desk, refusal)
        return True


class _Moves:
    """Files on their way, by their rows in the vault."""

    def __init__(self, desk: Desk, rows: Iterable[tuple[int, PlannedFile]]) -> None:
        self._vault = desk.vault
        self._row_of = {file: row for row, file in rows}
        self._batches = Batches(desk.pool)
        ways = Ways(inbox=desk.project.inbox, quarantine=desk.project.quarantine)
        self._batches.add(give_back, ways, list(self._row_of), self._take, size=_BATCH)

    def step(self) -> bool:
        return self._batches.step()

    def _take(self, files: Sequence[PlannedFile], results: list[Any]) -> Again | None:
        pairs = list(zip(files, results, strict=True))
        for state in (FateState.DONE, FateState.SUPERSEDED):
            self._vault.settle_fate([self._row_of[file] for file, result in pairs if result is state], state)
        left = [file for file, result in pairs if not isinstance(result, FateState)]
        if not left:
            return None
        weather = [result for result in results if isinstance(result, OSError | CoatcheckError)]
        return Again(items=left, weather=weather[0] if weather else OSError("a worker process ended"))


def _nothing_left(refusal: RefusalRow) -> Returned:
    problem = f"none of its files lies in the quarantine any more: `coatcheck quarantine drop {refusal.id}` forgets it"
    return Returned(id=refusal.id, state=refusal.state.value, files=refusal.files, found=0, problem=problem)


def _tidy(desk: Desk, gone: RefusalRow) -> None:
    """Nothing is left beside the note: it goes too, unless more is to come into that folder."""
    kept = desk.ledger.refusals(desk.project.name, gone.reason, ticket=gone.ticket)
    there = (RefusalState.PLANNED, RefusalState.QUARANTINED)
    if not any(one.folder == gone.folder and one.state in there for one in kept):
        tidy(desk.project.quarantine, gone.folder)
