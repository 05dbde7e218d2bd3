"""Weather over one project of a running house, and what must be seen of it everywhere: status, log and systemd."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.acceptance import studies
from tests.acceptance.house import House, Service, wait_until
from tests.acceptance.test_service import systemd_listens

STRUCK, HEALTHY = "lung", "heart"


class Storm:
    """A running service with a project that is struck and a healthy one."""

    def __init__(self, house: House, service: Service, heard: list[str]) -> None:
        self.house = house
        self.service = service
        self._heard = heard
        self._others = 0

    def fault(self) -> str:
        """What is in the way of the struck project, as the service says."""
        return self.house.said().get("projects", {}).get(STRUCK, {}).get("fault") or ""

    def shows(self, *words: str) -> None:
        """The fault is there: in status, for people and for programs, in the log and in systemd's status line."""
        wait_until(lambda: all(word in self.fault() for word in words), f"the fault is shown: {words}")
        wait_until(lambda: all(word in self.systemd() for word in words), "systemd hears of it")
        self.tells(*words)

    def tells(self, *words: str) -> None:
        """The fault is in status and in the log, perhaps beside others."""
        sql = "SELECT what FROM errors WHERE cleared IS NULL AND project = ?"

        def known() -> list[str]:
            return [self.fault(), *(row[0] for row in self.house.rows(sql, STRUCK))]

        wait_until(lambda: any(all(word in one for word in words) for one in known()), f"it is told of: {words}")
        text = self.house.command("status").stdout
        log = self.service.said()
        for word in words:
            assert any("FAULT" in line and word in line for line in text.splitlines()), text
            assert word in log
        assert "dropped" not in text + log, "the name of a dropped file is shown"

    def systemd(self) -> str:
        """The status line that systemd heard last."""
        return next((one for one in reversed(self._heard) if one.startswith("STATUS=")), "")

    def beats(self) -> int:
        """How many signs of life systemd has heard."""
        return self._heard.count("WATCHDOG=1")

    def is_tried_again(self) -> None:
        """It fails more than once: the work is not given up."""
        sql = "SELECT count FROM errors WHERE cleared IS NULL AND project = ?"
        wait_until(lambda: max((row[0] for row in self.house.rows(sql, STRUCK)), default=0) >= 2, "it is tried again")

    def others_go_on(self) -> None:
        """The healthy project delivers meanwhile."""
        self._others += 1
        self.house.drop(f"{self._others}", studies.instance(500 + self._others, 1), project=HEALTHY)
        outbox = self.house.root / HEALTHY / "outbox"
        wait_until(lambda: len(list(outbox.glob("[!.]*/*"))) == self._others, "the other project delivers")

    def is_over(self) -> None:
        """All has gone its way by itself, and nothing is said of the fault any more."""
        self.house.wait_until_done(seconds=90)
        wait_until(lambda: not self.fault(), "the fault is over")
        sql = "SELECT what FROM errors WHERE cleared IS NULL AND project = ?"
        wait_until(lambda: not self.house.rows(sql, STRUCK), "the ledger has no fault")
        assert "the fault is over" in self.service.said()


@contextmanager
def storm(house: House, place: Path, **environ: str) -> Iterator[Storm]:
    """The running service of a house with both projects, and what systemd hears of it."""
    address = place / "notify"
    with (
        systemd_listens(address) as heard,
        house.service(NOTIFY_SOCKET=os.fspath(address), **environ) as service,
    ):
        wait_until(lambda: set(house.said().get("projects", {})) == {STRUCK, HEALTHY}, "it runs")
        yield Storm(house, service, heard)


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[None]:
    """A small file system in memory over a folder."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with ballast.open("wb", buffering=0) as out:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while out.write(bytes(size)):
                    pass
            except OSError:
                continue


def use_up_inodes(folder: Path) -> None:
    """Make empty files until there are no inodes left."""
    number = 0
    try:
        while True:
            (folder / f"ballast {number}").touch()
            number += 1
    except OSError:
        assert number
