"""``coatcheck mapping import``: patients who are known from an earlier system keep their pseudonyms."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from coatcheck.cli.common import (
    config_option,
    credentials,
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
    from coatcheck.moving_in.map_check import Outlook
    from coatcheck.moving_in.maps import OldMap


@click.command("import", short_help="Take over the map of an earlier system.")
@click.argument("file", type=click.Path(path_type=Path))
@project_option(required=True)
@click.option("--kind", type=click.Choice(("patient", "uid")), help="What a file with `id_old,id_new` is about.")
@click.option("--key-type", metavar="TYPE", help="Which keys of a lookup table of CTP are Patient IDs.")
@click.option("--apply/--dry-run", "apply", default=False, help="Write it, or only show it (the default).")
@click.option("--reason", default=None, help="Why; it is kept in the audit.")
@json_option
@config_option
@click.pass_context
def import_map(
    ctx: click.Context,
    file: Path,
    project: str,
    kind: str | None,
    key_type: str | None,
    apply: bool,
    reason: str | None,
    as_json: bool,
    config_file: Path | None,
) -> None:
    """Take over the map of an earlier system, so that its patients keep their pseudonyms, shifts and UIDs.

    Read are CSV and JSON: `id_old,id_new` and `study_uid_old,days` as `mapping export` writes them, lists of subjects
    (`patient_id,subject,date_shift_days`), the patient index of RSNA Anonymizer, and CTP's lookup tables and ID map
    exports. Without --apply it shows what is new and what stands against it, by lines and without values, and ends with
    1 where something does. With --apply all of it is written, or nothing. No service may run then.

    \b
    Example:
      coatcheck mapping import old-map.csv --project lung-trial
      coatcheck mapping import old-map.csv --project lung-trial --apply --reason "from the old gateway"
    """
    from coatcheck.moving_in import map_import, maps

    config = read_config(config_file)
    settings = find_project(config, project)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CoatcheckError(f"{file} cannot be read ({error.strerror})", "check the path") from None
    old = maps.read(content, kind=kind, key_type=key_type)
    found = map_import.outlook(config, settings, old, str(file), credentials())
    applied = apply and not found.problems
    if applied:
        found = map_import.take_over(
            *(config, settings, old, str(file)), who=who(), reason=reason, credentials=credentials(), utc=utc_now
        )
        applied = not found.problems
    _tell(old, found, applied=applied, as_json=as_json)
    ctx.exit(1 if found.problems else 0)


def _tell(old: OldMap, found: Outlook, *, applied: bool, as_json: bool) -> None:
    from coatcheck.moving_in.map_check import counts
    from coatcheck.problems import in_reading_order

    problems = in_reading_order(found.problems)
    if as_json:
        told = {"kind": old.kind, "applied": applied, "counts": counts(found), "notes": found.notes}
        print_json({"version": 1} | told | {"problems": [one.as_json() for one in problems]})
        return
    click.echo(old.kind)
    for name, number in counts(found).items():
        click.echo(f"  {name.replace('_', ' ')}: {number['new']} new, {number['known']} known already")
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    for one in problems:
        click.echo(str(one), err=True)
    if problems:
        click.echo(f"nothing was changed: {len(problems)} lines to mend or to leave out", err=True)
    else:
        click.echo("it was taken over" if applied else "nothing was changed: --apply writes it", err=True)
