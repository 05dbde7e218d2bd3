"""``coatcheck run``."""

from __future__ import annotations

from pathlib import Path

import click

from coatcheck.cli.common import config_option, config_path


@click.command()
@click.option("--once", is_flag=True, help="Finish what lies in the inboxes now, and end.")
@config_option
@click.pass_context
def command(ctx: click.Context, once: bool, config_file: Path | None) -> None:
    """Run the service in the foreground, until SIGTERM or Ctrl-C.

    With --once it ends when the inboxes are done: 0, or 3 if something went to quarantine. `file_settle` still holds
    then, `study_settle` does not; files that are still changing are left and named.

    \b
    Example:
      coatcheck run --config ./coatcheck.yaml
      coatcheck run --once
    """
    from coatcheck import heap

    with heap.growing():
        from coatcheck.config import load
        from coatcheck.worker_process import warm_up

        config = load(config_path(config_file))
        if config.executor != "inline":
            warm_up()  # before the service is imported, so that both go on side by side
        from coatcheck.service import run

    ctx.exit(run(config, once=once))
