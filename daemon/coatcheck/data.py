"""Where the data files that ship with coatcheck are: profiles and the standard's tables."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from coatcheck.errors import CoatcheckError


@cache
def profiles_dir() -> Path:
    """The folder ``profiles``: beside the code in an installed wheel, at the repository's root in an editable install.

    Raises CoatcheckError when neither holds the standard's tables, that is, when the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "profiles", package.parents[1] / "profiles"):
        if (folder / "standard" / "annex_e.tsv").is_file():
            return folder
    raise CoatcheckError("The folder `profiles` with the standard's tables is missing", "Install coatcheck again.")
