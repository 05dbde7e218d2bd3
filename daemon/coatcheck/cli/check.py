"""``coatcheck check``."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.cli.common import config_option, config_path, credentials, json_option, print_json


@click.command(short_help="Say all that is wrong with configuration, folders and keys.")
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, config_file: Path | None) -> None:
    """Read the configuration and touch every folder and key that it names.

    Prints all problems at once as `file:line: key: what: what to do`, and ends with 78 if there is one. Notes, which
    keep nothing from running, are printed to stderr. Where a systemd unit runs the service with this configuration,
    what it does not allow is a problem too, and the lines that its drop-in should have are printed last. Run it as
    root then, which can see with the eyes of the unit's user.

    \b
    Example:
      coatcheck check --config /etc/coatcheck/coatcheck.yaml
    """
    from coatcheck.check import check
    from coatcheck.check_cluster import check_cluster
    from coatcheck.check_unit import Findings, look
    from coatcheck.config import ConfigError, Problem, load
    from coatcheck.installed_unit import find_installed
    from coatcheck.problems import in_reading_order

    path = config_path(config_file)
    found: list[Problem]
    unit = Findings()
    try:
        config, installed = load(path), find_installed(path)
        unit = look(config, installed) if installed is not None else unit
        touched = [*check(config, credentials(), installed), *check_cluster(config)]
        found = list(in_reading_order([*touched, *unit.problems]))
    except ConfigError as error:
        found = list(error.problems)
    problems = [problem for problem in found if problem.level == "problem"]
    if as_json:
        said = [problem.as_json() for problem in found]
        print_json({"version": 1, "config": str(path), "problems": said, "drop_in": unit.drop_in})
    else:
        for problem in found:
            click.echo(f"{'note: ' if problem.level == 'note' else ''}{problem}", err=problem.level == "note")
        if unit.drop_in:
            click.echo(f"\n{unit.drop_in}")
        click.echo("all is well" if not problems else f"{len(problems)} to mend", err=True)
    ctx.exit(78 if problems else 0)
