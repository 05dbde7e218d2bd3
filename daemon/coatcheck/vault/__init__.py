"""The vault: original and replacement, and where each dropped file went. Nothing but identity, and all of it sealed.

An original, a path and a reason are sealed with AES-SIV under the project's key and bound to their project, table and
column. What is left open tells little: how many there are, when, and which sealed values are equal.
"""

from __future__ import annotations

from coatcheck.vault.fates import Fates
from coatcheck.vault.imports import Imports
from coatcheck.vault.proofs import was_destroyed
from coatcheck.vault.resealing import Resealing, Span
from coatcheck.vault.rows import AuditRow, FateRow, Kind
from coatcheck.vault.sequences import Sequences
from coatcheck.vault.shredding import Remains, Shredding

__all__ = ["AuditRow", "FateRow", "Kind", "Remains", "Span", "Vault", "was_destroyed"]


class Vault(Sequences, Imports, Fates, Resealing, Shredding):
    """vault.db, open for as long as the service runs or a command needs it.

    Every method raises StateError where the database cannot be used, a row cannot be opened or its sealing key is
    gone, and KeyFileError for a project whose key was not given.
    """
