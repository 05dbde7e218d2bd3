"""``coatcheck backup``."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coatcheck.cli.common import anchor_audit, config_option, json_option, print_json, read_config, who
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config

WITHOUT_KEYS = (
    "THE KEYS ARE NOT IN THE BACKUP: keep copies of them elsewhere, apart from it. Without them it restores nothing;"
    " with them beside it, whoever finds it can name every patient"
)


@click.command(short_help="Make a copy that can be restored, without the keys.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--verify", "only_check", is_flag=True, help="DIR is a backup: look whether it is whole.")
@json_option
@config_option
@click.pass_context
def command(ctx: click.Context, folder: Path, only_check: bool, as_json: bool, config_file: Path | None) -> None:
    """A copy that can be restored, in a new folder below DIR, made while the service runs. Never holds a key.

    It has the ledger, the vault, the configuration and what that names, and a RESTORE.txt that says how to put them
    back. The audit of each project says that it was made.

    \b
    Example:
      coatcheck backup /mnt/backups
      coatcheck backup --verify /mnt/backups/coatcheck-20261121T101500Z
    """
    if only_check:
        ctx.exit(_check(folder, as_json=as_json))
    from coatcheck.backup import make

    config = read_config(config_file)
    made = make(config, folder, now=datetime.now(UTC), audit=lambda: _audit(config))
    if as_json:
        print_json({"version": 1, "folder": str(made), "keys": False})
    else:
        click.echo(str(made))
    click.echo(f"coatcheck: {WITHOUT_KEYS}", err=True)


def _audit(config: Config) -> None:
    """A row for each project, which the copy then has too. It seals nothing, so it needs no key."""
    from coatcheck.ledger import LedgerReader
    from coatcheck.vault import Vault

    LedgerReader.open(config.state_dir / "ledger.db").close()  # this makes no records, and finds what is wrong first
    Vault.open(config.state_dir / "vault.db", {}, readonly=True).close()
    with closing(Vault.open(config.state_dir / "vault.db", {})) as vault:
        for project in config.projects:
            vault.audit(project, who=who(), action="backup", now=utc_now())
        anchor_audit(config, vault)


def _check(folder: Path, *, as_json: bool) -> int:
    from coatcheck.backup import check

    problems = list(check(folder, clock=time.monotonic))
    if as_json:
        print_json({"version": 1, "folder": str(folder), "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(problems)} problems: do not rely on it" if problems else "the backup is whole", err=True)
    return 1 if problems else 0
