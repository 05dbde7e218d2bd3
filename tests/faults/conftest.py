"""What the tests of faults share: how much of a sweep to run, and the table of what fired and what it cost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

Report = Callable[..., None]


@pytest.fixture(scope="session")
def sweep() -> bool:
    """Whether the whole sweep runs (scripts/faults), and not the fixed part of it that runs with all other tests."""
    return os.environ.get("COATCHECK_SWEEP") == "1"


@pytest.fixture
def report() -> Report:
    """Notes a fault for the table of scripts/faults, once what it did was judged: ``report("a fault", fired=3)``."""

    def note(fault: str, *, fired: int, lost: int = 0, doubled: int = 0, partial: int = 0) -> None:
        assert fired > 0, f"the fault did not fire: {fault}"
        assert (lost, doubled, partial) == (0, 0, 0), f"{fault}: lost {lost}, doubled {doubled}, partial {partial}"
        row = {"fault": fault, "fired": fired, "lost": lost, "doubled": doubled, "partial": partial}
        target = os.environ.get("COATCHECK_FAULT_TABLE")
        if target:
            with Path(target).open("a", encoding="utf-8") as table:
                table.write(json.dumps(row) + "\n")

    return note
