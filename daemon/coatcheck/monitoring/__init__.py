"""What tells others how the service does, from threads of its own, so that none of it ever holds the loop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from coatcheck.config import Config
from coatcheck.errors import StateError
from coatcheck.ledger import Ledger
from coatcheck.status import StatusReport, read_status

if TYPE_CHECKING:
    from coatcheck.monitoring.messenger import Messenger
    from coatcheck.monitoring.metrics import MetricsServer

logger = logging.getLogger("coatcheck")
_KIND = "metrics"
_HINT = "name another place, or end the program that has it; nothing else is held up; then restart the service"


def reader(state_dir: Path, projects: Callable[[], Iterable[str]]) -> Callable[[], StatusReport]:
    """What reads the status for a thread: nothing of the loop's own is touched."""
    return lambda: read_status(state_dir, list(projects()), datetime.now(UTC))


def watchers(
    config: Config,
    projects: Callable[[], Iterable[str]],
    turned: Callable[[], float],
    ledger: Ledger,
    utc: Callable[[], str],
) -> list[Messenger | MetricsServer]:
    """Begins what the configuration asks for. An end-point that cannot be had is a fault, and stops no work."""
    read = reader(config.state_dir, projects)
    found: list[Messenger | MetricsServer] = []
    if config.notify is not None:
        from coatcheck.monitoring.messenger import Messenger

        found.append(Messenger.begin(config.notify, read))
    with suppress(StateError):
        ledger.clear_fault("", _KIND, utc())
    if config.metrics is not None:
        from coatcheck.monitoring.metrics import MetricsServer

        try:
            found.append(MetricsServer(config.metrics, read, turned))
        except OSError as error:
            what = f"metrics cannot be asked for at the configured place ({error.strerror})"
            logger.error("%s: %s", what, _HINT)
            with suppress(StateError):
                ledger.fault("", _KIND, what, _HINT, utc())
    return found
