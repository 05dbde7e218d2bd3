"""``coatcheck quarantine``: what was set aside and why, given back to the inbox or thrown away."""

from __future__ import annotations

import re
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import (
    config_option,
    json_option,
    print_json,
    print_table,
    project_option,
    read_config,
)
from coatcheck.cli.leaving import (
    age_option,
    carry_out,
    chosen,
    open_ledger,
    reason_option,
    report,
    selection,
    study_option,
    wanted,
)
from coatcheck.errors import CoatcheckError
from coatcheck.reasons import EXPLANATIONS, Reason

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.ledger import RefusalRow

HEAD: Final = ("ID", "AT", "PROJECT", "REASON", "FILES", "STUDY", "STATE", "DETAIL")
_SHOWN: Final = ("id", "project", "at", "state", "reason", "what", "do", "detail", "files", "ticket", "path")
_TAG: Final = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)")
_NUMBER_DIGITS: Final = 9  # a ticket has ten characters, and they may all be digits


@click.group()
def command() -> None:
    """What was set aside, and why.

    \b
    Example:
      coatcheck quarantine list --project lung-trial
      coatcheck quarantine show 17
      coatcheck quarantine retry --project lung-trial --reason lookup-miss
    """


@command.command("list")
@project_option(required=False)
@reason_option
@study_option
@age_option
@json_option
@config_option
def list_refusals(
    project: str | None,
    reason: str | None,
    study: str | None,
    older_than: float | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Everything that lies in quarantine, oldest first.

    \b
    Example:
      coatcheck quarantine list --reason truncated --json
      coatcheck quarantine list --project lung-trial --older-than 30d
    """
    config = read_config(config_file)
    refusals = wanted(config, project=project, reason=reason, study=study, older_than=older_than)
    if as_json:
        print_json({"version": 1, "refusals": [_described(config, refusal) for refusal in refusals]})
        return
    print_table(HEAD, [_row(refusal) for refusal in refusals])


@command.command(short_help="What happened, what to do, and where the files lie.")
@click.argument("which", metavar="[ID|TICKET]", default="")
@project_option(required=False)
@reason_option
@age_option
@json_option
@config_option
def show(
    which: str,
    project: str | None,
    reason: str | None,
    older_than: float | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """One thing in quarantine, or all of a study, of a reason or an age: what happened, what to do, where files lie.

    \b
    Example:
      coatcheck quarantine show 17
      coatcheck quarantine show 28WKZNPX40
      coatcheck quarantine show --project lung-trial --reason pixel-risk --older-than 30d
    """
    one = which.isascii() and which.isdigit() and len(which) <= _NUMBER_DIGITS
    if which and not one and len(which) != len("28WKZNPX40"):
        raise click.BadParameter("it is neither a number nor a study's ticket", param_hint="'ID|TICKET'")
    if bool(which) == bool(project or reason or older_than is not None):
        raise click.UsageError("name an ID or a TICKET, or --project, --reason or --older-than, and not both")
    config = read_config(config_file)
    if which:
        found = _named(config, which, one)
    else:
        found = wanted(config, project=project, reason=reason, study=None, older_than=older_than)
    described = [_described(config, refusal) for refusal in found]
    if as_json:
        print_json({"version": 1} | described[0] if one else {"version": 1, "refusals": described})
        return
    for place, refusal in enumerate(described):
        if place:
            click.echo()
        for key in _SHOWN:
            if refusal[key] not in ("", None):
                text = _with_keyword(refusal[key]) if key == "detail" else refusal[key]
                click.echo(f"{key + ':':9}{text}")


@command.command(short_help="Give originals back to the inbox, to be taken in anew.")
@selection
@json_option
@config_option
@click.pass_context
def retry(
    ctx: click.Context,
    numbers: tuple[int, ...],
    project: str | None,
    reason: str | None,
    study: str | None,
    older_than: float | None,
    everything: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Give originals back to the inbox under the path they were dropped with, to be taken in anew.

    Name them by their numbers, or by --project with --reason, --study, --older-than or --all. Nothing is written over.
    A running service does the work; where none runs, this command does it, and the next run takes the files in.

    \b
    Example:
      coatcheck quarantine retry 17
      coatcheck quarantine retry --project lung-trial --reason lookup-miss
    """
    config, refusals = chosen(numbers, project, reason, study, older_than, everything, config_file)
    results = carry_out(config, "retry", refusals)
    ctx.exit(report(results, "given back to the inbox", as_json=as_json))


@command.command()
@selection
@click.option("--yes", is_flag=True, help="Do not ask. Required where there is no terminal to ask on.")
@json_option
@config_option
@click.pass_context
def drop(
    ctx: click.Context,
    numbers: tuple[int, ...],
    project: str | None,
    reason: str | None,
    study: str | None,
    older_than: float | None,
    everything: bool,
    yes: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Delete originals in quarantine for good, after a question. The records keep that, and by whom.

    Name them as for `retry`.

    \b
    Example:
      coatcheck quarantine drop --project lung-trial --reason not-dicom --older-than 30d --yes
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: write --yes to delete without a question")
    config, refusals = chosen(numbers, project, reason, study, older_than, everything, config_file)
    files = sum(refusal.files for refusal in refusals)
    question = f"Delete {files} originals? They may be the only copies."
    if refusals and not yes and not click.confirm(question, err=True):
        click.echo("nothing was deleted", err=True)
        ctx.exit(1)
    results = carry_out(config, "drop", refusals)
    ctx.exit(report(results, "deleted", as_json=as_json))


def _named(config: Config, which: str, one: bool) -> list[RefusalRow]:
    """What has this number or ticket, in any state. Raises CoatcheckError where nothing has."""
    with closing(open_ledger(config)) as ledger:
        alone = ledger.refusal(int(which)) if one else None
        found = ledger.refusals(ticket=which.upper()) if not one else [alone] if alone else []
    if not found:
        thing = f"the number {which}" if one else f"the ticket {which}"
        raise CoatcheckError(f"nothing in quarantine has {thing}", "see `coatcheck quarantine list`")
    return found


def _with_keyword(detail: str) -> str:
    """A detail that is nothing but the tag of one Attribute of PS3.6, with its keyword; any other as it is."""
    from pydicom.datadict import keyword_for_tag

    found = _TAG.fullmatch(detail)
    keyword = keyword_for_tag(int("".join(found.groups()), 16)) if found else ""
    return f"{detail} {keyword}".rstrip()


def _row(refusal: RefusalRow) -> tuple[object, ...]:
    study = refusal.ticket or "-"
    return refusal.id, refusal.at, refusal.project, refusal.reason, refusal.files, study, refusal.state, refusal.detail


def _described(config: Config, refusal: RefusalRow) -> dict[str, Any]:
    """A refusal with its explanation, and the folder that its files lie in."""
    explanation = EXPLANATIONS[Reason(refusal.reason)]
    project = config.projects.get(refusal.project)
    path = str(project.quarantine / refusal.folder) if project else None
    return asdict(refusal) | {"what": explanation.what, "do": explanation.do, "path": path}
