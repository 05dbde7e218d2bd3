"""What a preview rests on: a project with its key and records, or a profile alone; and the files that it looks at.

Vault and ledger are only read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from coatcheck.config import Config, Project
from coatcheck.deid.profile import Profile
from coatcheck.files import fingerprint
from coatcheck.intake.scan import scan
from coatcheck.keys import ProjectKey
from coatcheck.ledger import LedgerReader
from coatcheck.model import Arrival
from coatcheck.profile_file import profile_of
from coatcheck.steps import Database
from coatcheck.vault import Kind, Vault
from coatcheck.vault.schema import migrations

THROW_AWAY: Final = "preview"
"""The name of the project that stands in where only a profile was named."""

_UNKNOWN = "?"  # stands for each digit of a number that is not given yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a preview rests on: a project with its key and records, or a profile with a key that is thrown away."""

    project: Project
    profile: Profile
    secret: bytes = field(repr=False)
    vault: Vault = field(repr=False)
    ledger: LedgerReader | None = None

    def close(self) -> None:
        """Close vault and ledger."""
        self.vault.close()
        if self.ledger is not None:
            self.ledger.close()


def of_project(config: Config, project: Project, key: ProjectKey) -> Basis:
    """The basis for a project of the configuration. Raises CoatcheckError as the service does."""
    ledger = config.state_dir / "ledger.db"
    return Basis(
        project=project,
        profile=profile_of(project, config.path.parent),
        secret=key.pseudonym_secret,
        vault=_Looking.beside(config.state_dir / "vault.db", {project.name: key}),
        ledger=LedgerReader.open(ledger) if ledger.exists() else None,
    )


def of_profile(profile: Profile, key: ProjectKey) -> Basis:
    """The basis for a profile alone, with a project of default settings that nothing was ever delivered in."""
    nowhere = Path("/nonexistent")
    project = Project(name=THROW_AWAY, inbox=nowhere, outbox=nowhere, quarantine=nowhere)
    vault = _Looking.beside(nowhere, {THROW_AWAY: key})
    return Basis(project=project, profile=profile, secret=key.pseudonym_secret, vault=vault)


def look_into(path: Path, keys: dict[str, ProjectKey]) -> Vault:
    """The vault to read; where there is none yet, an empty one that never comes to a disk. Raises StateError."""
    return _Looking.beside(path, keys)


class _Looking(Vault):
    """A vault that gives no numbers away."""

    @classmethod
    def beside(cls, path: Path, keys: dict[str, ProjectKey]) -> _Looking:
        """The vault to read; where there is none yet, an empty one that never comes to a disk."""
        if path.exists():
            return cls.open(path, keys, readonly=True)
        db = Database(sqlite3.connect(":memory:", isolation_level=None))
        migrations.apply(db)
        return cls(db, path, keys)

    def numbered(
        self,
        project: str,
        key: str,
        subject_of: Callable[[int], str],
        start: int,
        now: str,
        *,
        taken: Callable[[str], bool] | None = None,
        begun: bool = False,
    ) -> str:
        """The number that a patient has, or question marks in its place."""
        known = self.replacement(project, Kind.SUBJECT, key)
        example = subject_of(start)
        prefix = example.rstrip("0123456789")
        return known or prefix + _UNKNOWN * (len(example) - len(prefix))


@dataclass(frozen=True, slots=True)
class Found:
    """A file to look at: as it was named, and where the service would see it below an inbox."""

    shown: str
    inbox: Path
    arrival: Arrival


def files_of(paths: Sequence[Path], project: str) -> list[Found]:
    """The files that were named and those below folders, as a listing of an inbox finds them. Raises InboxFault."""
    found = []
    for path in paths:
        if path.is_dir():
            listed = scan(path)
            seen = {**listed.files, **listed.odd}
            arrivals = [Arrival(project=project, path=name, fingerprint=seen[name]) for name in sorted(seen)]
            found += [Found(str(path / one.path), path, one) for one in arrivals]
        else:
            status = fingerprint(path.lstat())
            found.append(Found(str(path), path.parent, Arrival(project=project, path=path.name, fingerprint=status)))
    return found
