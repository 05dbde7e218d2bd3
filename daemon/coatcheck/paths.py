"""Paths in an inbox, as text: what people dropped, with "/" between names, and what was unpacked for them."""

from __future__ import annotations

from typing import Final

SPOOL: Final = ".coatcheck"
"""The folder of an inbox where archives are unpacked: SPOOL/ID/PATH OF THE ARCHIVE/PATH IN IT. A listing of what
people dropped leaves names with a dot alone, so that no dropped path begins like this."""

_BEHIND: Final = (".txt",)  # what Windows puts behind a name, and hides
_ARCHIVES: Final = (".zip", ".tar", ".tar.gz", ".tgz")


def is_unpacked(path: str) -> bool:
    """Whether this came out of an archive."""
    return path.startswith(f"{SPOOL}/")


def dropped(path: str) -> str:
    """The path as people know it: what came out of an archive lies below the archive's own name."""
    return path.split("/", 2)[2] if is_unpacked(path) else path


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder or below it. The folder "" is the inbox itself."""
    return not folder or path.startswith(f"{folder}/")


def is_archive(path: str) -> bool:
    """Whether the name is that of an archive which is unpacked, in any case."""
    return path.lower().endswith(_ARCHIVES)


def is_marker(path: str, name: str) -> bool:
    """Whether a path ends with the marker's name, in any case; with ``name`` "" there are no markers."""
    last = path.rpartition("/")[2].lower()
    return bool(name) and last in (name.lower(), *(name.lower() + suffix for suffix in _BEHIND))
