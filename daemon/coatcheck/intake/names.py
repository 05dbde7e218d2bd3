"""Names in an inbox that are left alone: files still on their way under another name, and what systems leave behind.

Who makes a name decides whether its case counts. Suffixes and the files of Windows are matched in any case: the
systems they come from do not tell cases apart, and a share may store them in another case than they were given. The
folders of NAS systems and of archives are made by programs that always write them the same way.
A name that is left alone is never touched and never refused. It is counted, so that a person can see it.
"""

from __future__ import annotations

from typing import Final

TEMPORARY_PREFIXES: Final[dict[str, str]] = {
    ".": "hidden by custom: rsync, Samba and most tools write here first (also .nfs*, .smbdelete*, .DS_Store, ._*)",
    "~$": "the owner file that Microsoft Office puts beside an open document",
}

TEMPORARY_SUFFIXES: Final[dict[str, str]] = {
    ".part": "Firefox, wget scripts and many transfer tools",
    ".partial": "rsync wrappers, Internet Explorer, rclone",
    ".filepart": "WinSCP",
    ".tmp": "robocopy scripts, Office, most programs that write and then rename",
    ".crdownload": "Chrome and other Chromium browsers",
}

LITTER_ANY_CASE: Final[dict[str, str]] = {
    "thumbs.db": "Windows Explorer: thumbnails of a folder",
    "desktop.ini": "Windows Explorer: how a folder is shown",
}

LITTER_EXACT: Final[dict[str, str]] = {
    ".DS_Store": "macOS Finder: how a folder is shown",
    "@eaDir": "Synology: thumbnails and extended attributes",
    "__MACOSX": "macOS Archive Utility: resource forks in a ZIP",
}

LITTER_PREFIXES: Final[dict[str, str]] = {
    "._": "macOS on a share without resource forks: an AppleDouble file",
}

_PREFIXES = tuple(TEMPORARY_PREFIXES)
_SUFFIXES = tuple(TEMPORARY_SUFFIXES)
_LITTER_PREFIXES = tuple(LITTER_PREFIXES)


def is_temporary(name: str) -> bool:
    """Tell whether ``name`` (without folders) is one that a sender writes under until the file is whole."""
    return name.startswith(_PREFIXES) or name.lower().endswith(_SUFFIXES)


def is_litter(name: str) -> bool:
    """Tell whether ``name`` (without folders) is left behind by an operating system and nobody's data."""
    return name in LITTER_EXACT or name.lower() in LITTER_ANY_CASE or name.startswith(_LITTER_PREFIXES)


def is_left_alone(name: str) -> bool:
    """Tell whether a file of this name, or a folder of this name with all that is in it, stays where it is."""
    return is_temporary(name) or is_litter(name)
