"""The console script: finds the command, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TextIO

import click

from coatcheck import __version__
from coatcheck.cli.common import Options
from coatcheck.errors import CoatcheckError

COMMANDS: Final = {
    "init": "coatcheck.cli.init",
    "check": "coatcheck.cli.check",
    "run": "coatcheck.cli.run",
    "reload": "coatcheck.cli.reload",
    "status": "coatcheck.cli.status",
    "logs": "coatcheck.cli.logs",
    "doctor": "coatcheck.cli.doctor",
    "backup": "coatcheck.cli.backup",
    "quarantine": "coatcheck.cli.quarantine",
    "reprocess": "coatcheck.cli.reprocess",
    "mapping": "coatcheck.cli.mapping",
    "redeem": "coatcheck.cli.redeem",
    "report": "coatcheck.cli.report",
    "audit": "coatcheck.cli.audit",
    "key": "coatcheck.cli.key",
    "profile": "coatcheck.cli.profile",
    "preview": "coatcheck.cli.preview",
    "compare": "coatcheck.cli.compare",
    "completion": "coatcheck.cli.completion",
    "schema": "coatcheck.cli.schema",
}
INTERRUPTED: Final = 128 + 2  # as if SIGINT had ended it


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used. Each module calls its command ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command by its name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--config", "config_file", type=click.Path(path_type=Path), help="The configuration to use.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None) -> None:
    """A cloakroom for DICOM studies: drop a study into an inbox, a de-identified one walks out of the outbox.

    \b
    Example:
      coatcheck init /srv/coatcheck --project lung-trial
      coatcheck --config /srv/coatcheck/coatcheck.yaml run

    Exit codes: 0 done; 1 failed; 2 wrong usage; 3 `run --once` put something into quarantine; 78 the configuration
    is wrong. COATCHECK_CONFIG names a configuration, COATCHECK_DEBUG=1 shows tracebacks.
    """
    ctx.obj = Options(config_file=config_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and give its exit code."""
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a path may not be UTF-8
    try:
        result = cli.main(args=arguments, prog_name="coatcheck", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        _close_quietly(sys.stdout)
        return 1  # as click itself does when it meets one
    except Exception as error:
        return _failed(error)
    return result if isinstance(result, int) else 0


def _failed(error: Exception) -> int:
    if os.environ.get("COATCHECK_DEBUG") == "1":
        traceback.print_exc()
    elif isinstance(error, CoatcheckError):
        for line in str(error).splitlines():
            click.echo(f"coatcheck: {line}", err=True)
    else:
        click.echo(f"coatcheck: {_unexpected(error)}: COATCHECK_DEBUG=1 shows more", err=True)
    return error.exit_code if isinstance(error, CoatcheckError) else 1


def _unexpected(error: Exception) -> str:
    """The kind of an error of somebody else, and the place in our code. Its text may quote a value, so it stays out."""
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "coatcheck" in frame.filename]
    place = f" in {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    reason = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
    return f"unexpected {type(error).__name__}{reason}{place}"


def _close_quietly(stream: TextIO) -> None:
    """Let Python's own flush at its end go nowhere, instead of complaining a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
