"""``coatcheck init``."""

from __future__ import annotations

import os
from pathlib import Path

import click

from coatcheck.cli.common import config_option, given_config


@click.command(short_help="Make a configuration, keys and the projects' folders.")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--project", "projects", metavar="NAME", multiple=True, help="A project to make; may be given often.")
@config_option
def command(directory: Path | None, projects: tuple[str, ...], config_file: Path | None) -> None:
    """Make a configuration, a key for each project, and the projects' folders.

    All of it goes below DIR, by default the folder of the configuration. Nothing is overwritten: run it again to add
    a project, or to make what is missing. Without --project a new configuration gets a project called `default`. The
    key of a project is made when the project is new, or named.

    \b
    Example:
      coatcheck init /srv/coatcheck --project lung-trial --project heart-trial
    """
    import secrets

    from coatcheck.scaffold import init

    file = given_config(config_file)
    if file is None and directory is None and os.environ.get("COATCHECK_CONFIG"):
        file = Path(os.environ["COATCHECK_CONFIG"])
    folder = directory or (file.parent if file else Path())
    made = init(folder, projects, secrets.token_bytes, file)
    for action in made.actions or ["everything is there already"]:
        click.echo(action)
    click.echo(f"next: look through {made.config}, then run `coatcheck check --config {made.config}`", err=True)
