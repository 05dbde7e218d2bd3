"""The two databases as files: whether SQLite finds them sound, and whether they are kept as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from coatcheck.doctor.findings import Finding, Level, Tally
from coatcheck.doctor.visit import Visit
from coatcheck.errors import CoatcheckError
from coatcheck.integrity import Soundness

_PATIENCE: Final = 20.0  # seconds that one table may be read for while a service writes to it
_RESTORE: Final = "stop the service and restore ledger.db and vault.db together, from one backup"


def look(visit: Visit) -> Iterator[Finding]:
    """Both of them."""
    settings = visit.settings
    patience = _PATIENCE if visit.service.running and not settings.thorough else None
    for name, database in (("ledger.db", visit.ledger), ("vault.db", visit.vault)):
        path = settings.config.state_dir / name
        try:
            found = database.soundness(thorough=settings.thorough, patience=patience, clock=settings.clock)
        except CoatcheckError as error:
            yield Finding(level=Level.PROBLEM, check="databases", what=error.what, hint=_RESTORE)
            continue
        yield from _judged(name, found)
        yield from _kept(path, settings.limits.wal, running=visit.service.running)


def _judged(name: str, found: Soundness) -> Iterator[Finding]:
    faults = Tally()
    for fault in found.faults:
        faults.add(fault)
    if faults:
        what = f"{name} is damaged ({faults})"
        yield Finding(level=Level.PROBLEM, check="databases", what=what, hint=_RESTORE)
    elif found.unread:
        what = f"{name}: {', '.join(found.unread)} is too large to be judged beside a running service"
        hint = "see `coatcheck doctor --thorough`, or judge a copy with `coatcheck backup --verify`"
        yield Finding(level=Level.NOTE, check="databases", what=what, hint=hint)
    else:
        yield Finding(level=Level.OK, check="databases", what=f"{name} is sound")


def _kept(path: Path, most: int, *, running: bool) -> Iterator[Finding]:
    try:
        size = path.with_name(f"{path.name}-wal").stat().st_size
    except FileNotFoundError:
        return
    if size > most:
        what = f"the WAL of {path.name} has grown to {size >> 20} MB"
        level, hint = Level.NOTE, "the next start folds it in"
        if running:
            hint = "a program that stays in a read keeps it from being folded in: end it, as `fuser` shows"
            level = Level.PROBLEM
        yield Finding(level=level, check="databases", what=what, hint=hint)
