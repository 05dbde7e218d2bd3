"""``coatcheck mapping``: what the vault knows, for those who hold the key."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Final

import click

from coatcheck.cli.common import (
    anchor_audit,
    config_option,
    credentials,
    find_project,
    json_option,
    project_option,
    read_config,
    who,
)
from coatcheck.cli.mapping_import import import_map
from coatcheck.units import utc_now

HEADS: Final = {
    "uid": ("id_old", "id_new"),
    "patient": ("id_old", "id_new"),
    "date_shift": ("study_uid_old", "days"),
    "patient_shift": ("id_old", "days"),
}


@click.group()
def command() -> None:
    """Original identifiers and their replacements.

    \b
    Example:
      coatcheck mapping export --project lung-trial --kind patient > patients.csv
    """


command.add_command(import_map)


@command.command()
@project_option(required=True)
@click.option("--kind", required=True, type=click.Choice(list(HEADS)), help="What was replaced.")
@click.option("--reason", default=None, help="Why you need it; it is kept in the audit. Asked for on a terminal.")
@click.option("--format", "form", type=click.Choice(("csv", "json")), default="csv", show_default=True, help="As what.")
@json_option
@config_option
def export(project: str, kind: str, reason: str | None, form: str, as_json: bool, config_file: Path | None) -> None:
    """Print every original and its replacement as CSV, or as JSON. An audit row says that you did.

    The CSV's header is `id_old,id_new`; for date_shift it is `study_uid_old,days`. Values are printed as they are:
    import them as text, because a spreadsheet takes some of them for formulas. patient_shift is what `mapping import`
    took over: the shifts that hold for all Studies of a patient.

    \b
    Example:
      coatcheck mapping export --project lung-trial --kind uid > uids.csv
    """
    from coatcheck.custody import open_vault
    from coatcheck.vault import Kind, Vault

    config = read_config(config_file)
    find_project(config, project)
    if reason is None and sys.stdin.isatty():
        reason = click.prompt("Why do you need it?", err=True, default="", show_default=False)
    key, writer = open_vault(config, project, credentials())
    with closing(writer):
        action = f"mapping export {kind}"
        writer.audit(project, who=who(), action=action, subject=None, reason=reason or None, now=utc_now())
        anchor_audit(config, writer)
    vault = Vault.open(config.state_dir / "vault.db", {project: key}, readonly=True)
    with closing(vault):
        _write(vault.export(project, Kind(kind)), HEADS[kind], as_json=as_json or form == "json")


def _write(pairs: Iterable[tuple[str, str]], head: tuple[str, str], *, as_json: bool) -> None:
    if not as_json:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(pairs)
        return
    sys.stdout.write("[")
    for number, pair in enumerate(pairs):
        sys.stdout.write(",\n " if number else "\n ")
        sys.stdout.write(json.dumps(dict(zip(head, pair, strict=True))))
    sys.stdout.write("\n]\n")
