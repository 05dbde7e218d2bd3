"""``coatcheck profile explain``."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import config_option, json_option, print_json, project_option
from coatcheck.cli.sheet import csv_option, one_format, print_sheet, search_option, wanted, write_csv

if TYPE_CHECKING:
    from coatcheck.deid.explain import Attribute, Layer
    from coatcheck.deid.profile import Profile

_TABLE: Final = {"attribute": 52, "tag": 11, "vr": 5, "basic": 6, "action": 0, "rule": 0}
_LAYERS: Final = {"": 1, "action": 0, "by": 0}
_BARE_TAG: Final = re.compile(r"[0-9A-Fa-f]{4} *, *[0-9A-Fa-f]{4}")


@click.command(short_help="What becomes of an attribute, and which row says so.")
@click.argument("name")
@click.argument("attribute", required=False)
@click.option("--sop-class", metavar="UID|NAME", default="", help="The objects asked about: a UID, CT, RTStructureSet.")
@project_option(required=False)
@search_option
@csv_option
@json_option
@config_option
def explain(
    name: str,
    attribute: str | None,
    sop_class: str,
    project: str | None,
    search: str,
    as_csv: bool,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Why a profile treats an attribute as it does: every layer that has a word in it, and the one that decides.

    ATTRIBUTE is a keyword, a tag, or private as (0029,"CREATOR",10); with the sequences around it as A > B. Without it
    every attribute of PS3.15 Table E.1-1 is listed, and what else the profile's rules are about. What becomes of some
    depends on the IOD: --sop-class names it.

    \b
    Example:
      coatcheck profile explain research PatientAge
      coatcheck profile explain research --sop-class CT --search remove
    """
    from coatcheck.cli.profile import named_profile

    one_format(as_csv=as_csv, as_json=as_json)
    profile, _ = named_profile(name, project, config_file)
    uid = _sop_class(sop_class)
    if attribute is None:
        _show_table(profile, uid, search, as_csv=as_csv, as_json=as_json)
    else:
        _show_layers(profile, _attribute(attribute), uid, as_csv=as_csv, as_json=as_json)


def _sop_class(text: str) -> str:
    from coatcheck.deid.explain import sop_class_of
    from coatcheck.deid.settings import SettingError

    try:
        return sop_class_of(text) if text else ""
    except SettingError as error:
        raise click.BadParameter(str(error), param_hint="'--sop-class'") from None


def _attribute(text: str) -> Attribute:
    from coatcheck.deid.explain import attribute_of
    from coatcheck.deid.selectors import parse
    from coatcheck.deid.settings import SettingError

    try:
        return attribute_of(parse(f"({text})" if _BARE_TAG.fullmatch(text.strip()) else text))
    except SettingError as error:
        raise click.BadParameter(str(error), param_hint="'ATTRIBUTE'") from None


def _show_table(profile: Profile, sop_class: str, search: str, *, as_csv: bool, as_json: bool) -> None:
    from coatcheck.deid.explain import table

    records = [record for record in map(asdict, table(profile, sop_class)) if wanted(record, search)]
    if as_json:
        print_json({"version": 1, "profile": profile.name, "sop_class": sop_class, "attributes": records})
    elif as_csv:
        write_csv(tuple(_TABLE), records)
    else:
        print_sheet(_TABLE, records)


def _show_layers(profile: Profile, one: Attribute, sop_class: str, *, as_csv: bool, as_json: bool) -> None:
    from coatcheck.deid.explain import layers

    found = layers(profile, one, sop_class)
    records = [{"action": layer.action, "by": layer.origin, **_standing(layer)} for layer in found]
    if as_csv:
        write_csv(("action", "by", "conditional", "wins"), records)
    elif as_json:
        named = {"attribute": str(one), "tag": one.tag_text, "vr": one.vr, "sop_class": sop_class}
        print_json({"version": 1, "profile": profile.name, **named, "layers": records})
    else:
        click.echo(f"{one}  {one.tag_text}  {one.vr}")
        print_sheet(_LAYERS, [{"": _mark(layer), **record} for layer, record in zip(found, records, strict=True)])
        if any(layer.conditional for layer in found):
            click.echo("> decides; ? decides instead where its condition holds, the last one of them")
        elif len(found) > 1:
            click.echo("> decides")


def _standing(layer: Layer) -> dict[str, Any]:
    return {"conditional": layer.conditional, "wins": layer.wins}


def _mark(layer: Layer) -> str:
    return ">" if layer.wins else "?" if layer.conditional else " "
