"""What tests of every kind share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("coatcheck", deadline=None)  # tests never assert on time
settings.load_profile("coatcheck")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the project's own files."""
    return Path(__file__).resolve().parent.parent
