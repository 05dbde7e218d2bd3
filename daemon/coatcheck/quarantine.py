"""The quarantine: where refused originals lie untouched, each kind with a text that says why and what to do."""

from __future__ import annotations

import os
from pathlib import Path

from coatcheck.originals import make_folders
from coatcheck.reasons import EXPLANATIONS, Reason

NOTE = "REASON.txt"


def folder(reason: Reason, ticket: str | None) -> str:
    """The folder relative to the project's quarantine: REASON/TICKET, or REASON/unassigned without a Study."""
    return f"{reason.value}/{ticket or 'unassigned'}"


def explain(root: Path, where: str, reason: Reason, detail: str) -> None:
    """Writes, or adds to, the note that lies beside the files of one folder. Raises OSError."""
    target = root / where
    make_folders(root, target)
    explanation = EXPLANATIONS[reason]
    note = target / NOTE
    line = f"{detail}\n" if detail else ""
    try:
        known = note.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        known = ""
        head = f"{reason.value}\n\n{explanation.what}\nWhat to do: {explanation.do}\n"
        line = head + (f"\nWhere it was found:\n{line}" if line else "")
    if line and line not in known:
        with os.fdopen(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o640), "a") as out:
            out.write(line)
