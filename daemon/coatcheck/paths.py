"""Paths in an inbox, as text: which folder they lie in. They are as people dropped them, with "/" between names."""

from __future__ import annotations


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder or below it. The folder "" is the inbox itself."""
    return not folder or path.startswith(f"{folder}/")
