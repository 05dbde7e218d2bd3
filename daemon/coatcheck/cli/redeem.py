"""``coatcheck redeem``: the original behind one pseudonym, for those who hold the key."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coatcheck.cli.common import (
    anchor_audit,
    config_option,
    credentials,
    find_project,
    json_option,
    print_json,
    project_option,
    read_config,
    who,
)
from coatcheck.errors import CoatcheckError, KeyFileError
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config


@click.command()
@click.argument("value")
@project_option(required=True)
@click.option("--reason", default=None, help="Why you need it; it is kept in the audit. Asked for on a terminal.")
@json_option
@config_option
def command(value: str, project: str, reason: str | None, as_json: bool, config_file: Path | None) -> None:
    """The original behind a subject, a new UID or an encrypted text. An audit row says who asked, and why.

    \b
    Example:
      coatcheck redeem --project lung-trial S1XQNNH74BJY6 --reason "incidental finding, ethics vote 12/26"
    """
    from coatcheck.custody import open_vault

    config = read_config(config_file)
    find_project(config, project)
    if reason is None and sys.stdin.isatty():
        reason = click.prompt("Why do you need it?", err=True)
    if not (reason or "").strip():
        raise click.UsageError("say why with --reason: it is kept in the audit")
    key, vault = open_vault(config, project, credentials())
    with closing(vault):
        vault.audit(project, who=who(), action="redeem", subject=value, reason=reason, now=utc_now())
        anchor_audit(config, vault)
    found = _known(config, project, value) or _decrypted(key.pseudonym_secret, value)
    if not found:
        what = f"the project {project} has made no such subject, UID or encrypted text"
        raise CoatcheckError(what, "check the value, and that it is of this project")
    if as_json:
        print_json({"version": 1, "originals": [{"kind": kind, "original": original} for kind, original in found]})
    else:
        for _, original in found:
            click.echo(original)


def _known(config: Config, project: str, value: str) -> list[tuple[str, str]]:
    """Kind and original, as the vault has them; looked up again where the key was rotated meanwhile."""
    from coatcheck.custody import open_vault, project_key
    from coatcheck.vault import Kind

    while True:
        key, vault = open_vault(config, project, credentials())
        with closing(vault):
            kinds = (Kind.PATIENT, Kind.UID)
            found = [(kind.value, one) for kind in kinds for one in vault.originals(project, kind, value)]
            try:
                vault.vouch(project, key)  # With an old key, what is known is not found.
            except KeyFileError:
                if key == project_key(config, project, credentials()):
                    raise
            else:
                return found


def _decrypted(secret: bytes, value: str) -> list[tuple[str, str]]:
    """A text that the action ``encrypt`` wrote, as it was."""
    from coatcheck.cipher import unseal
    from coatcheck.deid.actions.keyed import unsealed_text

    try:
        return [("encrypted", unseal(secret, unsealed_text(value)).decode("utf-8", "replace"))]
    except ValueError:
        return []
