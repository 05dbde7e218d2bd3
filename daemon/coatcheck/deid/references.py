"""Which Instances a result refers to: the values of Referenced SOP Instance UID (0008,1155) at every depth.

They are noted while the gate walks the finished bytes. That references still meet their targets is the work of keyed
UIDs; here they are collected, so that the ledger can count those whose target never came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from coatcheck.deid.standard import is_registered

REFERENCED_CLASS, REFERENCED_INSTANCE = 0x00081150, 0x00081155
REFERENCE_TAGS = frozenset({REFERENCED_CLASS, REFERENCED_INSTANCE})
MOST = 20_000  # UIDs of one file; a file with more of them is counted by these
_UID = re.compile(r"[0-9.]{1,64}")
_STUDY = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management: the UID is a Study Instance UID (PS3.3 C.8.8.5)
# SOP Classes of patients, procedure steps and work items (PS3.4): messages have such Instances, files have not.
_NO_FILE = ("1.2.840.10008.3.1.2.", "1.2.840.10008.5.1.4.32.", "1.2.840.10008.5.1.4.34.6")


class Noted:
    """References as they are met on a walk: ``uids`` holds each once, in order, `MOST` at most.

    ``sop_class`` is that of a reference whose UID is still to come, "" for none.
    """

    __slots__ = ("sop_class", "uids")

    def __init__(self, sop_class: str = "") -> None:
        self.uids: dict[str, None] = {}
        self.sop_class = sop_class

    def take(self, uids: Iterable[str], sop_class: str) -> None:
        """Takes over what was noted of a part of the walk."""
        self.uids.update(dict.fromkeys(uids))
        self.sop_class = sop_class

    def note(self, tag: int, value: bytes) -> None:
        """Takes the value of one of REFERENCE_TAGS; the class of a reference stands before its UID.

        What cannot be the UID of a file or of a Study is passed over, and so is what the standard registers.
        """
        text = value[:80].decode("latin-1").strip(" \0")  # a longer one is no UID
        if tag == REFERENCED_CLASS:
            self.sop_class = text
            return
        sop_class, self.sop_class = self.sop_class, ""
        if sop_class.startswith(_NO_FILE) and sop_class != _STUDY:
            return
        if _UID.fullmatch(text) and not is_registered(text) and len(self.uids) < MOST:
            self.uids[text] = None
