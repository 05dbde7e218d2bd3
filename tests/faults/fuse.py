"""An inbox seen through a FUSE mount: what is written on the other side rings no bell here."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.house import wait_until

_SFTP_SERVERS = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server")


def _sshfs(behind: Path, mount: Path, own: Path) -> Sequence[str]:
    """sshfs without ssh: the server's program is run here, and speaks with it by pipes."""
    server = next((path for path in _SFTP_SERVERS if Path(path).exists()), None)
    if server is None:
        pytest.skip("there is no sftp-server: run `sudo scripts/faults --install`")
    wrapper = own / "not-ssh"
    wrapper.write_text(f"#!/bin/sh\necho $$ >'{own}/server'\nexec {server}\n")
    wrapper.chmod(0o755)
    return ["sshfs", "-f", "-o", f"ssh_command={wrapper},dcache_timeout=1", f"here:{behind}", os.fspath(mount)]


def _rclone(behind: Path, mount: Path, own: Path) -> Sequence[str]:
    """rclone of a folder, with caches as short as README.md asks for."""
    caches = ["--vfs-cache-mode=off", "--dir-cache-time=1s", "--attr-timeout=1s"]
    place = [f"--config={own / 'none.conf'}", f"--cache-dir={own / 'cache'}", f"--log-file={own / 'log'}"]
    return ["rclone", "mount", *caches, *place, os.fspath(behind), os.fspath(mount)]


def mounted(folder: Path) -> bool:
    """Whether something answers there that is no part of the file system around it."""
    return os.path.ismount(folder)


@contextmanager
def mount_of(kind: str, behind: Path, mount: Path, own: Path) -> Iterator[None]:
    """Mount ``behind`` at ``mount``, up to the end; ``own`` is for what the mount keeps."""
    own.mkdir()
    command = (_sshfs if kind == "sshfs" else _rclone)(behind, mount, own)
    assert shutil.which(command[0]) is not None
    with (own / "said").open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        wait_until(lambda: mounted(mount) or process.poll() is not None, f"{kind} has mounted")
        assert process.poll() is None, (own / "said").read_text()
        yield
    finally:
        subprocess.run(["fusermount3", "-u", "-z", os.fspath(mount)], check=False, capture_output=True)
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def hung(own: Path) -> Iterator[None]:
    """The server behind sshfs does not answer any more, and fails in nothing either. ``own`` is the mount's."""
    server = int((own / "server").read_text())
    os.kill(server, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server, signal.SIGCONT)
