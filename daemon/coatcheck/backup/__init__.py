"""`coatcheck backup`: a copy of all that coatcheck needs to go on elsewhere, but the keys, made while it works."""

from __future__ import annotations

from coatcheck.backup.checking import check
from coatcheck.backup.making import make

__all__ = ["check", "make"]
