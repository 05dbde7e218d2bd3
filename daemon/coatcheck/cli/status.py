"""``coatcheck status``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from coatcheck.cli.common import config_option, json_option, plain_table, print_json, read_config

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from coatcheck.config import Config
    from coatcheck.status import StatusReport

_PERIOD: Final = 1.0  # seconds; the service says something new at most so often
_WORDS: Final = (1,)  # columns whose cells may be broken into lines
_COLOURS: Final = {"attention": "bold red", "waiting for disk": "bold yellow", "stopped": "bold", "idle": "dim"}


@click.command(short_help="How things stand, in one word for each project.")
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@json_option
@config_option
def command(watch: bool, as_json: bool, config_file: Path | None) -> None:
    """How things stand: one word for each project, what waits, arrives and runs, what was delivered or set aside.

    The words are idle, arriving, working, waiting for disk, attention; stopped and starting where no service can
    speak. Needs no running service: it then shows what the ledger counted.

    \b
    Example:
      coatcheck status
      coatcheck status --watch
      coatcheck status --json
    """
    config = read_config(config_file)
    show = _print_json if as_json else _show if sys.stdout.isatty() else _print
    try:
        show(config, watch=watch)
    except KeyboardInterrupt:  # which is how one ends to watch
        if not watch:
            raise


def _reports(config: Config, *, watch: bool) -> Iterator[StatusReport]:
    """One report, or one each second for as long as they are wanted."""
    from coatcheck.status import read_status

    yield read_status(config.state_dir, config.projects, datetime.now(UTC))
    while watch:
        time.sleep(_PERIOD)
        yield read_status(config.state_dir, config.projects, datetime.now(UTC))


def _print_json(config: Config, *, watch: bool) -> None:
    for report in _reports(config, watch=watch):
        print_json(report.as_json())


def _print(config: Config, *, watch: bool) -> None:
    """Plain lines. Where it is watched, anew when something has changed, with an empty line between."""
    before: list[str] = []
    for report in _reports(config, watch=watch):
        lines = list(_lines(config, report))
        if lines[1:] != before[1:]:  # the first has the time
            click.echo("\n".join([*([""] if before else []), *lines]))
            sys.stdout.flush()
        before = lines


def _lines(config: Config, report: StatusReport) -> Iterator[str]:
    from coatcheck.board import HEAD, details, opening, row

    now = datetime.now(UTC)
    yield from opening(config.state_dir, report)
    yield from plain_table(HEAD, [row(name, project, now) for name, project in report.projects.items()])
    for name, project in report.projects.items():
        yield from details(name, project)


def _show(config: Config, *, watch: bool) -> None:
    """On a terminal: as wide as it is, in colour unless NO_COLOR is set; watched, always in the same place."""
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False)
    if not watch or console.is_dumb_terminal:
        for report in _reports(config, watch=watch):
            console.print(_screen(config, report, console))
        return
    with Live(console=console, auto_refresh=False, transient=False) as live:
        for report in _reports(config, watch=True):
            live.update(_screen(config, report, console), refresh=True)


def _screen(config: Config, report: StatusReport, console: Console) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from coatcheck.board import HEAD, details, opening, row

    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False, padding=(0, 2 if console.width >= 100 else 1, 0, 0))
    for place, name in enumerate(HEAD):
        table.add_column(name, no_wrap=place > max(_WORDS), overflow="fold")
    for name, project in report.projects.items():
        colour = _COLOURS.get(project.word, "green")
        cells = row(name, project, now)  # Text: square brackets are no markup here
        table.add_row(*(Text(cell, style=colour if place in _WORDS else "") for place, cell in enumerate(cells)))
    lines = [line for name, project in report.projects.items() for line in details(name, project)]
    return Group(*map(_line, opening(config.state_dir, report)), table, *map(_line, lines))


def _line(text: str) -> RenderableType:
    from rich.text import Text

    return Text(text, style="red" if "FAULT" in text else "")
