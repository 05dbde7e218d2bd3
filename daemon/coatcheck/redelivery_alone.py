"""The same as the service does for a request, where no service runs: the command itself is the one writer then."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from coatcheck.audit_trail import anchor
from coatcheck.bench import Bench
from coatcheck.config import Config, Project
from coatcheck.custody import project_key
from coatcheck.delivery.presence import Presence
from coatcheck.errors import CoatcheckError
from coatcheck.job import StudyJob
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger
from coatcheck.pool import Pool
from coatcheck.profile_file import profile_of
from coatcheck.redelivery import Reprocess
from coatcheck.returns_alone import refuse_strangers
from coatcheck.service_lock import hold_lock
from coatcheck.vault import Vault


def reprocess_alone(
    config: Config,
    project: Project,
    ticket: str,
    *,
    who: str,
    credentials: Path | None,
    utc: Callable[[], str],
) -> dict[str, Any]:
    """Delivers a Study anew by the profile of ``project``; gives what came of it.

    Raises CoatcheckError, also where a service runs.
    """
    refuse_strangers(config.state_dir)
    key = project_key(config, project.name, credentials)
    with (
        hold_lock(config.state_dir),
        closing(Ledger.open(config.state_dir / "ledger.db")) as ledger,
        closing(Vault.open(config.state_dir / "vault.db", {project.name: key})) as vault,
    ):
        vault.prove(project.name, key)
        pool = Pool("inline", 1, lambda: None)
        bench = Bench(
            project=project,
            key=key,
            profile=profile_of(project, config.path.parent),
            ledger=ledger,
            vault=vault,
            pool=Lane(pool),
            utc=utc,
        )
        if any(row.ticket == ticket for row in ledger.unfinished(project.name)):
            raise CoatcheckError("work on this study was interrupted", "run the service once: it finishes that first")
        try:
            Presence(project.outbox).check()
            return _carried_out(bench, pool, ticket, who)
        finally:
            anchor(vault, ledger)


def _carried_out(bench: Bench, pool: Pool, ticket: str, who: str) -> dict[str, Any]:
    jobs: list[StudyJob] = []
    work = Reprocess(bench, bench.profile, ticket, who, is_busy=lambda _: False, begin=jobs.append)
    try:
        while not work.step():
            for job in jobs:
                job.step()
            pool.collect()
    except OSError as error:
        for job in jobs:
            job.give_up()
        what = f"the study cannot be delivered anew now ({error.strerror or type(error).__name__})"
        raise CoatcheckError(what, "mend that, and run this again") from None
    return work.answer()
