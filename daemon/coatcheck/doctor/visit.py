"""What an examination has at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from coatcheck.config import Config, Project
from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey
from coatcheck.ledger.inspect import LedgerInspection
from coatcheck.service_lock import Service
from coatcheck.vault.inspect import VaultInspection

LONG: Final = timedelta(minutes=5)
"""What a running service has not gone on with for so long, it must at least speak of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is too little room, and too large a WAL, in bytes."""

    room: int = 64 << 20
    little_room: int = 1 << 30
    wal: int = 64 << 20  # twice what a service folds in


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to look. ``projects`` are looked at, ``now`` is UTC, ``clock`` is monotonic and in seconds."""

    config: Config
    projects: Mapping[str, Project]
    credentials: Path | None
    now: datetime
    clock: Callable[[], float]
    thorough: bool = False
    limits: Limits = field(default=Limits())

    @property
    def whole(self) -> bool:
        """Whether no project was singled out."""
        return len(self.projects) == len(self.config.projects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """The open records, the keys that could be read, and what the service said of itself before anything was read."""

    settings: Settings
    service: Service
    ledger: LedgerInspection
    vault: VaultInspection
    found: Mapping[str, ProjectKey] = field(repr=False)  # all keys that could be read
    keys: Mapping[str, ProjectKey] = field(repr=False)  # those of them that are the vault's
    unfit: Mapping[str, KeyFileError]  # why the others are not
    destroyed: Mapping[str, str]  # the projects whose key was destroyed, and when

    @property
    def projects(self) -> Mapping[str, Project]:
        """The projects to look at."""
        return self.settings.projects

    @property
    def thorough(self) -> bool:
        """Whether everything is looked at, and not a part of what there is much of."""
        return self.settings.thorough

    def concerns(self, project: str) -> bool:
        """Whether a project is looked at: those that the configuration does not name, only with all others."""
        return project in self.projects or (self.settings.whole and project not in self.settings.config.projects)

    def is_old(self, at: str) -> bool:
        """Whether a time as it stands in records is longer ago than work may rest."""
        return self.settings.now - datetime.fromisoformat(at) > LONG

    def has_in_hand(self, project: str, ticket: str | None) -> bool:
        """Whether the running service speaks of a Study, or of a fault that holds its project up."""
        said = self.service.projects.get(project, {})
        tickets = {one.get("ticket") for one in said.get("studies_running", ())}
        return ticket in tickets or bool(said.get("fault")) or bool(self.ledger.faults(project))
