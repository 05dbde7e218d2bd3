"""A project's vault under a new sealing key, while the project goes on. Its pseudonyms stay.

In this order, so that it can be cut off anywhere and goes on where it was: the new key file is ready beside the old one
→ the vault notes that it is wanted, with the audit row → the new file, with all keys, takes its place → rows are sealed
anew, a few at a time → the file without the older keys takes its place → the note goes. What is noted is carried on by
the next start of the service, or by the next `coatcheck key rotate`.
"""

from __future__ import annotations

import errno
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from coatcheck.audit_trail import anchor
from coatcheck.config import Config
from coatcheck.custody import refuse_destroyed
from coatcheck.errors import CoatcheckError, KeyFileError, Mistake
from coatcheck.keys import (
    ProjectKey,
    key_path,
    prepare_key,
    put_in_place,
    read_key,
    with_newest_alone,
    with_sealing_key,
)
from coatcheck.ledger import Ledger
from coatcheck.service_lock import hold_lock
from coatcheck.vault import Span, Vault

logger = logging.getLogger("coatcheck")
ROTATE: Final = "key rotate"  # what a request asks for
_PATIENCE: Final = 5.0  # seconds until what met weather is tried again
_ANSWER_WITHIN: Final = 20.0  # seconds after which whoever asked is told that it goes on


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a rotation needs of the world: the time for records, and so many unpredictable bytes."""

    utc: Callable[[], str]
    randomness: Callable[[int], bytes]


class Rotation:
    """One rotation on its way. ``path`` is the key file itself, never the copy that systemd hands over."""

    def __init__(self, vault: Vault, project: str, path: Path, who: str, means: Means) -> None:
        self.project = project
        self._vault = vault
        self._path = path
        self._who = who
        self._means = means
        self._todo: deque[Span] | None = None
        self._key: ProjectKey | None = None

    @property
    def begun(self) -> bool:
        """Whether it is noted, so that it will be done whatever happens."""
        return self._vault.rotation(self.project) is not None

    def step(self) -> bool:
        """Goes on by a few rows; True when all is done. Raises OSError or CoatcheckError; call it again later."""
        if self._key is None or self._todo is None:
            self._key = self._begin()
            self._todo = deque(self._vault.take_rotated(self.project, self._key))
        if self._todo:
            left = self._vault.reseal(self.project, self._todo[0])
            self._todo.popleft()  # Only now: it is gone through again if that raises.
            if left is not None:
                self._todo.appendleft(left)
            return False
        self._end(self._key)
        return True

    def _begin(self) -> ProjectKey:
        """The key with the new sealing key beside the others, in its file."""
        key = self._read()
        self._vault.prove(self.project, key)
        self._vault.use_key(self.project, key)
        noted = self._vault.rotation(self.project)
        number = key.current + 1 if noted is None else noted
        if key.current < number:
            key = with_sealing_key(key, number, self._means.randomness)
            prepared = self._prepare(key)
            if noted is None:
                self._vault.begin_rotation(self.project, number, who=self._who, now=self._means.utc())
            put_in_place(prepared, self._path)
        return key

    def _end(self, key: ProjectKey) -> None:
        """The older keys go, now that nothing needs them."""
        newest = with_newest_alone(key)
        if newest != key:
            put_in_place(self._prepare(newest), self._path)
        self._vault.use_key(self.project, newest)
        self._vault.end_rotation(self.project)
        logger.info("the key was rotated: the vault is sealed anew", extra={"project": self.project})

    def _read(self) -> ProjectKey:
        if not self._path.exists():
            hint = "where systemd hands the key over from elsewhere, put its plain text there first, with mode 0600"
            raise KeyFileError(f"the key file {self._path} is missing", hint)
        return read_key(self._path)

    def _prepare(self, key: ProjectKey) -> Path:
        try:
            return prepare_key(self._path, key)
        except OSError as error:
            hint = "stop the service and run this as root, or make the folder writable for the service's user"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "make room on that disk"
            raise CoatcheckError(f"the key file {self._path} cannot be replaced ({error.strerror})", hint) from None


@dataclass(slots=True)
class _Asked:
    """One rotation, those who wait for its end, and when it is to go on."""

    work: Rotation
    names: dict[str, float]
    again: float = float("-inf")
    fault: str = ""


class Rotations:
    """The service's rotations: those that somebody asks for, and those that an earlier process left."""

    def __init__(self, vault: Vault, path_of: Callable[[str], Path], means: Means) -> None:
        self._vault = vault
        self._path_of = path_of
        self._means = means
        self._asked: dict[str, _Asked] = {}
        self._refused: list[tuple[str, str]] = []

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self._asked)

    def is_due(self, now: float) -> bool:
        """Whether anything can be done at once."""
        return any(one.again <= now for one in self._asked.values())

    def resume(self, projects: Iterable[str]) -> None:
        """Go on with what an earlier process left in the middle."""
        for project in projects:
            try:
                if project not in self._asked and self._vault.rotation(project) is not None:
                    self._add(project, "service")
            except CoatcheckError as error:
                logger.error("a rotation of the key is not finished: %s", str(error), extra={"project": project})

    def ask(self, name: str, project: str, who: str, now: float) -> None:
        """Somebody asks for one, or for the end of the one that is under way; ``name`` is that of the request."""
        try:
            self._add(project, who).names[name] = now
        except CoatcheckError as error:
            self._refused.append((name, str(error)))

    def step(self, now: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """Goes on by a few rows of each; gives what is to be answered, by the requests' names."""
        while self._refused:
            name, fault = self._refused.pop()
            yield name, {"fault": fault, "done": False}
        for project, asked in list(self._asked.items()):
            if asked.again > now:
                continue
            done, fault = self._go_on(asked, now)
            for name, since in list(asked.names.items()):
                if done or fault or now - since > _ANSWER_WITHIN:
                    del asked.names[name]
                    yield name, {"fault": fault, "done": done}
            if done or (fault and not self._is_begun(asked)):
                del self._asked[project]

    def _add(self, project: str, who: str) -> _Asked:
        if project not in self._asked:
            self._asked[project] = _Asked(Rotation(self._vault, project, self._path_of(project), who, self._means), {})
        return self._asked[project]

    def _go_on(self, asked: _Asked, now: float) -> tuple[bool, str]:
        try:
            return asked.work.step(), ""
        except Exception as error:
            fault = _text(error)
        asked.again = now + _PATIENCE
        if fault != asked.fault:
            asked.fault = fault
            logger.error("the key cannot be rotated now: %s", fault, extra={"project": asked.work.project})
        return False, fault

    def _is_begun(self, asked: _Asked) -> bool:
        try:
            return asked.work.begun
        except CoatcheckError:
            return True  # It is asked again.


def rotate_alone(config: Config, project: str, who: str, means: Means) -> None:
    """The same where no service runs: this process is the one writer then. Raises CoatcheckError."""
    path = key_path(config.key_dir, project, None)
    refuse_destroyed(config, project)
    with (
        hold_lock(config.state_dir),
        closing(Ledger.open(config.state_dir / "ledger.db")) as ledger,
        closing(Vault.open(config.state_dir / "vault.db", {})) as vault,
    ):
        work = Rotation(vault, project, path, who, means)
        try:
            while not work.step():
                pass
        except OSError as error:
            raise CoatcheckError(_text(error), "mend that, and run this again: it goes on where it was") from None
        finally:
            anchor(vault, ledger)


def _text(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the key file cannot be replaced ({error.strerror or type(error).__name__})"
    return str(error if isinstance(error, CoatcheckError) else Mistake.of(error))
