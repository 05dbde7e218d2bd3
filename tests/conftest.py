"""What tests of every kind share."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # Who runs in the background ignores it, and all that it begins.
    signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("coatcheck", deadline=None)  # tests never assert on time
settings.load_profile("coatcheck")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the project's own files."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)
