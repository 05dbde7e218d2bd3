"""A Dask cluster for a test: a real scheduler, real workers and certificates of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.acceptance.house import ENVIRONMENT, alive, descendants, wait_until

_SETTINGS = {  # as the units have them
    "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
    "DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES": "[]",
    "DASK_DISTRIBUTED__WORKER__HTTP__ROUTES": "[]",
}


def certificates(folder: Path) -> dict[str, str]:
    """What `tls:` names: a certificate of an authority that is made for it."""
    folder.mkdir(parents=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("authority", "member"))
    files = {}
    for role, subject, public, is_ca in (
        ("ca", ca_name, ca_key.public_key(), True),
        ("cert", name, key.public_key(), False),
    ):
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=1))
            .not_valid_after(datetime.now(UTC) + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        files[role] = made.public_bytes(serialization.Encoding.PEM)
    files["key"] = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for role, content in files.items():
        (folder / f"{role}.pem").write_bytes(content)
        (folder / f"{role}.pem").chmod(0o600)
    return {role: os.fspath(folder / f"{role}.pem") for role in files}


class Cluster:
    """One scheduler at a port that stays the same, and workers with one slot each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tls = certificates(root / "certificates")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = root / "cluster.log"
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def settings(self) -> dict[str, object]:
        """What a house says to use it."""
        return {"executor": f"dask://127.0.0.1:{self.port}", "tls": self.tls}

    def begin_scheduler(self) -> None:
        """Starts it, or another one in its place."""
        self.scheduler = self._dask("scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", str(self.port))
        wait_until(self._listens, "the scheduler listens")

    def begin_worker(self, *options: str, preload: bool = True) -> subprocess.Popen[bytes]:
        """Starts one more worker."""
        ours = ["--preload", "coatcheck.cluster_worker"] if preload else []
        where = ["--local-directory", os.fspath(self.root / "scratch")]
        fixed = ["--nthreads", "1", "--memory-limit", "0", "--no-nanny", *ours, *where]
        self.workers.append(self._dask("worker", f"tls://127.0.0.1:{self.port}", *fixed, *options))
        return self.workers[-1]

    def said(self) -> str:
        """All that scheduler and workers wrote."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """Ends all of it at once."""
        ours = [*self.workers, *filter(None, [self.scheduler])]
        family = [pid for process in ours for pid in descendants(process.pid)]
        for process in ours:
            process.kill()
            process.wait()
        wait_until(lambda: not any(map(alive, family)), "what they began has ended too")

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _dask(self, *words: str) -> subprocess.Popen[bytes]:
        tls = ["--tls-ca-file", self.tls["ca"], "--tls-cert", self.tls["cert"], "--tls-key", self.tls["key"]]
        command: Sequence[str] = [
            sys.executable,
            "-m",
            "dask",
            *words,
            "--no-dashboard",
            "--dashboard-address",
            "127.0.0.1:0",
            *tls,
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, env=ENVIRONMENT | _SETTINGS, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )


@contextmanager
def cluster(root: Path, *, workers: int = 2) -> Iterator[Cluster]:
    """A running cluster, up to its end."""
    made = Cluster(root)
    try:
        made.begin_scheduler()
        for _ in range(workers):
            made.begin_worker()
        yield made
    finally:
        made.stop()
