"""The same as the service does for a request, where no service runs: the command itself is the one writer then."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from coatcheck.audit_trail import anchor
from coatcheck.config import Config, Project
from coatcheck.custody import project_key
from coatcheck.errors import CoatcheckError
from coatcheck.fates import Fate
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger
from coatcheck.pool import Pool
from coatcheck.returns import Desk, Resume, Returned, Returns
from coatcheck.service_lock import hold_lock
from coatcheck.vault import Vault


def carry_out_alone(
    config: Config,
    project: Project,
    action: Fate,
    refusals: Sequence[int],
    *,
    who: str,
    credentials: Path | None,
    utc: Callable[[], str],
) -> list[Returned]:
    """Gives files of the quarantine back, or throws them away. Raises CoatcheckError, also where a service runs."""
    refuse_strangers(config.state_dir)
    key = project_key(config, project.name, credentials)
    with (
        hold_lock(config.state_dir),
        closing(Ledger.open(config.state_dir / "ledger.db")) as ledger,
        closing(Vault.open(config.state_dir / "vault.db", {project.name: key})) as vault,
    ):
        vault.prove(project.name, key)
        pool = Pool("inline", 1, lambda: None)
        desk = Desk(project=project, ledger=ledger, vault=vault, pool=Lane(pool), utc=utc)
        work = Returns(desk, action, refusals, who)
        try:
            for part in (Resume(desk), work):
                while not part.step():
                    pool.collect()
        except OSError as error:
            hint = "mend that; what was begun is carried on by the next such command, or when the service starts"
            raise CoatcheckError(
                f"the files cannot be moved ({error.strerror or type(error).__name__})", hint
            ) from None
        finally:
            anchor(vault, ledger)
        return work.results


def refuse_strangers(state_dir: Path) -> None:
    """Raises CoatcheckError for another user: what that one makes, be it a folder, the service could not use."""
    try:
        owner = os.stat(state_dir).st_uid
    except OSError as error:
        hint = "run this as the service's user"
        raise CoatcheckError(f"{state_dir} cannot be looked at ({error.strerror})", hint) from None
    if owner == os.geteuid():
        return
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = f"#{owner}"
    raise CoatcheckError(f"{state_dir} belongs to another user", f"run this as `sudo -u {name} coatcheck …`")
