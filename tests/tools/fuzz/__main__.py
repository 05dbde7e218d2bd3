"""Fuzzes a part of coatcheck: ``scripts/fuzz [--target walker|worker|gate] [--inputs N] [--seconds N] [--plain]``.

Prints the figures, and keeps the smallest input for each mistake. The exit code is 1 where there is one.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from coatcheck.limits import ADDRESS_SPACE, bind_memory

HINT = "atheris is not installed; install it with `.venv/bin/python -m pip install -e '.[fuzz]'`, or give --plain"


def main(arguments: Sequence[str] | None = None) -> int:
    """What the script does."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Fuzz a part of coatcheck.")
    parser.add_argument("--target", choices=("walker", "worker", "gate"), default="worker")
    parser.add_argument("--inputs", type=int, default=1_000_000_000, help="at most so many")
    parser.add_argument("--seconds", type=float, default=60.0, help="at most for so long (60)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed makes the same inputs (1)")
    parser.add_argument("--plain", action="store_true", help="by the project's own mutator, without atheris")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "coatcheck-fuzz"), metavar="FOLDER")
    given = parser.parse_args(arguments)
    if not given.plain and importlib.util.find_spec("atheris") is None:
        print(HINT, file=sys.stderr)
        return 2
    given.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        return _run(given, Path(folder))


def _run(given: argparse.Namespace, folder: Path) -> int:
    if not given.plain:
        _instrumented()
    from tests.tools.fuzz import campaign as engine

    (folder / "work").mkdir()
    campaign = engine.made(given.target, given.keep, folder / "work")
    bind_memory(ADDRESS_SPACE)
    if given.plain:
        engine.run_plain(campaign, given.seed, given.inputs, given.seconds)
    else:
        learned = given.keep / "learned" / given.target
        learned.mkdir(parents=True, exist_ok=True)
        engine.run_atheris(campaign, given.seed, given.inputs, given.seconds, learned)
    print(campaign.told())
    return 1 if any(given.keep.glob(f"{given.target}-*")) else 0


def _instrumented() -> None:
    """What an input reaches in here is what guides the next one."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["coatcheck"]):
        import coatcheck.transform  # noqa: F401


if __name__ == "__main__":
    sys.exit(main())
