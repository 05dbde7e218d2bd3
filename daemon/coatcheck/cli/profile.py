"""``coatcheck profile``: what a profile does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coatcheck.cli.common import config_option, given_config, json_option, print_json, print_table


@click.group()
def command() -> None:
    """What a profile does.

    \b
    Example:
      coatcheck profile list
      coatcheck profile show research
    """


@command.command("list")
@json_option
@config_option
def list_profiles(as_json: bool, config_file: Path | None) -> None:
    """The profiles that ship with coatcheck.

    \b
    Example:
      coatcheck profile list --json
    """
    from coatcheck.deid.profile import built_in

    profiles = [_described(name, Path.cwd()) for name in built_in()]
    if as_json:
        print_json({"version": 1, "profiles": profiles})
    else:
        print_table(("NAME", "TITLE"), [(profile["name"], profile["title"]) for profile in profiles])


@command.command()
@click.argument("name")
@json_option
@config_option
def show(name: str, as_json: bool, config_file: Path | None) -> None:
    """One profile, by its name or by the path of its file; a relative path counts from the configuration's folder.

    \b
    Example:
      coatcheck profile show research --json
    """
    given = given_config(config_file)
    profile = _described(name, given.parent if given else Path.cwd())
    if as_json:
        print_json({"version": 1} | profile)
        return
    click.echo(f"{profile['name']}: {profile['title']}")
    click.echo(f"edition {profile['edition']} of PS3.15, digest {profile['digest']}")
    for method in profile["methods"]:
        click.echo(f"  {method['code']}  {method['meaning']}")


def _described(name: str, base: Path) -> dict[str, Any]:
    from coatcheck.deid.profile import load_profile
    from coatcheck.deid.standard import EDITION

    profile = load_profile(name, base)
    return {
        "name": profile.name,
        "title": profile.title,
        "edition": EDITION,
        "digest": profile.digest,
        "options": list(profile.options),
        "methods": [{"code": method.code, "meaning": method.meaning} for method in profile.methods],
    }
