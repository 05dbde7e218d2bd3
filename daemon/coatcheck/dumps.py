"""What holds a key leaves no core file, and only root may look into its memory."""

from __future__ import annotations

import ctypes
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # prctl(2)


def forbid_core_dumps() -> None:
    """From now on neither this process nor its children leave a core file, which would hold identities and keys.

    Nor may another process of the same user trace this one or read its memory (PR_SET_DUMPABLE). A program that is
    started by exec has to say so for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
