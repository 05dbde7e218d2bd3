"""The anchor of the audit: ledger.db remembers how far the chain in vault.db has come, and where it stood then.

Vault first, then the anchor: after a crash in between the anchor is behind, which is no fault, and the next look brings
it up. It is moved only where the row that it remembers still stands, so that no trace of another audit is lost.
"""

from __future__ import annotations

import logging
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from coatcheck.errors import StateError
from coatcheck.ledger import Ledger
from coatcheck.service_lock import service_pid
from coatcheck.vault import Vault

logger = logging.getLogger("coatcheck")
BROKEN: Final = "the audit in vault.db is not the one that ledger.db remembers: run `coatcheck doctor`"
_PERIOD: Final = 1.0  # seconds between two looks


def anchor(vault: Vault, ledger: Ledger) -> bool:
    """Bring the anchor up to the audit's last row. False where the row that it remembers is gone or another one."""
    remembered, head = ledger.audit_anchor(), vault.audit_head()
    if remembered == head:
        return True
    if remembered is not None and vault.audit_digest(remembered[0]) != remembered[1]:
        return False
    ledger.anchor_audit(*head)
    return True


def anchor_alone(state_dir: Path, vault: Vault) -> str:
    """The same by a command that has just added a row. A running service does it itself. Gives what is wrong, or ""."""
    path = state_dir / "ledger.db"
    if service_pid(state_dir) is not None or not path.exists():
        return ""
    with closing(Ledger.open(path, look_through=False)) as ledger:
        return "" if anchor(vault, ledger) else BROKEN


class AuditTrail:
    """The service's part: it looks every second, for commands add rows as well."""

    def __init__(self, vault: Vault, ledger: Ledger) -> None:
        self._vault = vault
        self._ledger = ledger
        self._again = float("-inf")
        self._told = False

    def step(self, now: float) -> None:
        """Looks if it is time to. A database that cannot be used now is told of elsewhere, and asked again."""
        if now < self._again:
            return
        self._again = now + _PERIOD
        with suppress(StateError):
            if not anchor(self._vault, self._ledger) and not self._told:
                self._told = True
                logger.error(BROKEN)
