"""``coatcheck status``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from coatcheck.cli.common import config_option, json_option, print_json, print_table, read_config


@click.command()
@json_option
@config_option
def command(as_json: bool, config_file: Path | None) -> None:
    """How things stand: each project's inbox, studies on their way, what was delivered and what is in quarantine.

    Needs no running service: it then shows what the ledger counted.

    \b
    Example:
      coatcheck status
      coatcheck status --json
    """
    from coatcheck.status import HEAD, details, read_status, service_line, silence, table_row

    config = read_config(config_file)
    report = read_status(config.state_dir, config.projects, datetime.now(UTC))
    if as_json:
        print_json(report.as_json())
        return
    click.echo(service_line(report.service))
    for line in silence(config.state_dir, report):
        click.echo(line)
    for problem in report.service.reload_problems:
        click.echo(f"The new configuration was refused: {problem}")
    for fault in report.faults:
        click.echo(f"FAULT since {fault.at}: {fault.what}: {fault.hint}")
    print_table(HEAD, [table_row(name, project) for name, project in report.projects.items()])
    for name, project in report.projects.items():
        for line in details(name, project):
            click.echo(line)
