"""Taking a map of an earlier system over: looked at beside whatever runs, written where no service does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from coatcheck.audit_trail import anchor
from coatcheck.config import Config, Project
from coatcheck.custody import project_key
from coatcheck.errors import CoatcheckError, StateError
from coatcheck.ledger import Ledger
from coatcheck.moving_in.map_check import Outlook, look
from coatcheck.moving_in.maps import OldMap
from coatcheck.preview_basis import look_into
from coatcheck.returns_alone import refuse_strangers
from coatcheck.service_lock import hold_lock, service_pid
from coatcheck.vault import Vault


def outlook(config: Config, project: Project, old: OldMap, file: str, credentials: Path | None) -> Outlook:
    """What the map would add, with nothing changed. Raises CoatcheckError."""
    key = project_key(config, project.name, credentials)
    with closing(look_into(config.state_dir / "vault.db", {project.name: key})) as vault:
        vault.vouch(project.name, key)
        return look(old, project, vault, file)


def take_over(
    config: Config,
    project: Project,
    old: OldMap,
    file: str,
    *,
    who: str,
    reason: str | None,
    credentials: Path | None,
    utc: Callable[[], str],
) -> Outlook:
    """Writes the whole map, or nothing where something stands against it. Raises CoatcheckError."""
    refuse_strangers(config.state_dir)
    if service_pid(config.state_dir) is not None:
        raise StateError("a service is running, and only one may write the vault", "stop it, and start it again after")
    key = project_key(config, project.name, credentials)
    name = project.name
    with (
        hold_lock(config.state_dir),
        closing(Ledger.open(config.state_dir / "ledger.db")) as ledger,
        closing(Vault.open(config.state_dir / "vault.db", {name: key})) as vault,
    ):
        vault.prove(name, key)
        found = look(old, project, vault, file)
        if found.problems:
            return found
        if not any(found.new.values()):
            raise CoatcheckError("there is nothing new in this map", "the vault has all of it already")
        vault.take_over(name, found.new, who=who, reason=reason, now=utc())
        anchor(vault, ledger)
    return found
