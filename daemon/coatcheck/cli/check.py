"""``coatcheck check``."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.cli.common import config_option, config_path, credentials, json_option, print_json


@click.command()
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, as_json: bool, config_file: Path | None) -> None:
    """Read the configuration and touch every folder and key that it names.

    Prints all problems at once as `file:line: key: what: what to do`, and ends with 78 if there is one. Notes, which
    keep nothing from running, are printed to stderr.

    \b
    Example:
      coatcheck check --config /etc/coatcheck/coatcheck.yaml
    """
    from coatcheck.check import check
    from coatcheck.config import ConfigError, Problem, load

    path = config_path(config_file)
    found: list[Problem]
    try:
        found = check(load(path), credentials())
    except ConfigError as error:
        found = list(error.problems)
    problems = [problem for problem in found if problem.level == "problem"]
    if as_json:
        print_json({"version": 1, "config": str(path), "problems": [problem.as_json() for problem in found]})
    else:
        for problem in found:
            click.echo(f"{'note: ' if problem.level == 'note' else ''}{problem}", err=problem.level == "note")
        click.echo("all is well" if not problems else f"{len(problems)} to mend", err=True)
    ctx.exit(78 if problems else 0)
