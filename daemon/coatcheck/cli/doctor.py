"""``coatcheck doctor``."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import click

from coatcheck.cli.common import config_option, credentials, find_project, json_option, print_json, read_config


@click.command(short_help="Look whether all is as it should be; mend what is safe.")
@click.option("--project", "projects", metavar="NAME", multiple=True, help="Only this project; may be given again.")
@click.option("--only-look", is_flag=True, help="Change nothing, also where no service runs.")
@click.option("--thorough", is_flag=True, help="Look at everything, and not at a part of what there is much of.")
@json_option
@config_option
@click.pass_context
def command(
    ctx: click.Context,
    projects: tuple[str, ...],
    only_look: bool,
    thorough: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Look whether all that lies here is as it should be: records, results, originals, keys and rights.

    Works at any time, beside a running service too. Where none runs, what is safe to mend is mended: rights that are
    too wide, and what a crash left half made. Never touches an original or a result. Ends with 1 if a problem remains.

    \b
    Example:
      coatcheck doctor
      coatcheck doctor --project lung-trial --thorough --json
    """
    from coatcheck.doctor import Finding, Level, examine
    from coatcheck.doctor.visit import Settings
    from coatcheck.service_lock import service_pid

    config = read_config(config_file)
    chosen = {name: find_project(config, name) for name in projects} or dict(config.projects)
    now = datetime.now(UTC)
    settings = Settings(
        config=config,
        projects=chosen,
        credentials=credentials(),
        now=now,
        clock=time.monotonic,
        thorough=thorough,
    )
    found: list[Finding] = []
    for finding in examine(settings, mend=not only_look):
        found.append(finding)
        if not as_json:
            click.echo(str(finding))
    problems = sum(finding.level is Level.PROBLEM for finding in found)
    if as_json:
        running = service_pid(config.state_dir) is not None
        findings = [finding.as_json() for finding in found]
        print_json({"version": 1, "running": running, "problems": problems, "findings": findings})
    else:
        noun = "problem is" if problems == 1 else "problems are"
        click.echo("all is well" if not problems else f"{problems} {noun} left", err=True)
    ctx.exit(1 if problems else 0)
