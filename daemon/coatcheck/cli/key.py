"""``coatcheck key``: the beginning, the change and the end of a project's key."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coatcheck.cli.common import (
    config_option,
    find_project,
    json_option,
    print_json,
    project_option,
    read_config,
    who,
)
from coatcheck.errors import CoatcheckError
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config


@click.group(short_help="Make, rotate or destroy the key of a project.")
def command() -> None:
    """The key of a project: everything that can be traced back hangs on it.

    \b
    Example:
      coatcheck key new --project lung-trial
      coatcheck key rotate --project lung-trial
      coatcheck key destroy --project lung-trial
    """


@command.command(short_help="Make the key of a project that has none yet.")
@project_option(required=True)
@config_option
def new(project: str, config_file: Path | None) -> None:
    """Make the key of a project that has none yet, readable for its owner alone. Nothing is overwritten.

    A project that ran before gets none: with another key each of its patients would get a second identity. Restore the
    lost one from your copy.

    \b
    Example:
      coatcheck key new --project lung-trial
    """
    from secrets import token_bytes

    from coatcheck.custody import make_key

    config = read_config(config_file)
    find_project(config, project)
    click.echo(f"made the key {make_key(config, project, token_bytes)}: keep a copy of it in a safe place")


@command.command(short_help="Seal the vault with a new key; pseudonyms stay.")
@project_option(required=True)
@config_option
def rotate(project: str, config_file: Path | None) -> None:
    """Seal the vault with a new sealing key, and take the old one out of the key file. Pseudonyms stay.

    The project goes on meanwhile; a running service does the work. What is cut off is carried on by the next start, or
    by this command. The copy of the old key file no longer opens the vault: keep a new one, and the old one only as
    long as backups of the old vault. Whoever has the old file can still compute pseudonyms: this cures no leak.

    Where systemd hands the key over (LoadCredential), stop the service, run this as root with the key itself at
    KEY_DIR/NAME.key, hand the new file over, and start the service.

    \b
    Example:
      coatcheck key rotate --project lung-trial
    """
    from coatcheck.keys import key_path
    from coatcheck.service_lock import service_pid

    config = read_config(config_file)
    find_project(config, project)
    done = _asked(config, project) if service_pid(config.state_dir) is not None else None
    if done is None:
        _rotate_alone(config, project)
    path = key_path(config.key_dir, project, None)
    if done is False:
        click.echo("the vault is being sealed anew; the service goes on with it, and says in its log when it is done")
    else:
        click.echo(f"the vault of {project} is sealed with the new key alone")
    click.echo(f"keep a new copy of {path} in a safe place: the old copy does not open the vault any more", err=True)


@command.command(short_help="Make all that was delivered anonymous for ever.")
@project_option(required=True)
@click.option("--yes", metavar="NAME", help="The project's name once more: only then is anything destroyed.")
@json_option
@config_option
@click.pass_context
def destroy(ctx: click.Context, project: str, yes: str | None, as_json: bool, config_file: Path | None) -> None:
    """Destroy a project's key, so that what it delivered is anonymised for ever.

    Without --yes NAME, or the name typed on a terminal, this says what would become unreadable and what still names
    patients, and changes nothing. No service may run. An audit row stays, and repeating it does no harm.

    \b
    Example:
      coatcheck key destroy --project lung-trial
      coatcheck key destroy --project lung-trial --yes lung-trial
    """
    from coatcheck.destruction import destroy as carry_out
    from coatcheck.destruction import outlook, refuse_running

    config = read_config(config_file)
    find_project(config, project)
    if yes not in (None, project):
        raise click.BadParameter(f"it must be the project's name, `{project}`", param_hint="'--yes'")
    found = outlook(config, project)
    if not as_json or yes is None:
        _show(found.destroyed, found.lines(), project, as_json=as_json)
    if yes is None and sys.stdin.isatty() and not as_json:
        refuse_running(config)
        yes = click.prompt(f"Type {project} to destroy its key", default="", show_default=False, err=True)
        if yes != project:
            click.echo("nothing was destroyed", err=True)
            ctx.exit(1)
    if yes is None:
        click.echo(f"nothing was destroyed: --yes {project} does it", err=True)
        return
    at = carry_out(config, project, who(), utc_now)
    if as_json:
        print_json({"version": 1, "project": project, "destroyed": at})
    else:
        click.echo(f"the key of {project} is destroyed, as recorded on {at}: what it delivered is anonymised")


def _show(destroyed: str | None, lines: list[str], project: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"version": 1, "project": project, "destroyed": destroyed, "outlook": lines})
        return
    if destroyed is not None:
        click.echo(f"the key of {project} was destroyed on {destroyed}")
    for line in lines:
        click.echo(f"- {line}")


def _asked(config: Config, project: str) -> bool | None:
    """Whether the service has done it, or goes on with it; None where it ended first."""
    from coatcheck.request_box import ask
    from coatcheck.rotation import ROTATE

    answer = ask(config.state_dir, {"action": ROTATE, "project": project, "who": who()})
    if answer is None:
        return None
    if answer.get("fault"):
        raise CoatcheckError(f"it is not done: {answer['fault']}")
    return bool(answer.get("done"))


def _rotate_alone(config: Config, project: str) -> None:
    from secrets import token_bytes

    from coatcheck.rotation import Means, rotate_alone

    rotate_alone(config, project, who(), Means(utc=utc_now, randomness=token_bytes))
