"""What commands ask of the running service: a folder of small files, ``state_dir/requests``, and an answer to each.

Only the service writes the records, so a command that changes something leaves a request and waits for its answer.
The folder is the service's own (0700). A request appears whole, by rename, and is removed when it is taken; the answer
lies beside it until the command has read it.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from coatcheck.errors import CoatcheckError, StateError
from coatcheck.service_lock import service_pid

VERSION: Final = 1
FOLDER: Final = "requests"
_ASKED, _ANSWER, _NEW = ".request", ".answer", ".new"
_STEP: Final = 0.05
_LARGEST: Final = 16 << 20  # bytes; a million numbers


class RequestBox:
    """The service's side."""

    def __init__(self, state_dir: Path) -> None:
        """Makes the folder, and clears away what an earlier service and its commands left. Raises StateError."""
        self._folder = state_dir / FOLDER
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            names = os.listdir(self._folder)
        except OSError as error:
            hint = "make room, or mend the rights of state_dir"
            raise StateError(f"{self._folder} cannot be used ({error.strerror})", hint) from None
        for name in names:
            with suppress(OSError):
                os.unlink(self._folder / name)

    def take(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every request that lies there, by its name; it is gone then. What is no request is removed."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.endswith(_ASKED))
        except OSError:  # no state folder: the line has told of it
            return
        for name in names:
            content = _read(self._folder / name)
            with suppress(OSError):
                os.unlink(self._folder / name)
            if content is not None:
                yield name.removesuffix(_ASKED), content

    def answer(self, name: str, content: dict[str, Any]) -> None:
        """Answers a request. A command that has gone meanwhile does no harm, nor does a full disk."""
        with suppress(OSError):
            _write(self._folder, name, _ANSWER, content)


def ask(
    state_dir: Path,
    content: dict[str, Any],
    *,
    timeout: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any] | None:
    """Asks the running service, and waits for its answer; None where the service ended before it took the request.

    Raises CoatcheckError where it cannot be asked, ends, or does not answer within ``timeout`` seconds.
    """
    folder, name = state_dir / FOLDER, secrets.token_hex(8)
    try:
        request = _write(folder, name, _ASKED, content | {"version": VERSION})
    except FileNotFoundError:
        raise StateError("the running service takes no requests", "it is of an older version: restart it") from None
    except PermissionError:
        raise CoatcheckError("the service belongs to another user", "run this as that user, or as root") from None
    except OSError as error:
        with suppress(OSError):
            os.unlink(folder / f"{name}{_NEW}")
        what = f"{folder} cannot be written to ({error.strerror})"
        raise StateError(what, "make room there, and try again") from None
    end = clock() + timeout
    answer = folder / f"{name}{_ANSWER}"
    while (said := _read(answer)) is None:
        running = service_pid(state_dir) is not None
        if (not running or clock() > end) and (said := _read(answer)) is None:
            _give_up(request, running, timeout)
            return None
        sleep(_STEP)
    with suppress(OSError):
        os.unlink(answer)
    return said


def _give_up(request: Path, running: bool, timeout: float) -> None:
    """Takes the request back; an error where that is too late, or where the service runs and does not look."""
    try:
        os.unlink(request)
    except FileNotFoundError:
        hint = "it carries on with it, now or at its next start: see `coatcheck quarantine list`"
        what = f"did not answer within {timeout:g} s" if running else "ended"
        raise CoatcheckError(f"the service took the request and {what}", hint) from None
    if running:
        raise CoatcheckError(f"the service did not take the request within {timeout:g} s", "look at its log")


def _write(folder: Path, name: str, kind: str, content: dict[str, Any]) -> Path:
    """A file that appears whole, for the folder's owner. Raises OSError."""
    owner = os.stat(folder)
    temporary, target = folder / f"{name}{_NEW}", folder / f"{name}{kind}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as out:
        json.dump(content, out)
        if os.geteuid() == 0:
            os.fchown(fd, owner.st_uid, owner.st_gid)
    os.rename(temporary, target)
    return target


def _read(path: Path) -> dict[str, Any] | None:
    """What a file says, None where there is none or it is no request."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as source:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return None
        try:
            said = json.load(source)
        except ValueError:
            return None
    return said if isinstance(said, dict) else None
