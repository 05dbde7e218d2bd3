"""Keeps the note of one project: looks into the records now and then, and has it written in the pool.

What was delivered and refused is read from the ledger and the vault, so that it survives a restart and nothing of it is
kept anywhere else. A share that hangs holds up a worker, as with all its files, and never the loop.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from coatcheck.assembly import Assembly
from coatcheck.batches import Again, Batches
from coatcheck.bench import Bench
from coatcheck.fates import LEAVING, Fate, FateState
from coatcheck.inflow import Inflow
from coatcheck.intake.inbox import Inbox
from coatcheck.ledger import DeliveryState, RefusalState
from coatcheck.note import Note, Row, page, plain, write
from coatcheck.paths import dropped
from coatcheck.pieces import Pieces
from coatcheck.pool import Crashed
from coatcheck.reasons import Reason
from coatcheck.vault import FateRow

_PERIOD: Final = 10.0  # seconds between two notes
_SOON: Final = 0.5  # while there are records to be looked through
_HEARTBEAT: Final = 300.0  # after which it is written even if nothing changed: its time tells that the service lives
_AT_ONCE: Final = 5  # records that are looked through in one step
_MOST: Final = 200  # records that are remembered
_BACKLOG: Final = 5 * _MOST  # that wait to be looked through; in a flood the oldest are not told of
_DAYS: Final = 14
_ENDED: Final = (DeliveryState.RELEASED, DeliveryState.DONE, DeliveryState.QUARANTINED)
_LYING: Final = (RefusalState.PLANNED, RefusalState.QUARANTINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """What became of the files of one delivery, or of one file that was refused, by the names they came under."""

    at: str
    delivered: Counter[str]
    refused: Counter[tuple[str, Reason]]


class Noting:
    """The note of one project, if it wants one. ``due`` is when to call :meth:`step`, by the monotonic clock."""

    def __init__(self, bench: Bench, inbox: Inbox, inflow: Inflow, assembly: Assembly, pieces: Pieces) -> None:
        self._bench, self._inbox = bench, inbox
        self._folder = bench.project.note_folder
        self._inflow, self._assembly, self._pieces = inflow, assembly, pieces
        self.due = float("inf") if self._folder is None else float("-inf")
        self._batches = Batches(bench.pool)
        self._known: tuple[int, int] | None = None  # the last records that were seen: delivery and refusal
        self._pending: deque[tuple[int | None, int | None]] = deque(maxlen=_BACKLOG)
        self._undecided: list[tuple[int | None, int | None]] = []
        self._events: dict[tuple[int | None, int | None], _Event] = {}
        self._last: Note | None = None
        self._written = float("-inf")
        self._final = ""  # "asked", "begun" or "written": the last note of a run that ends by itself

    def step(self, now: float) -> bool:
        """Looks through the records and writes the note where there is something new. Raises weather."""
        if not self._batches.step():
            self.due = now + _SOON
            return False
        if self._final == "begun":
            self._final = "written"
        more = self._look()
        # Who waits for the last note does not wait between two looks.
        self.due = now + (0.0 if self._final == "asked" else _SOON if more else _PERIOD)
        if not more:
            self._write(now)
        return True

    def finished(self) -> bool:
        """Asks for a last note before the end, and tells whether it is written."""
        if self._folder is None or self._final == "written":
            return True
        if not self._final:
            self._final, self.due = "asked", float("-inf")
        return False

    def _write(self, now: float) -> None:
        note = self._compose(now)
        if note != self._last or now - self._written >= _HEARTBEAT:
            self._last, self._written = note, now
            at, name = self._local(0.0), f"coatcheck-{note.project}"
            texts = [(f"{name}.txt", plain(note, at)), (f"{name}.html", page(note, at))]
            self._batches.add(write, self._folder, texts, self._taken, size=len(texts))
            self._batches.step()
        self._final = "begun" if self._final == "asked" else self._final

    def _taken(self, items: Sequence[Any], results: list[Any]) -> Again | None:
        if isinstance(results[0], Crashed):
            return Again(items=items, weather=OSError("a worker process ended"))
        return None

    def _look(self) -> bool:
        """Looks through a few records; True where there are more of them."""
        last = self._bench.ledger.last_ids()
        known = self._known or (max(0, last[0] - _MOST), max(0, last[1] - _MOST))
        self._pending.extend((number, None) for number in range(known[0] + 1, last[0] + 1))
        self._pending.extend((None, number) for number in range(known[1] + 1, last[1] + 1))
        self._known = last
        some = [self._pending.popleft() for _ in range(min(_AT_ONCE, len(self._pending)))]
        self._undecided = [key for key in (*self._undecided, *some) if not self._take(*key)]
        return bool(self._pending)

    def _take(self, delivery_id: int | None, refusal_id: int | None) -> bool:
        """Remembers what became of one record's files. False where that is not decided yet."""
        bench, name = self._bench, self._bench.project.name
        if delivery_id is not None:
            row = bench.ledger.delivery(delivery_id)
            if row is None or row.project != name or row.state is DeliveryState.ABANDONED:
                return True
            if row.state not in _ENDED:
                return False
            self._remember(delivery_id, None, row.changed, bench.vault.fates(name, delivery_id=delivery_id))
            return True
        refusal = bench.ledger.refusal(refusal_id or 0)
        if refusal is not None and refusal.project == name and refusal.delivery_id is None:
            self._remember(None, refusal_id, refusal.at, bench.vault.fates(name, refusal_id=refusal_id))
        return True

    def _remember(self, delivery_id: int | None, refusal_id: int | None, at: str, fates: Sequence[FateRow]) -> None:
        files = [row.file for row in fates if row.state is not FateState.SUPERSEDED and row.file.fate not in LEAVING]
        aside = [one for one in files if one.fate is Fate.QUARANTINE]
        event = _Event(
            at=at,
            delivered=Counter(_top(one.path) for one in files if one.fate is not Fate.QUARANTINE),
            refused=Counter((_top(one.path), Reason(one.destination.split("/")[0])) for one in aside),
        )
        self._events[delivery_id, refusal_id] = event
        while len(self._events) > _MOST:
            del self._events[next(iter(self._events))]

    def _compose(self, now: float) -> Note:
        old = (datetime.fromisoformat(self._bench.utc()) - timedelta(days=_DAYS)).isoformat()
        delivered: Counter[str] = Counter()
        refused: Counter[tuple[str, Reason]] = Counter()
        when: dict[object, str] = {}
        for key, event in sorted(self._events.items(), key=lambda one: one[1].at):
            if event.at > old:
                lying = self._lying(*key) if event.refused else set()
                still = Counter({one: files for one, files in event.refused.items() if one[1] in lying})
                delivered += event.delivered
                refused += still
                when |= dict.fromkeys([*event.delivered, *still], _clock(event.at))
        return Note(
            project=self._bench.project.name,
            waiting=tuple(self._waiting(now)),
            delivered=tuple(Row(name=one, files=delivered[one], when=when[one]) for one in _last(when, delivered)),
            refused=tuple(
                Row(name=one[0], files=refused[one], when=when[one], reason=one[1]) for one in _last(when, refused)
            ),
            left_alone=self._inbox.left_alone,
        )

    def _lying(self, delivery_id: int | None, refusal_id: int | None) -> set[Reason]:
        """The reasons for which files of a record lie in the quarantine now."""
        ledger = self._bench.ledger
        one = ledger.refusal(refusal_id) if refusal_id is not None else None
        rows = [one] if one else ledger.refusals(delivery_id=delivery_id) if delivery_id is not None else []
        return {Reason(row.reason) for row in rows if row.state in _LYING}

    def _waiting(self, now: float) -> Iterator[Row]:
        """What is on its way, by names: how far it is, and until when it waits for more."""
        held = self._assembly.held()
        until = {name: due for paths, due in sorted(held, key=lambda one: one[1]) for name in set(map(_top, paths))}
        gathered = Counter(_top(path) for paths, _ in held for path in paths)
        yield from _rows(Counter(map(_top, self._inflow.changing())), "is still arriving, or being unpacked")
        for name, files in sorted(gathered.items()):
            due = until[name]
            when = f"waits for more until {self._local(due - now)}" if due > now else "waits for its turn"
            yield Row(name=name, files=files, when=when)
        jobs = (one.arrival.path for job in self._pieces.jobs for one in job.study.instances)
        yield from _rows(Counter(map(_top, jobs)), "is being worked on")

    def _local(self, ahead: float) -> str:
        return _clock((datetime.fromisoformat(self._bench.utc()) + timedelta(seconds=ahead)).isoformat())


def _rows(names: Counter[str], when: str) -> list[Row]:
    return [Row(name=name, files=files, when=when) for name, files in sorted(names.items())]


def _last(when: dict[Any, str], names: Counter[Any]) -> list[Any]:
    """The names, those of which something was told last first."""
    return sorted(names, key=lambda one: when[one], reverse=True)


def _top(path: str) -> str:
    return dropped(path).split("/", 1)[0]


def _clock(utc: str) -> str:
    """A time as people near the service read it."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M %Z").strip()
