"""``coatcheck audit``: what people asked for, told to those who answer for it."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from coatcheck.cli.common import (
    anchor_audit,
    config_option,
    credentials,
    find_project,
    project_option,
    read_config,
    who,
)
from coatcheck.cli.report import save
from coatcheck.errors import CoatcheckError
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.keys import ProjectKey
    from coatcheck.reports.audit import Period
    from coatcheck.reports.audit_page import AuditReport

FORMATS: Final = ("text", "html", "csv", "json")
_DAY: Final = click.DateTime(["%Y-%m-%d"])


@click.group()
def command() -> None:
    """What people asked of the vault, and what was delivered.

    \b
    Example:
      coatcheck audit report --from 2026-01-01 --to 2026-03-31
    """


@command.command(short_help="Who looked up what and why; whether the audit is whole.")
@click.option("--from", "first", metavar="DAY", type=_DAY, required=True, help="The first day, such as 2026-01-01.")
@click.option("--to", "last", metavar="DAY", type=_DAY, required=True, help="The last day, included.")
@project_option(required=False)
@click.option("--without-reasons", is_flag=True, help="Leave out what people wrote: it may name somebody.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="By the ending of --output, else text.")
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@config_option
@click.pass_context
def report(
    ctx: click.Context,
    first: datetime,
    last: datetime,
    project: str | None,
    without_reasons: bool,
    form: str | None,
    output: Path | None,
    config_file: Path | None,
) -> None:
    """Who looked up what in a period, and why; what was delivered under which profile; and whether the audit is whole.

    Days are of UTC. Subjects and tickets stand in it, no originals. An audit row says that you made it. Ends with 1 if
    the audit's chain is broken.

    \b
    Example:
      coatcheck audit report --from 2026-01-01 --to 2026-03-31 --output quarter.html
    """
    if last < first:
        raise click.BadParameter("it is before --from", param_hint="'--to'")
    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    found = _report(config, project, _period(first, last), without_reasons)
    endings = {".html": "html", ".htm": "html", ".csv": "csv", ".json": "json"}
    save(_told(found, form or endings.get(output.suffix.lower() if output else "", "text")), output)
    if found.integrity.faults:
        click.echo("coatcheck: the audit in vault.db is broken: run `coatcheck doctor`", err=True)
        ctx.exit(1)


def _period(first: datetime, last: datetime) -> Period:
    from coatcheck.reports.audit import Period

    after = last + timedelta(days=1)
    return Period(first=f"{first:%Y-%m-%d}", last=f"{last:%Y-%m-%d}", before=f"{after:%Y-%m-%d}")


def _told(report: AuditReport, form: str) -> str:
    from coatcheck.reports.document import as_html, as_text

    if form == "json":
        return json.dumps(report.as_json(), indent=2) + "\n"
    if form == "csv":
        return report.as_csv()
    return (as_html if form == "html" else as_text)(report.document())


def _report(config: Config, project: str | None, period: Period, silent: bool) -> AuditReport:
    """Gathers the report from both databases, after the audit row that tells of it."""
    from coatcheck import __version__
    from coatcheck.ledger import LedgerReader
    from coatcheck.reports import audit
    from coatcheck.reports.audit_page import AuditReport, without_reasons
    from coatcheck.vault.inspect import VaultInspection

    names = [project] if project else list(config.projects)
    ledger = config.state_dir / "ledger.db"
    with closing(LedgerReader.open(ledger)) as records:
        anchor = records.audit_anchor()
    keys = _keys(config, names)
    with closing(VaultInspection.open(config.state_dir / "vault.db", keys, readonly=True)) as vault:
        integrity = audit.integrity(vault, anchor)
        asked = audit.asked(vault, ledger, names, period)
        gone = {name: at for name, at in vault.destroyed_projects().items() if name in names}
    _leave_a_row(config, names)
    return AuditReport(
        period=period,
        projects=names,
        asked=without_reasons(asked) if silent else asked,
        deliveries=audit.deliveries(ledger, period, project),
        set_aside=audit.set_aside(ledger, period, project),
        integrity=integrity,
        destroyed=gone,
        version=__version__,
        made=utc_now()[:19].replace("T", " ") + " UTC",
    )


def _keys(config: Config, names: list[str]) -> dict[str, ProjectKey]:
    """The keys that are at hand; what another one sealed stays sealed."""
    from coatcheck.custody import project_key

    keys = {}
    for name in names:
        try:
            keys[name] = project_key(config, name, credentials())
        except CoatcheckError as error:
            click.echo(f"coatcheck: what was said in {name} stays sealed: {error.what}", err=True)
    return keys


def _leave_a_row(config: Config, names: list[str]) -> None:
    """A row for each project. It seals nothing, so it needs no key."""
    from coatcheck.reports.audit import REPORTED
    from coatcheck.vault import Vault

    with closing(Vault.open(config.state_dir / "vault.db", {}, look_through=False)) as vault:
        for name in names:
            vault.audit(name, who=who(), action=REPORTED, now=utc_now())
        anchor_audit(config, vault)
