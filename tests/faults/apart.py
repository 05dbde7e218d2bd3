"""A test's story told in namespaces of its own, where it may mount file systems and lower the kernel's limits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.acceptance.house import House

APART: Sequence[str] = ("unshare", "--user", "--map-root-user", "--mount")
_BEGIN = """
import os, shutil, subprocess, sys, time
from pathlib import Path
sys.path[:0] = {path!r}
from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
house = House.__new__(House)
house._name(Path({root!r}), {projects!r})

def line():
    # What the service says of the project, without a process to ask for it.
    return house.said().get("projects", {{}}).get(house.project, {{}})

def run(*words):
    subprocess.run([str(word) for word in words], check=True)
"""


def needs_apart() -> None:
    """Skip unless namespaces can be had, and mounts in them."""
    trial = [*APART, "mount", "-t", "tmpfs", "none", "/mnt"]
    if shutil.which("unshare") is None or subprocess.run(trial, capture_output=True, check=False).returncode:
        pytest.skip("a file system of our own cannot be mounted here")


def tell(house: House, story: str, *, seconds: float = 120.0) -> None:
    """Run the story with ``house`` at hand, apart from the machine's own mounts and limits. It has to end well."""
    begin = _BEGIN.format(path=sys.path, root=os.fspath(house.root), projects=house.projects)
    done = subprocess.run(
        [*APART, sys.executable, "-c", begin + story], capture_output=True, text=True, check=False, timeout=seconds
    )
    said = house.log.read_text(errors="replace") if house.log.exists() else ""
    assert done.returncode == 0, done.stderr + said
