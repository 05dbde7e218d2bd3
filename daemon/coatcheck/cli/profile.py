"""``coatcheck profile``: what a profile does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coatcheck.cli.common import (
    config_option,
    find_project,
    given_config,
    json_option,
    print_json,
    print_table,
    project_option,
    read_config,
)
from coatcheck.cli.drift import drift
from coatcheck.cli.explain import explain
from coatcheck.cli.profile_import import import_profile

if TYPE_CHECKING:
    from coatcheck.deid.profile import Profile


@click.group()
def command() -> None:
    """What a profile does, and why.

    \b
    Example:
      coatcheck profile list
      coatcheck profile show research
      coatcheck profile explain research StudyDescription
    """


command.add_command(explain)
command.add_command(drift)
command.add_command(import_profile)


@command.command("list")
@json_option
@config_option
def list_profiles(as_json: bool, config_file: Path | None) -> None:
    """The profiles that ship with coatcheck.

    \b
    Example:
      coatcheck profile list --json
    """
    from coatcheck.profile_file import built_in, load_profile

    profiles = [_described(load_profile(name, Path.cwd())) for name in built_in()]
    if as_json:
        print_json({"version": 1, "profiles": profiles})
    else:
        rows = [(one["name"], one["title"], " ".join(one["options"]) or "-") for one in profiles]
        print_table(("NAME", "TITLE", "OPTIONS"), rows)


@command.command(short_help="All that one profile says.")
@click.argument("name")
@project_option(required=False)
@json_option
@config_option
def show(name: str, project: str | None, as_json: bool, config_file: Path | None) -> None:
    """One profile, by its name or by the path of its file; a relative path counts from the configuration's folder.

    The variables of a --project count too, where rules write templates with them.

    \b
    Example:
      coatcheck profile show research
      coatcheck profile show profiles/trial.yaml --project lung-trial --json
    """
    profile, base = named_profile(name, project, config_file)
    described = _described(profile) | {"rules": _rules(profile, name, base)}
    if as_json:
        print_json({"version": 1} | described)
    else:
        _print(described)


@command.command(short_help="What is wrong with a profile, line by line.")
@click.argument("file")
@project_option(required=False)
@json_option
@config_option
@click.pass_context
def lint(ctx: click.Context, file: str, project: str | None, as_json: bool, config_file: Path | None) -> None:
    """What is wrong with a profile, and what is worth knowing of it, as `file:line: what: what to do`.

    It ends with 1 where there is a problem: such a profile never runs. Notes keep nothing from running; they are looked
    for once there is no problem left. The variables of a --project count too.

    \b
    Example:
      coatcheck profile lint profiles/trial.yaml
    """
    found = _findings(file, project, config_file)
    problems = [one for one in found if one["level"] == "problem"]
    if as_json:
        print_json({"version": 1, "findings": found})
    else:
        for one in found:
            mark = "note: " if one["level"] == "note" else ""
            click.echo(": ".join(filter(None, (f"{mark}{one['file']}:{one['line']}", one["what"], one["hint"]))))
        click.echo("all is well" if not problems else f"{len(problems)} to mend", err=True)
    ctx.exit(1 if problems else 0)


def named_profile(name: str, project: str | None, config_file: Path | None) -> tuple[Profile, Path]:
    """A profile, and the folder that its path counts from. Raises CoatcheckError."""
    from coatcheck.profile_file import load_profile

    given = given_config(config_file)
    base = given.parent if given else Path.cwd()
    variables = {}
    if project is not None:
        config = read_config(config_file)
        base, variables = config.path.parent, find_project(config, project).variables
    return load_profile(name, base, variables), base


def _findings(file: str, project: str | None, config_file: Path | None) -> list[dict[str, Any]]:
    """Problems, or notes where there are none, in the order of lines."""
    from coatcheck.deid import lint
    from coatcheck.problems import ConfigError

    path = Path(file)
    name = str(path.absolute()) if path.exists() else file
    try:
        profile, _ = named_profile(name, project, config_file)
    except ConfigError as error:
        return [
            {"file": one.file, "line": one.line, "level": one.level, "what": one.what, "hint": one.hint}
            for one in error.problems
        ]
    found = []
    for one in lint.lint(profile):
        place, _, line = one.place.rpartition(":")
        found.append({"file": place, "line": int(line), "level": one.level, "what": one.what, "hint": one.hint})
    return found


def _described(profile: Profile) -> dict[str, Any]:
    from coatcheck.deid.standard import EDITION

    dates = profile.dates
    return {
        "name": profile.name,
        "title": profile.title,
        "edition": EDITION,
        "digest": profile.digest,
        "options": list(profile.options),
        "methods": [{"code": method.code, "meaning": method.meaning} for method in profile.methods],
        "temporal_information": profile.temporal_information,
        "unlisted": profile.unlisted,
        "private": profile.private,
        "dates": {"scope": dates.scope, "days": dates.days and list(dates.days), "whole_weeks": dates.whole_weeks},
        "variables": dict(profile.variables),
    }


def _rules(profile: Profile, name: str, base: Path) -> list[dict[str, Any]]:
    """The rules as they are written, with what each selector is about."""
    from coatcheck.deid.selectors import describe
    from coatcheck.profile_file import path_of

    found = []
    for rule, said in zip(profile.rules, _written(path_of(name, base)), strict=True):
        about = [{"selector": one.text, "about": describe(one)} for one in rule.selectors]
        found.append({"place": rule.place, "at": about, **{key: said[key] for key in said if key != "at"}})
    return found


def _written(path: Path) -> list[dict[str, Any]]:
    """The rules in a profile that can be loaded, as YAML has them; those of the profile that it extends first."""
    from coatcheck.config_yaml import parse
    from coatcheck.profile_file import path_of

    said = parse(str(path), path.read_bytes()).value
    assert isinstance(said, dict)  # or it could not be loaded
    base = _written(path_of(said["extends"], path.parent)) if said.get("extends") else []
    return [*base, *said.get("rules", [])]


def _print(one: dict[str, Any]) -> None:
    click.echo(f"{one['name']}: {one['title']}")
    click.echo(f"edition {one['edition']} of PS3.15, digest {one['digest']}")
    click.echo("\nstamps")
    for method in one["methods"]:
        click.echo(f"  {method['code']}  {method['meaning']}")
    click.echo(f"  Longitudinal Temporal Information Modified: {one['temporal_information']}")
    click.echo(f"\noptions   {', '.join(one['options']) or 'none'}")
    click.echo(f"unlisted  {one['unlisted']}")
    click.echo(f"private   {one['private']}")
    if one["temporal_information"] == "MODIFIED":
        click.echo(f"dates     {_dates(one['dates'])}")
    for name, text in one["variables"].items():
        click.echo(f"variable  {name}: {text}")
    if one["rules"]:
        click.echo("\nrules, the later over the earlier")
    for rule in one["rules"]:
        _print_rule(rule)


def _dates(dates: dict[str, Any]) -> str:
    days = f"{dates['days'][0]} to {dates['days'][1]} days" if dates["days"] else "the project's date_shift_days"
    weeks = ", whole weeks" if dates["whole_weeks"] else ""
    return f"{days}{weeks}, the same for each {dates['scope']}"


def _print_rule(rule: dict[str, Any]) -> None:
    settings = [f"{key}: {rule[key]}" for key in rule if key not in ("place", "at", "do", "because")]
    click.echo(f"  {rule['place']}  {rule['do']}" + (f"  ({'; '.join(settings)})" if settings else ""))
    for selector in rule["at"]:
        click.echo(f"    at {selector['selector']}: {selector['about']}")
    if rule.get("because"):
        click.echo(f"    because {rule['because']}")
