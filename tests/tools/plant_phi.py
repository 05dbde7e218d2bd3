"""Write a planted set: ``python -m tests.tools.plant_phi OUT [--seed N] [--base]``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from tests.tools.plant import plant


def main() -> None:
    """Write the set and say what is in it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--base", action="store_true", help="only the base set of 60 files")
    arguments = parser.parse_args()
    key = plant(arguments.out, arguments.seed, more_places=not arguments.base)
    actions = Counter(planted["action"] for file in key["files"] for planted in file["plants"])
    print(len(key["files"]), "files,", actions.total(), "plants:", dict(actions))


if __name__ == "__main__":
    main()
