"""Whether ledger and vault are of one time, asked at each start: one of them may have been put back from a backup.

What cannot be known any more is not guessed at, and no number is ever given twice: neither those of deliveries and
refusals, by which the two know each other, nor those of patients.
"""

from __future__ import annotations

import logging
from typing import Final

from coatcheck.ledger import Ledger, LedgerReader
from coatcheck.vault import Vault

logger = logging.getLogger("coatcheck")
_OLDER: Final = {
    "ledger": "ledger.db is older than vault.db: it lacks deliveries, whose numbers are passed over",
    "vault": "vault.db is older than ledger.db: it lacks mappings, and sequences wait for a word where to go on",
}
_NONE = (1, 0)


def older(ledger: LedgerReader, vault: Vault) -> str | None:
    """Which of the two is older than the other: ``ledger``, ``vault``, or None where they go together.

    A quick look at their ends; `coatcheck doctor` compares them as a whole.
    """
    (delivery, refusal), (owner, refused) = ledger.last_ids(), vault.highest_owners()
    # The fate of a refused file is journalled before the refusal itself, under the number that it will get.
    if owner > delivery or refused > refusal + 1:
        return "ledger"
    last = ledger.last_settled()
    return "vault" if last is not None and not vault.has_fates(last.id) else None


def reconcile(ledger: Ledger, vault: Vault, now: str) -> None:
    """Makes two databases safe to work with that are not of one time, and says so once."""
    which = older(ledger, vault)
    (delivery, refusal), (owner, refused) = ledger.last_ids(), vault.highest_owners()
    if which == "ledger":
        # The vault first: should it end here, the next start finds the same again.
        vault.note_restored(now, (delivery + 1, owner), (refusal + 1, refused), outdated=False)
        ledger.skip_ids(owner, refused)
    last = ledger.last_settled()
    if which == "vault" and last is not None:
        if any(one.outdated and one.last_delivery >= last.id for one in vault.restorations()):
            return  # It was said before.
        vault.note_restored(now, (last.id + 1, last.id), _NONE, outdated=True)
    if which is not None:
        logger.warning("%s: see `coatcheck doctor`", _OLDER[which])
