"""Is a service running on this state folder, and what does it say of itself?

``state_dir/lock`` is held by flock for as long as the service lives, and holds its process id as text.
``state_dir/status.json`` is written anew by the service, by rename, at most once a second.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from coatcheck.errors import CoatcheckError, StateError

VERSION: Final = 1
_STEP: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is known of the service. ``projects`` are its own words, by project; empty where none runs."""

    running: bool
    pid: int | None = None
    started: str | None = None
    updated: str | None = None
    reloads: int = 0
    reload_problems: tuple[str, ...] = ()
    projects: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def service_pid(state_dir: Path) -> int | None:
    """The process id of the running service, or None. Raises StateError if the lock cannot be looked at.

    The lock is what counts: a process id in a file that nobody holds may by now belong to anything.
    """
    try:
        descriptor = os.open(state_dir / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = "run this as the service's user or as a member of its group"
        raise StateError(f"{state_dir / 'lock'} cannot be read ({error.strerror})", hint) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(descriptor, 32).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def read_service(state_dir: Path) -> Service:
    """What the running service says of itself. Without one, or before its first word, the rest is empty."""
    pid = service_pid(state_dir)
    if pid is None:
        return Service(running=False)
    try:
        said = json.loads((state_dir / "status.json").read_bytes())
    except FileNotFoundError:
        return Service(running=True, pid=pid)
    except (OSError, ValueError):
        raise StateError(f"{state_dir / 'status.json'} cannot be read", "look at the service's log") from None
    if not isinstance(said, dict) or said.get("version") != VERSION:
        raise StateError("the running service is of another version", "restart the service")
    if said.get("pid") != pid:  # the words of an earlier service, which this one has not replaced yet
        return Service(running=True, pid=pid)
    return Service(
        running=True,
        pid=pid,
        started=said.get("started"),
        updated=said.get("updated"),
        reloads=said.get("reloads", 0),
        reload_problems=tuple(said.get("reload_problems", ())),
        projects=said.get("projects", {}),
    )


def reload(
    state_dir: Path,
    *,
    timeout: float = 60.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[str, ...]:
    """Make the running service read its configuration again, wait until it has, and give the problems it found.

    Raises CoatcheckError when no service runs, it cannot be reached, ends, or does not answer within ``timeout``
    seconds.
    """
    before = read_service(state_dir)
    if not before.running or before.pid is None:
        raise CoatcheckError("no service is running with this configuration", "start it with `coatcheck run`")
    try:
        os.kill(before.pid, signal.SIGHUP)
    except PermissionError:
        raise CoatcheckError("the service belongs to another user", "run this as that user, or as root") from None
    except ProcessLookupError:
        raise CoatcheckError("the service has just ended", "look at its log") from None
    end = clock() + timeout
    while clock() < end:
        now = read_service(state_dir)
        if now.pid != before.pid:
            raise CoatcheckError("the service ended instead of reading its configuration", "look at its log")
        if now.reloads != before.reloads:
            return now.reload_problems
        sleep(_STEP)
    raise CoatcheckError(f"the service did not answer within {timeout:g} s", "look at its log")


@contextmanager
def hold_lock(state_dir: Path) -> Iterator[None]:
    """One service for one state folder. The lock goes with the process, however it ends."""
    fd = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        if os.geteuid() == 0:  # a command of root's must not leave a lock that the service cannot open
            owner = os.stat(state_dir)
            os.fchown(fd, owner.st_uid, owner.st_gid)
        _take_lock(fd, state_dir)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _take_lock(fd: int, state_dir: Path) -> None:
    for attempt in range(20):  # `status` holds it shared for a moment, to see whether a service does
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.05 if attempt < 19 else 0)
    raise StateError(f"another service is running with {state_dir}", "stop it first, or wait for it")
