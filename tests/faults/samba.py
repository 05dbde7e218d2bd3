"""A real SMB server on a free port of the loopback device, real clients for it, and a line between them to be cut."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.acceptance.house import wait_until

CONFIGURATION = """
[global]
  server role = standalone server
  server min protocol = SMB2_10
  smb ports = {port}
  interfaces = 127.0.0.1
  bind interfaces only = yes
  disable netbios = yes
  # A write is carried out whole or not at all: with many small ones a file can be cut off in the middle.
  smb2 max write = 65536
  # Whoever comes is a guest, and what a guest writes belongs to root, as which the tests run.
  map to guest = Bad User
  passdb backend = tdbsam:{own}/passdb.tdb
  private dir = {own}
  state directory = {own}
  cache directory = {own}
  lock directory = {own}
  pid directory = {own}
  ncalrpc dir = {own}/rpc
  log file = {own}/log
  load printers = no
  disable spoolss = yes
[inbox]
  path = {inbox}
  guest ok = yes
  read only = no
  force user = root
"""
SHARE = "inbox"
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Server:
    """A running smbd that shares one folder."""

    def __init__(self, port: int) -> None:
        self.port = port

    def put(self, *commands: str, port: int | None = None) -> subprocess.Popen[bytes]:
        """Start smbclient with these commands, such as ``put NAME``; through another port where one is given."""
        order = ["smbclient", "--no-pass", "--port", str(port or self.port), f"//127.0.0.1/{SHARE}"]
        return subprocess.Popen(
            [*order, "--command", "; ".join(commands)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def done(self, *commands: str) -> None:
        """The same, to its end."""
        assert self.put(*commands).wait(timeout=60) == 0

    @contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """Open a file as a program on another machine does, by the protocol, and hold it open."""
        import smbclient

        smbclient.ClientConfig(require_secure_negotiate=False)  # a guest has no key to sign with
        smbclient.register_session("127.0.0.1", port=self.port, username="guest", password="-", require_signing=False)
        path = rf"\\127.0.0.1\{SHARE}\{name}"
        try:
            with smbclient.open_file(path, mode="wb", port=self.port, buffering=0, share_access="rwd") as file:
                yield file
        finally:
            smbclient.delete_session("127.0.0.1", port=self.port)


@contextmanager
def serving(own: Path, inbox: Path) -> Iterator[Server]:
    """Run smbd for ``inbox``; what it keeps goes to ``own``."""
    (own / "rpc").mkdir(parents=True)
    port = free_port()
    configuration = own / "smb.conf"
    configuration.write_text(CONFIGURATION.format(port=port, own=own, inbox=inbox))
    program = shutil.which("smbd", path=_PATH)
    assert program is not None
    with (own / "said").open("wb") as said:
        process = subprocess.Popen(
            [program, "--foreground", "--no-process-group", f"--configfile={configuration}"],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        wait_until(lambda: answers(port) or process.poll() is not None, "the SMB server answers")
        assert process.poll() is None, (own / "said").read_text()
        yield Server(port)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # it and a process for each client, all in a group of their own
        process.wait()


class Wire:
    """A way to a server that lets so many bytes through from the client, then nothing, and can be cut."""

    def __init__(self, port: int, allowance: int) -> None:
        self._target = port
        self._allowance = allowance
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.stuck = threading.Event()  # the allowance is used up: the client is in the middle of its file
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for one in [self._listener, *self._sockets]:
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if counted:
                    if self._allowance < len(data):
                        self.stuck.set()
                        self._drain(source)
                        break
                    self._allowance -= len(data)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    @staticmethod
    def _drain(source: socket.socket) -> None:
        """Swallow what the client says until it is gone."""
        while source.recv(1 << 16):
            pass
