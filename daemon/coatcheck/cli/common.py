"""What the commands share: options, finding the configuration, and printing."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from coatcheck.config import Config, Project
    from coatcheck.vault import Vault

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(slots=True)
class Options:
    """The options that stand before the command."""

    config_file: Path | None = None


def config_option(function: Function) -> Function:
    """``--config FILE``, as every command has it. After the command it wins over the one before it."""
    help_text = "The configuration; else $COATCHECK_CONFIG, ./coatcheck.yaml, /etc/coatcheck/coatcheck.yaml."
    kind = click.Path(path_type=Path)
    return click.option("--config", "config_file", metavar="FILE", type=kind, help=help_text)(function)


def json_option(function: Function) -> Function:
    """``--json``, for results that a program reads."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(function)


def project_option(*, required: bool) -> Callable[[Function], Function]:
    """``--project NAME``."""
    kind = {"metavar": "NAME", "required": required, "help": "The project.", "shell_complete": _project_names}
    return click.option("--project", "project", **kind)  # type: ignore[arg-type]


def _project_names(ctx: click.Context, option: click.Parameter, begun: str) -> list[str]:
    """For a shell: the projects that begin so; none where there is no configuration to be read."""
    from coatcheck.config import find_config, load

    options = ctx.find_object(Options) or Options()
    with suppress(Exception):
        config = load(find_config(ctx.params.get("config_file") or options.config_file, os.environ, Path.cwd()))
        return [name for name in config.projects if name.startswith(begun)]
    return []


def given_config(option: Path | None) -> Path | None:
    """The configuration that an option named, whether before or after the command."""
    return option or click.get_current_context().ensure_object(Options).config_file


def config_path(option: Path | None) -> Path:
    """The path of the configuration to use."""
    from coatcheck.config import find_config

    return find_config(given_config(option), os.environ, Path.cwd())


def read_config(option: Path | None) -> Config:
    """The configuration to use. Raises ConfigError."""
    from coatcheck.config import load

    return load(config_path(option))


def find_project(config: Config, name: str) -> Project:
    """A project by its name. Raises a usage error that names the nearest one."""
    from coatcheck.problems import nearest

    if name not in config.projects:
        hint = nearest(name, tuple(config.projects))
        raise click.BadParameter(f"there is no project `{name}`: {hint}", param_hint="'--project'")
    return config.projects[name]


def credentials() -> Path | None:
    """The folder in which systemd hands over keys, if there is one."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def anchor_audit(config: Config, vault: Vault) -> None:
    """Let the ledger remember the audit row that was just added; says so where the audit is not the one it knew."""
    from coatcheck.audit_trail import anchor_alone

    broken = anchor_alone(config.state_dir, vault)
    if broken:
        click.echo(f"coatcheck: {broken}", err=True)


def print_json(value: object) -> None:
    """Print a value as JSON in plain ASCII, so that a name that is not UTF-8 does no harm."""
    click.echo(json.dumps(value, indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table: with rich on a terminal, else as plain columns."""
    cells = [[str(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*head, box=None, pad_edge=False)
        for row in cells:
            table.add_row(*(Text(cell) for cell in row))  # Text: square brackets are no markup here
        Console().print(table)
        return
    for line in plain_table(head, cells):
        click.echo(line)


def plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table in plain columns."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in [head, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def who() -> str:
    """The user who asks: behind sudo, the one who called it."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        user = str(os.getuid())
    caller = os.environ.get("SUDO_USER")
    return f"{caller} as {user}" if caller and caller != user else user
