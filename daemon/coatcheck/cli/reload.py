"""``coatcheck reload``."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.cli.common import config_option, read_config


@click.command(short_help="Make the running service read its configuration again.")
@config_option
@click.pass_context
def command(ctx: click.Context, config_file: Path | None) -> None:
    """Make the running service read its configuration again, and wait until it has.

    A configuration with problems is refused: they are printed, the service goes on with the one it has, and this ends
    with 78.

    \b
    Example:
      coatcheck reload --config /etc/coatcheck/coatcheck.yaml
    """
    from coatcheck.service_lock import reload

    problems = reload(read_config(config_file).state_dir)
    for problem in problems:
        click.echo(f"coatcheck: {problem}", err=True)
    if problems:
        click.echo("coatcheck: the service goes on with the configuration it has", err=True)
        ctx.exit(78)
    click.echo("the service has read its configuration again", err=True)
