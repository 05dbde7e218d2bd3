"""``coatcheck logs``: the story of one Study."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from coatcheck.cli.common import (
    config_option,
    find_project,
    json_option,
    plain_table,
    print_json,
    project_option,
    read_config,
)
from coatcheck.cli.leaving import open_ledger
from coatcheck.errors import CoatcheckError

HEAD = ("AT", "DELIVERY", "WHAT", "DETAIL")


@click.command(short_help="The story of one study: delivered, set aside and why.")
@click.argument("name", metavar="STUDY")
@project_option(required=False)
@json_option
@config_option
def command(name: str, project: str | None, as_json: bool, config_file: Path | None) -> None:
    """The story of one study: opened, staged, released, its originals away, set aside and why, retried.

    STUDY is its ticket, its new Study Instance UID, or its folder in the outbox. The story has no identity in it. The
    service's own log has more: `journalctl -u coatcheck COATCHECK_STUDY=TICKET`.

    \b
    Example:
      coatcheck logs 28WKZNPX40
      coatcheck logs /srv/coatcheck/lung/outbox/S1XQNNH74BJY6/2.25.24685481789825597071433685859249285463.2
    """
    from coatcheck.story import find, tell

    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    with closing(open_ledger(config)) as ledger:
        stories = [(study, list(tell(ledger, study))) for study in find(ledger, name, project)]
    if not stories:
        hint = "give its ticket, its new Study Instance UID, or its folder in the outbox: no original UID is known here"
        raise CoatcheckError("the ledger knows no such study", hint)
    if as_json:
        told = [
            {key: getattr(study, key) for key in ("project", "ticket", "study_uid", "subject", "first_seen")}
            | {"events": [step.as_json() for step in steps]}
            for study, steps in stories
        ]
        print_json({"version": 1, "studies": told})
        return
    for place, (study, steps) in enumerate(stories):
        click.echo(("\n" if place else "") + f"{study.project} {study.ticket}: {study.subject} {study.study_uid}")
        for line in plain_table(HEAD, [(step.at, str(step.delivery), step.what, step.detail) for step in steps]):
            click.echo(line)
