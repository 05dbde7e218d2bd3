"""Where refused files lie in the quarantine. A name that was taken got a number, so the journal's is not always it."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coatcheck.fates import Fate, FateState
from coatcheck.files import fingerprint
from coatcheck.ledger import LedgerReader, RefusalRow
from coatcheck.model import Fingerprint
from coatcheck.paths import dropped
from coatcheck.quarantine import NOTE
from coatcheck.vault import FateRow, Vault

_TOLD_APART: Final = 100  # characters of a name that are there even where it had to be cut


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One refused file: where it lies below the quarantine, how it was dropped, and what it is now.

    ``fingerprint`` is None for a file whose like was set aside before it: one lies there for both.
    """

    place: str = field(repr=False)
    dropped: str = field(repr=False)
    fingerprint: Fingerprint | None


def fates_of(ledger: LedgerReader, vault: Vault, refusal: RefusalRow) -> list[FateRow]:
    """The journal's rows of one refusal's files. Raises StateError.

    Files that were refused with their delivery stand in the journal in the order of the delivery's refusals.
    """
    if refusal.delivery_id is None:
        rows = vault.fates(refusal.project, refusal_id=refusal.id)
        return [row for row in rows if row.file.fate is Fate.QUARANTINE]
    last = {row.file.path: row for row in vault.fates(refusal.project, delivery_id=refusal.delivery_id)}
    rows = sorted((row for row in last.values() if row.file.fate is Fate.QUARANTINE), key=lambda row: row.id)
    before = 0
    for one in ledger.refusals(delivery_id=refusal.delivery_id):
        if one.id == refusal.id:
            break
        before += one.files
    return rows[before : before + refusal.files]


class Finder:
    """Finds the files of several refusals; none of them is found twice."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._claimed: Counter[str] = Counter()
        self._folders: dict[str, dict[tuple[int, int], list[tuple[str, Fingerprint]]]] = {}

    def find(self, folder: str, fates: Sequence[FateRow]) -> list[Found]:
        """The files of one refusal that lie below ``folder``, in the order of their fates. Raises OSError."""
        os.stat(self._root)  # a share that is gone is weather: its files are not lost
        moved = [row for row in fates if row.state is FateState.DONE]
        return [found for row in moved if (found := self._find(folder, row)) is not None]

    def _find(self, folder: str, row: FateRow) -> Found | None:
        planned = row.file
        exact = self._look(planned.destination)
        free = exact is not None and not self._claimed[planned.destination]
        if exact is not None and free and _very(exact, planned.fingerprint):
            return self._claim(planned.destination, dropped(planned.path), exact)
        like = [one for one in self._like(folder, planned.fingerprint) if not self._claimed[one[0]]]
        for place, mark in like:
            if _very(mark, planned.fingerprint):
                return self._claim(place, dropped(planned.path), mark)
        for place, mark in like:  # It came from another file system, and has another inode.
            if mark.device != planned.fingerprint.device and _named(place, planned.path):
                return self._claim(place, dropped(planned.path), mark)
        if exact is None or exact.size != planned.fingerprint.size:
            return None
        if free:  # a share that does not keep times exactly
            return self._claim(planned.destination, dropped(planned.path), exact)
        return Found(place=planned.destination, dropped=dropped(planned.path), fingerprint=None)

    def _claim(self, place: str, dropped: str, mark: Fingerprint) -> Found:
        self._claimed[place] += 1
        return Found(place=place, dropped=dropped, fingerprint=mark)

    def _look(self, place: str) -> Fingerprint | None:
        try:
            status = os.lstat(self._root / place)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.filename is None or not os.path.isdir(self._root):
                raise
            return None  # a path that is too long to be looked at
        return None if stat.S_ISDIR(status.st_mode) else fingerprint(status)

    def _like(self, folder: str, mark: Fingerprint) -> list[tuple[str, Fingerprint]]:
        """Files of the folder with this size and time, by paths below the quarantine."""
        if folder not in self._folders:
            known: dict[tuple[int, int], list[tuple[str, Fingerprint]]] = {}
            for place, one in _everything(self._root, folder):
                known.setdefault((one.size, one.mtime_ns), []).append((place, one))
            self._folders[folder] = known
        return self._folders[folder].get((mark.size, mark.mtime_ns), [])


def _everything(root: Path, folder: str) -> Iterator[tuple[str, Fingerprint]]:
    for place, _, names in os.walk(root / folder):
        for name in sorted(names):
            path = os.path.join(place, name)
            try:
                yield os.path.relpath(path, root), fingerprint(os.lstat(path))
            except FileNotFoundError:
                continue


def _very(mark: Fingerprint, planned: Fingerprint) -> bool:
    """Whether this is the very file: a rename changes nothing but the ctime."""
    return mark[:4] == planned[:4]


def _named(place: str, dropped: str) -> bool:
    """Whether a file has the name that was dropped, perhaps with something behind it."""
    name, wanted = place.rpartition("/")[2], dropped.rpartition("/")[2]
    pairs = enumerate(zip(name, wanted, strict=False))
    shared = next((place for place, (one, other) in pairs if one != other), min(len(name), len(wanted)))
    return shared >= min(len(wanted), _TOLD_APART) and name[shared:][:1] in ("", "~")


def tidy(root: Path, folder: str) -> None:
    """Removes empty folders below a folder of the quarantine, and its note when nothing else is left. No errors."""
    for place, _, _ in os.walk(root / folder, topdown=False):
        if place != os.fspath(root / folder):
            _rmdir(place)
    try:
        if os.listdir(root / folder) == [NOTE]:
            os.unlink(root / folder / NOTE)
    except OSError:
        return
    _rmdir(root / folder)
    _rmdir((root / folder).parent)


def _rmdir(path: str | Path) -> None:
    try:
        os.rmdir(path)
    except OSError:  # it is not empty
        return
