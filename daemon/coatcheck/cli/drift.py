"""``coatcheck profile drift``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from coatcheck.cli.common import (
    config_option,
    find_project,
    json_option,
    print_json,
    project_option,
    read_config,
)
from coatcheck.cli.sheet import csv_option, one_format, print_sheet, write_csv

_ATTRIBUTES: Final = {"tag": 0, "keyword": 56, "before": 0, "before_by": 0, "after": 0, "after_by": 0}
_STUDIES: Final = {"project": 0, "ticket": 0, "subject": 0, "profile": 0, "edition": 0, "delivered": 0, "folder": 0}


@click.command(short_help="What is treated otherwise than in an older edition.")
@click.argument("name")
@click.option("--from", "edition", metavar="EDITION", required=True, help="An edition of PS3.15, such as 2024b.")
@click.option("--delivered", is_flag=True, help="Name the studies of the ledger that were made with that edition.")
@project_option(required=False)
@csv_option
@json_option
@config_option
def drift(
    name: str,
    edition: str,
    delivered: bool,
    project: str | None,
    as_csv: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """The attributes that a profile treats otherwise now than under an older edition of PS3.15.

    With --delivered the studies that left under that edition, by the configuration's ledger: they may have had such
    attributes. With --csv it prints these instead of the attributes.

    \b
    Example:
      coatcheck profile drift research --from 2024b
      coatcheck profile drift research --from 2024b --delivered --project lung-trial
    """
    from coatcheck.cli.profile import named_profile
    from coatcheck.drift import drifted

    one_format(as_csv=as_csv, as_json=as_json)
    profile, _ = named_profile(name, project, config_file)
    attributes = [one.as_record() for one in drifted(profile.options, edition)]
    studies = _studies(edition, project, config_file) if delivered else None
    if as_json:
        said = {"version": 1, "profile": profile.name, "from": edition, "attributes": attributes}
        print_json(said if studies is None else said | {"studies": studies})
    elif as_csv:
        rows, columns = (attributes, (*_ATTRIBUTES, "name")) if studies is None else (studies, (*_STUDIES, "study_uid"))
        write_csv(columns, rows)
    else:
        _print(edition, attributes, studies)


def _studies(edition: str, project: str | None, config_file: Path | None) -> list[dict[str, str]]:
    from coatcheck.drift import delivered_by

    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    return [one.as_record() for one in delivered_by(config.state_dir / "ledger.db", edition, project)]


def _print(edition: str, attributes: list[dict[str, str]], studies: list[dict[str, str]] | None) -> None:
    from coatcheck.deid.standard import EDITION

    click.echo(f"{len(attributes)} attributes are treated otherwise under {EDITION} than under {edition}")
    if attributes:
        print_sheet(_ATTRIBUTES, [{key: text or None for key, text in one.items()} for one in attributes])
    if studies is None:
        return
    click.echo(
        f"\n{len(studies)} deliveries were made with {edition}" + (", and may have had them" if attributes else "")
    )
    if studies:
        print_sheet(_STUDIES, studies)
