"""A house whose service is the installed unit on a machine with a real systemd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coatcheck.scaffold_text import top_text
from tests.acceptance import studies
from tests.acceptance.house import QUICK, House, wait_until
from tests.faults.systemd import Machine, machine, needs_same_python, needs_systemd, put_in_place

PROGRAM = "/opt/coatcheck/bin/coatcheck"
CONFIG = "/etc/coatcheck/coatcheck.yaml"
SLICES = 4


class Site(House):
    """Projects below /srv of a machine, each made writable for the service by a drop-in. The service is not started."""

    def __init__(self, made: Machine, *projects: str, **settings: object) -> None:
        self.machine = made
        self._name(made.path("srv"), projects or ("lung",))
        self.config = made.path(CONFIG)
        put_in_place(made)
        made.write(CONFIG, top_text("/var/lib/coatcheck", "/etc/coatcheck/keys"), 0o640)
        made.run("chgrp", "coatcheck", CONFIG)
        self.add(*self.projects)
        self.configure(**{"executor": "processes", "workers": 2, "profile": "basic", **QUICK, **settings})
        made.drop_in("folders", *(f"ReadWritePaths=-/srv/{name}" for name in self.projects))
        made.drop_in("quick", "RestartSec=100ms", "TimeoutStartSec=60s")

    @property
    def state(self) -> Path:
        return self.machine.path("var/lib/coatcheck")

    def add(self, *projects: str) -> None:
        """Make projects, and give them to the service's user."""
        words = [word for name in projects for word in ("--project", name)]
        self.machine.run(PROGRAM, "init", "/srv", "--config", CONFIG, *words)
        self.machine.run("chown", "-R", "coatcheck:coatcheck", "/etc/coatcheck/keys", *(f"/srv/{n}" for n in projects))

    def command(self, *arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(PROGRAM, "--config", CONFIG, *arguments, check=False, **environ)

    def said(self) -> dict[str, Any]:
        text = (self.state / "status.json").read_bytes() if (self.state / "status.json").exists() else b"{}"
        said: dict[str, Any] = json.loads(text)
        return said if said.get("pid") == self.pid() else {}

    def begin(self) -> None:
        """Start the service, which is to be ready."""
        done = self.machine.run("systemctl", "start", "coatcheck", check=False)
        assert done.returncode == 0, f"{done.stderr}{self.machine.journal()}"

    def end(self) -> None:
        """Stop it."""
        self.machine.systemctl("stop", "coatcheck")

    def pid(self) -> int:
        """The main process, as the machine numbers it; 0 where none runs."""
        return int(self.machine.show("MainPID"))

    def signal(self, name: str) -> None:
        """Send a signal to the main process alone."""
        self.machine.systemctl("kill", f"--signal={name}", "--kill-whom=main", "coatcheck")

    def restarts(self) -> int:
        """How often systemd started it again by itself."""
        return int(self.machine.show("NRestarts"))

    def wait_for_restart(self, number: int = 1, *, seconds: float = 60.0) -> None:
        """Wait until systemd has started it again so often, and it is ready."""
        wait_until(lambda: self.restarts() >= number, f"it was restarted {number} times", seconds=seconds)
        wait_until(lambda: self.machine.show("ActiveState") == "active", "it is ready again", seconds=seconds)

    def load(self, first: int, count: int, *, side: int = 128) -> None:
        """Drop whole Studies, each of which appears in the inbox at once, in a folder that the service may change."""
        owner = self.inbox.stat()
        for study in range(first, first + count):
            making = self.root / self.project / f"making-{study}"
            making.mkdir()
            for slice_ in range(SLICES):
                (making / str(slice_)).write_bytes(studies.instance(study, slice_, side=side))
            os.chown(making, owner.st_uid, owner.st_gid)
            making.rename(self.inbox / f"study-{study}")

    def at_work(self) -> None:
        """Wait until some of the load is out and some is not."""
        wait_until(lambda: self.rows("SELECT 1 FROM deliveries WHERE state = 'done'"), "the first are out")
        assert any(self.inbox.iterdir()), "all was done too soon"

    def undisturbed(self, root: Path, first: int, count: int, *, side: int = 128) -> dict[str, bytes]:
        """What a house with the same key makes of the same Studies when nothing comes in between."""
        other = House(root, self.project, profile="basic")
        shutil.copy(self.machine.path(f"etc/coatcheck/keys/{self.project}.key"), root / "keys")
        for study in range(first, first + count):
            for slice_ in range(SLICES):
                other.drop(f"study-{study}/{slice_}", studies.instance(study, slice_, side=side))
        other.deliver()
        return other.delivered()


@contextmanager
def site(work: Path, *projects: str, **settings: object) -> Iterator[Site]:
    """A site on a machine that is booted in ``work``."""
    needs_systemd()
    needs_same_python()
    work.mkdir()
    with machine(work) as made:
        yield Site(made, *projects, **settings)
