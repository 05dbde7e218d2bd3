"""``coatcheck preview``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import (
    config_option,
    credentials,
    find_project,
    given_config,
    json_option,
    project_option,
    read_config,
)
from coatcheck.cli.sheet import (
    csv_option,
    one_format,
    only_changed_option,
    print_sheet,
    search_option,
    wanted,
    write_csv,
)
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.preview import Preview
    from coatcheck.preview_basis import Basis

_SHEET: Final = {"path": 60, "tag": 11, "vr": 2, "before": 36, "after": 36, "action": 0, "rule": 0}
_CSV: Final = ("file", "path", "tag", "keyword", "vr", "before", "after", "changed", "action", "rule")


@click.command(short_help="What would become of files, element by element.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@project_option(required=False)
@click.option("--profile", metavar="NAME", help="A profile instead of a project, with a key that is thrown away.")
@only_changed_option
@search_option
@csv_option
@json_option
@config_option
def command(
    files: tuple[Path, ...],
    project: str | None,
    profile: str | None,
    only_changed: bool,
    search: str,
    as_csv: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """What would become of files or folders of files: each element before and after, the action, and the rule.

    Nothing is written, recorded or delivered. What is printed identifies patients. A file that would be set aside says
    why; its rows show what the profile would do all the same. The files are taken for all that there is of a Study.

    \b
    Example:
      coatcheck preview --project lung-trial --only-changed disc/CT_small.dcm
      coatcheck preview --profile research --search Physician disc
    """
    one_format(as_csv=as_csv, as_json=as_json)
    if (project is None) == (profile is None):
        raise click.UsageError("name a --project, or a --profile")
    from coatcheck.preview import preview
    from coatcheck.preview_basis import THROW_AWAY, files_of

    basis = _of_project(project, config_file) if project is not None else _of_profile(str(profile), config_file)
    with closing(basis):
        found = preview(basis, files_of(files, project or THROW_AWAY), utc_now())
        if as_json:
            _write_json(found, only_changed, search)
        elif as_csv:
            _write_csv(found, only_changed, search)
        else:
            for number, one in enumerate(found):
                _print(one, number, only_changed, search)


def _of_project(name: str, config_file: Path | None) -> Basis:
    from coatcheck.custody import project_key
    from coatcheck.preview_basis import of_project

    config = read_config(config_file)
    project = find_project(config, name)
    return of_project(config, project, project_key(config, name, credentials()))


def _of_profile(name: str, config_file: Path | None) -> Basis:
    from secrets import token_bytes

    from coatcheck.keys import new_key
    from coatcheck.preview_basis import of_profile
    from coatcheck.profile_file import load_profile

    given = given_config(config_file)
    loaded = load_profile(name, given.parent if given else Path.cwd())
    click.echo("coatcheck: this key is thrown away: UIDs, subjects and shifts are other ones each time", err=True)
    return of_profile(loaded, new_key(token_bytes))


def _records(one: Preview, only_changed: bool, search: str) -> list[dict[str, Any]]:
    return [record for record in map(asdict, one.rows) if wanted(record, search, only_changed)]


def _print(one: Preview, number: int, only_changed: bool, search: str) -> None:
    if number:
        click.echo()
    click.echo(one.file)
    click.echo(f"  {_verdict(one)}")
    if not one.rows:
        return
    subject = one.subject if one.subject_given else f"{one.subject} (numbered with the first delivery)"
    dates = "dates do not move" if one.shift_days is None else f"dates move by {one.shift_days:+d} days"
    changed = sum(row.changed for row in one.rows)
    click.echo(f"  subject {subject}, {dates}; {changed} of {len(one.rows)} elements change")
    records = _records(one, only_changed, search)
    if records:
        print_sheet(_SHEET, records)


def _verdict(one: Preview) -> str:
    from coatcheck.reasons import EXPLANATIONS

    if one.reason is None:
        return one.note or "would be delivered"
    explained = EXPLANATIONS[one.reason]
    detail = f" {one.detail}" if one.detail else ""
    return f"would be set aside as {one.reason.value}{detail}: {explained.what} {explained.do}"


def _write_csv(found: Iterable[Preview], only_changed: bool, search: str) -> None:
    write_csv(_CSV, [])
    for one in found:
        records = _records(one, only_changed, search)
        if one.reason is not None or not one.rows:
            click.echo(f"coatcheck: {one.file}: {_verdict(one)}", err=True)
        write_csv(_CSV, [{"file": one.file, **record} for record in records], head=False)


def _write_json(found: Iterable[Preview], only_changed: bool, search: str) -> None:
    """File by file, so that a folder of any size needs no memory."""
    sys.stdout.write('{"version": 1, "files": [')
    for number, one in enumerate(found):
        said = {key: value for key, value in asdict(one).items() if key != "rows"}
        said["verdict"] = _verdict(one)
        said["rows"] = _records(one, only_changed, search)
        sys.stdout.write((",\n" if number else "\n") + json.dumps(said))
    sys.stdout.write("\n]}\n")
