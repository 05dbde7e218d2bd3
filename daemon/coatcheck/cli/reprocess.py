"""``coatcheck reprocess``: a Study delivered anew out of the archive."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import (
    config_option,
    credentials,
    find_project,
    json_option,
    print_json,
    project_option,
    read_config,
    who,
)
from coatcheck.cli.leaving import open_ledger
from coatcheck.errors import CoatcheckError
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.ledger import StudyRow

_PATIENCE: Final = 24 * 3600.0  # seconds; a study may be large, and others may be before it


@click.command(short_help="Deliver a study anew from its originals in the archive.")
@click.argument("name", metavar="STUDY")
@click.option("--profile", metavar="NAME|FILE", help="By this profile; else by the project's own.")
@project_option(required=False)
@json_option
@config_option
@click.pass_context
def command(
    ctx: click.Context, name: str, profile: str | None, project: str | None, as_json: bool, config_file: Path | None
) -> None:
    """Deliver a study anew, from its originals in the archive, as the next numbered delivery.

    STUDY is its ticket, its new Study Instance UID, or its folder in the outbox. It comes out whole under the
    identifiers that it has, or not at all; the originals stay in the archive. A running service does the work; where
    none runs, this command does it. A path of a profile counts from the configuration's folder.

    \b
    Example:
      coatcheck reprocess 28WKZNPX40 --profile basic
      coatcheck reprocess 28WKZNPX40 --project lung-trial --json
    """
    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    study = _one(config, name, project)
    result = _carried_out(config, study, profile)
    if as_json:
        print_json({"version": 1, **result})
    elif not result["problem"]:
        where = find_project(config, study.project).outbox / result["folder"]
        click.echo(f"{result['instances']} instances were delivered by the profile {result['profile']}: {where}")
    if result["problem"]:
        click.echo(f"coatcheck: {study.ticket}: nothing was delivered: {result['problem']}", err=True)
        ctx.exit(1)


def _one(config: Config, name: str, project: str | None) -> StudyRow:
    from coatcheck.story import find

    with closing(open_ledger(config)) as ledger:
        found = find(ledger, name, project)
    if not found:
        hint = "give its ticket, its new Study Instance UID, or its folder in the outbox"
        raise CoatcheckError("the ledger knows no such study", hint)
    if len(found) > 1:
        raise CoatcheckError("there is more than one study like that", "name one by --project, or by its ticket")
    return found[0]


def _carried_out(config: Config, study: StudyRow, profile: str | None) -> dict[str, Any]:
    from coatcheck.profile_file import profile_of
    from coatcheck.redelivery_alone import reprocess_alone
    from coatcheck.service_lock import service_pid

    project = find_project(config, study.project)
    project = project.model_copy(update={"profile": profile or project.profile})
    profile_of(project, config.path.parent)  # what is wrong with it is said here
    if service_pid(config.state_dir) is not None:
        answer = _asked(config, study, project.profile)
        if answer is not None:
            return answer
    return reprocess_alone(config, project, study.ticket, who=who(), credentials=credentials(), utc=utc_now)


def _asked(config: Config, study: StudyRow, profile: str) -> dict[str, Any] | None:
    """What the service answers; None where it ended first."""
    from coatcheck.request_box import ask

    request = {"action": "reprocess", "project": study.project, "ticket": study.ticket, "profile": profile}
    answer = ask(config.state_dir, request | {"who": who()}, timeout=_PATIENCE)
    if answer is not None and answer.get("fault"):
        raise CoatcheckError(f"it is not done yet: {answer['fault']}", "see `coatcheck logs` for what comes of it")
    return {key: value for key, value in answer.items() if key not in ("version", "fault")} if answer else None
