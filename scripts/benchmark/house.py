"""A house of its own for a measurement: made by ``coatcheck init``, worked by the real process."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.processes import Command, Failed, Watched, quickly
from scripts.benchmark.wanted import Wanted

_STEP = 0.002  # seconds between two looks at the outbox
_SHARE = 19  # times as long as a look works
_PATIENCE = 600.0  # seconds until a measurement gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Folders and settings, without a process. ``python`` is that of an environment as users have it."""

    folder: Path
    python: str
    projects: tuple[str, ...]

    @classmethod
    @contextmanager
    def made(
        cls,
        wanted: Wanted,
        *,
        projects: tuple[str, ...] = ("bench",),
        file_settle: float = 0.0,
        study_settle: float = 0.0,
    ) -> Iterator[House]:
        """Everything is on; originals are deleted. All of it is removed again."""
        house = cls(folder=wanted.work / "house", python=wanted.python, projects=projects)
        quickly(*house.command("init", house.folder), *(word for name in projects for word in ("--project", name)))
        config = house.config.read_text().replace("profile: research", f"profile: {wanted.profile}")
        settings = f"file_settle: {file_settle:g}s\n  study_settle: {study_settle:g}s\n  originals: delete"
        house.config.write_text(f"{config}\ndefaults:\n  {settings}\n")
        try:
            yield house
        finally:
            shutil.rmtree(house.folder)

    @property
    def config(self) -> Path:
        """The configuration."""
        return self.folder / "coatcheck.yaml"

    def command(self, *words: str | Path) -> Command:
        """A command of coatcheck."""
        return [self.python, "-m", "coatcheck", *words]

    def asked(self, *words: str) -> Command:
        """A command that reads the configuration."""
        return [*self.command(*words), "--config", self.config]

    def inbox(self, project: str = "") -> Path:
        """Where Studies are dropped."""
        return self.folder / (project or self.projects[0]) / "inbox"

    def drop(self, folder: Path, name: str, project: str = "") -> None:
        """Moves a folder on the same disk into the inbox, at once."""
        os.rename(folder, self.inbox(project) / name)

    def delivered(self) -> list[Path]:
        """The Studies in all outboxes."""
        found: list[Path] = []
        for name in self.projects:
            for subject in _folders(self.folder / name / "outbox"):
                found += [] if subject.name.startswith(".") else _folders(subject)
        return found

    def must_have_delivered(self, files: int) -> None:
        """Raises Failed unless all is out: a measurement of something else is worth nothing."""
        out = sum(len(names) for study in self.delivered() for _, _, names in os.walk(study))
        if out != files:
            raise Failed(f"{out} of {files} files are in the outbox")

    @contextmanager
    def serving(self) -> Iterator[Watched]:
        """The service runs, and has come to rest."""
        service = Watched(self.asked("run"))
        try:
            wait_until(lambda: (self.folder / "state" / "status.json").exists(), service)
            time.sleep(1.0)
            yield service
        finally:
            service.stop()


def _folders(folder: Path) -> Sequence[Path]:
    with suppress(FileNotFoundError):
        return [Path(one.path) for one in os.scandir(folder) if one.is_dir()]
    return []


def wait_until(condition: Callable[[], object], service: Watched) -> float:
    """Looks again and again; gives the time at which it was so. Raises Failed where the service ends meanwhile.

    Looking takes a twentieth of a core at most, for the service has the same.
    """
    begun = time.monotonic()
    while True:
        looked = time.thread_time()
        if condition():
            return time.monotonic()
        if time.monotonic() > begun + _PATIENCE or not service.running():
            raise Failed("the service ended, or did nothing for ten minutes")
        time.sleep(max(_STEP, _SHARE * (time.thread_time() - looked)))
