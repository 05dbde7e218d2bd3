"""``coatcheck quarantine``: what was set aside, and why."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coatcheck.cli.common import (
    config_option,
    find_project,
    json_option,
    print_json,
    print_table,
    project_option,
    read_config,
)
from coatcheck.errors import CoatcheckError
from coatcheck.reasons import EXPLANATIONS, Reason

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.ledger import LedgerReader, RefusalRow

_THERE = ("planned", "quarantined")
HEAD = ("ID", "AT", "PROJECT", "REASON", "FILES", "STUDY", "STATE", "DETAIL")


@click.group()
def command() -> None:
    """What was set aside, and why.

    \b
    Example:
      coatcheck quarantine list --project lung-trial
      coatcheck quarantine show 17
    """


@command.command("list")
@project_option(required=False)
@click.option("--reason", type=click.Choice([str(reason) for reason in Reason]), help="Only with this reason.")
@json_option
@config_option
def list_refusals(project: str | None, reason: str | None, as_json: bool, config_file: Path | None) -> None:
    """Everything that lies in quarantine, oldest first.

    \b
    Example:
      coatcheck quarantine list --reason truncated --json
    """
    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    with closing(_ledger(config)) as ledger:
        refusals = [refusal for refusal in ledger.refusals(project, reason) if refusal.state in _THERE]
    if as_json:
        print_json({"version": 1, "refusals": [_described(config, refusal) for refusal in refusals]})
        return
    print_table(HEAD, [_row(refusal) for refusal in refusals])


@command.command()
@click.argument("refusal_id", metavar="ID", type=int)
@json_option
@config_option
def show(refusal_id: int, as_json: bool, config_file: Path | None) -> None:
    """One thing in quarantine: what happened, what to do, and where its files lie.

    \b
    Example:
      coatcheck quarantine show 17
    """
    config = read_config(config_file)
    with closing(_ledger(config)) as ledger:
        refusal = ledger.refusal(refusal_id)
    if refusal is None:
        raise CoatcheckError(f"nothing in quarantine has the number {refusal_id}", "see `coatcheck quarantine list`")
    described = _described(config, refusal)
    if as_json:
        print_json({"version": 1} | described)
        return
    for key in ("id", "project", "at", "state", "reason", "what", "do", "detail", "files", "ticket", "path"):
        if described[key] not in ("", None):
            click.echo(f"{key + ':':9}{described[key]}")


def _ledger(config: Config) -> LedgerReader:
    from coatcheck.ledger import LedgerReader

    return LedgerReader.open(config.state_dir / "ledger.db")


def _row(refusal: RefusalRow) -> tuple[object, ...]:
    study = refusal.ticket or "-"
    return refusal.id, refusal.at, refusal.project, refusal.reason, refusal.files, study, refusal.state, refusal.detail


def _described(config: Config, refusal: RefusalRow) -> dict[str, Any]:
    """A refusal with its explanation, and the folder that its files lie in."""
    explanation = EXPLANATIONS[Reason(refusal.reason)]
    project = config.projects.get(refusal.project)
    path = str(project.quarantine / refusal.folder) if project else None
    return asdict(refusal) | {"what": explanation.what, "do": explanation.do, "path": path}
