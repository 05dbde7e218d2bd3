"""What the work on one project needs at hand: its settings, its key, the records and the pool."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from coatcheck.config import Config, Project
from coatcheck.deid.profile import Profile
from coatcheck.fates import Fate
from coatcheck.keys import ProjectKey
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger
from coatcheck.originals import Places
from coatcheck.profile_file import profile_of
from coatcheck.vault import Vault

logger = logging.getLogger("coatcheck")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One project's tools. ``utc`` tells the time as it stands in records."""

    project: Project
    key: ProjectKey = field(repr=False)
    profile: Profile
    ledger: Ledger
    vault: Vault
    pool: Lane
    utc: Callable[[], str]
    beat: Callable[[], None] = field(default=lambda: None, repr=False)  # tells systemd that the loop goes on

    @property
    def places(self) -> Places:
        """Where originals come from and go to."""
        project = self.project
        return Places(inbox=project.inbox, archive=project.archive, quarantine=project.quarantine)

    @property
    def kept(self) -> Fate:
        """What becomes of an original that was delivered."""
        return Fate.ARCHIVE if self.project.originals == "archive" else Fate.DELETE

    def log(self, level: int, text: str, *args: object, ticket: str = "") -> None:
        """One record with the project and the Study's ticket as fields."""
        logger.log(level, text, *args, extra={"project": self.project.name, "study": ticket})

    def is_still(self, config: Config, key: ProjectKey | None) -> bool:
        """Whether the project's settings, key and profile are in a configuration what they are here.

        Profiles were checked before. Sealing keys are the vault's business: a line does not notice their rotation.
        """
        project = config.projects.get(self.project.name)
        if (
            project is None
            or project != self.project
            or key is None
            or key.pseudonym_secret != self.key.pseudonym_secret
        ):
            return False
        return profile_of(project, config.path.parent).digest == self.profile.digest
