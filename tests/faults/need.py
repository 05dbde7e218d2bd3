"""What a test of a fault needs of the machine. Without it the test skips, and says what would make it run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = "run `sudo scripts/faults --install`"
only_in_sweep = pytest.mark.skipif(os.environ.get("COATCHECK_SWEEP") != "1", reason="only in the whole sweep")
"""For tests, and parameters of tests, that scripts/faults runs and scripts/test does not."""


def needs(*programs: str) -> None:
    """Skip unless these programs are there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    absent = [name for name in programs if shutil.which(name, path=path) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} is not installed: {INSTALL}")


def needs_root() -> None:
    """Skip unless root runs the tests."""
    if os.geteuid() != 0:
        pytest.skip("only root may do this: run `sudo scripts/faults`")


def needs_strace() -> None:
    """Skip unless strace is there and may trace."""
    needs("strace")
    if subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], check=False, capture_output=True).returncode:
        pytest.skip("the kernel does not let strace trace here")


def needs_mounts() -> None:
    """Skip unless root may mount file systems on loop devices."""
    needs_root()
    needs("mount", "losetup", "mkfs.ext4")
    done = subprocess.run(["losetup", "--find"], check=False, capture_output=True)
    if done.returncode or not Path("/dev/loop-control").exists():
        pytest.skip("the kernel gives no loop devices here")


def needs_fuse() -> None:
    """Skip unless root may mount FUSE file systems."""
    needs_root()
    needs("fusermount3")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("there is no /dev/fuse here")
