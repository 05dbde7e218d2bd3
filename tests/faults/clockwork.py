"""A project's line in this process, with real folders and records, whose time passes as a test says."""

from __future__ import annotations

from collections.abc import Callable

from coatcheck.bench import Bench
from coatcheck.config import load
from coatcheck.intake.folder import Doorbell
from coatcheck.keys import key_path, read_key
from coatcheck.lane import Lane
from coatcheck.ledger import Ledger
from coatcheck.line import Line
from coatcheck.pool import Pool
from coatcheck.profile_file import profile_of
from coatcheck.vault import Vault
from tests.acceptance.house import House


class Clockwork:
    """One project's line in this process, whose time passes as the test says."""

    def __init__(self, house: House) -> None:
        config = load(house.config)
        [project] = config.projects.values()
        key = read_key(key_path(config.key_dir, project.name, None), None)
        self.ledger = Ledger.open(config.state_dir / "ledger.db")
        self.vault = Vault.open(config.state_dir / "vault.db", {project.name: key})
        self.pool = Pool("inline", 1, lambda: None)
        self.doorbell = Doorbell(lambda name: None)
        self.now = 1000.0
        bench = Bench(
            project=project,
            key=key,
            profile=profile_of(project, house.root),
            ledger=self.ledger,
            vault=self.vault,
            pool=Lane(self.pool),
            utc=lambda: "2026-11-21T10:00:00.000Z",
            beat=lambda: None,
        )
        self.line = Line(bench, self.doorbell, lambda: self.now)
        self.looks = 0

    def pass_time(self, seconds: int, until: Callable[[], bool] = lambda: False) -> None:
        """Turn as the service's loop does, four times a second, for so long or until it is so."""
        for _ in range(4 * seconds):
            if until():
                return
            self.now += 0.25
            before = self.line.inbox.looked
            self.line.tick(self.now)
            self.looks += self.line.inbox.looked != before
            self.pool.collect()

    def stop(self) -> None:
        self.line.stop()
        self.doorbell.stop()
        self.vault.close()
        self.ledger.close()
