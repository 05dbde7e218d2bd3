"""A house with a long past, for measurements: ``scripts/make_history.py FOLDER [--instances N] [--per-study N]``.

What is in ledger.db and vault.db was written by the service's own methods, as it would have been over years: every
hundredth Study was refused as a whole, of every fiftieth some files; patients came twice. Only the syncs are left out.
Nothing lies in archive and outbox. ``originals`` are deleted, and nothing settles, so that `run --once` is quick.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Process
from pathlib import Path

from coatcheck.config import load
from coatcheck.database import WAL_KEPT
from coatcheck.deid import pseudonyms
from coatcheck.deid.standard import EDITION
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.keys import key_path, read_key
from coatcheck.ledger import Ledger
from coatcheck.model import Arrival, Fingerprint, Refusal, Staged
from coatcheck.reasons import Reason
from coatcheck.vault import Kind, Vault

PROJECT = "bench"
SETTINGS = "file_settle: 0s\n    study_settle: 0s\n    originals: delete"
ROOT = "1.2.826.0.1.3680043.10.999"
CT = "1.2.840.10008.5.1.4.1.1.2"
NOW = "2026-11-21T10:00:00.000Z"
SERIES, SOME = 4, 5
FAST = (
    "PRAGMA journal_mode=MEMORY",
    "PRAGMA synchronous=OFF",
    "PRAGMA cache_size=-4000000",
    "PRAGMA locking_mode=EXCLUSIVE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """How much there was: Studies, each with so many Instances."""

    studies: int
    instances: int


def main() -> int:
    """Makes the house."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--instances", type=int, default=5_000_000)
    parser.add_argument("--per-study", type=int, default=250)
    wanted = parser.parse_args()
    past = Past(studies=wanted.instances // wanted.per_study, instances=wanted.per_study)
    make(wanted.folder, past)
    return 0


def make(folder: Path, past: Past) -> None:
    """The house, and both databases side by side: they know each other by numbers only."""
    command = [sys.executable, "-m", "coatcheck", "init", str(folder), "--project", PROJECT]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    config = folder / "coatcheck.yaml"
    config.write_text(config.read_text().replace("profile: research", f"profile: research\n    {SETTINGS}", 1))
    processes = [Process(target=fill, args=(folder, past)) for fill in (fill_ledger, fill_vault)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise SystemExit("the past could not be made")


def fill_ledger(folder: Path, past: Past) -> None:
    """Every Study from `open` to its end."""
    config = load(folder / "coatcheck.yaml")
    secret = read_key(key_path(config.key_dir, PROJECT, None), None).pseudonym_secret
    ledger = Ledger.open(config.state_dir / "ledger.db")
    quicken(ledger)
    for number in range(past.studies):
        ticket = pseudonyms.ticket(secret, study_uid(number))
        delivery = ledger.open_delivery(
            project=PROJECT,
            ticket=ticket,
            study_uid=pseudonyms.uid(secret, study_uid(number)),
            subject=pseudonyms.subject(secret, patient(number), ""),
            profile="research",
            profile_digest="0" * 64,
            edition=EDITION,
            tags={0x00080018, 0x00100020},
            instances=past.instances,
            now=NOW,
        )
        if number % 100 == 99:
            where = f"{Reason.IDENTITY_FOUND}/{ticket}"
            row = ledger.quarantine_study(
                delivery, reason=Reason.IDENTITY_FOUND, files=past.instances, folder=where, now=NOW
            )
            ledger.refusal_done(row, NOW)
            continue
        refused = [refusal(number, one) for one in range(SOME if number % 50 == 49 else 0)]
        rows = ledger.stage(
            delivery,
            number=1,
            folder=f"S/{ticket}",
            staged=[staged(secret, number, one) for one in range(len(refused), past.instances)],
            refused=refused,
            now=NOW,
        )
        ledger.release(delivery, NOW)
        for row in rows:
            ledger.refusal_done(row, NOW)
        ledger.done(delivery, NOW)
    slow_down(ledger)


def fill_vault(folder: Path, past: Past) -> None:
    """Who is who, and what became of each file."""
    config = load(folder / "coatcheck.yaml")
    key = read_key(key_path(config.key_dir, PROJECT, None), None)
    secret = key.pseudonym_secret
    vault = Vault.open(config.state_dir / "vault.db", {PROJECT: key})
    vault.prove(PROJECT, key)
    quicken(vault)
    for number in range(past.studies):
        if number % 100 != 99:
            uids = {uid: pseudonyms.uid(secret, uid) for uid in all_uids(number, past.instances)}
            subject = pseudonyms.subject(secret, patient(number), "")
            vault.record(PROJECT, Kind.UID, uids, NOW)
            vault.record(PROJECT, Kind.PATIENT, {patient(number): subject}, NOW)
            vault.record(PROJECT, Kind.SUBJECT, {patient(number): subject}, NOW)
            vault.record(PROJECT, Kind.DATE_SHIFT, {study_uid(number): "-30"}, NOW)
        files = [planned(number, one, set_aside=number % 100 == 99) for one in range(past.instances)]
        vault.settle_fate(vault.plan(PROJECT, delivery_id=number + 1, files=files), FateState.DONE)
    slow_down(vault)


def quicken(database: Ledger | Vault) -> None:
    """No syncs while the past is made."""
    for pragma in FAST:
        database._db.conn.execute(pragma)


def slow_down(database: Ledger | Vault) -> None:
    """As the service opens it."""
    for pragma in ("PRAGMA locking_mode=NORMAL", "PRAGMA journal_mode=WAL", f"PRAGMA journal_size_limit={WAL_KEPT}"):
        database._db.conn.execute(pragma)
    database.close()


def study_uid(number: int) -> str:
    """The original UID of a Study."""
    return f"{ROOT}.{number}"


def sop_uid(number: int, one: int) -> str:
    """The original UID of an Instance."""
    return f"{ROOT}.{number}.{one % SERIES}.{one}"


def all_uids(number: int, instances: int) -> Iterator[str]:
    """Those of a Study, its Series and its Instances."""
    yield study_uid(number)
    yield from (f"{ROOT}.{number}.{series}" for series in range(SERIES))
    yield from (sop_uid(number, one) for one in range(instances))


def patient(number: int) -> str:
    """Each comes twice."""
    return f"P{number // 2:07d}"


def fingerprint(number: int, one: int) -> Fingerprint:
    """What the file once was."""
    return Fingerprint(64769, number * 1000 + one, 535_000, 1_767_225_600_000_000_000, 1_767_225_600_000_000_000)


def arrival(number: int, one: int) -> Arrival:
    """The file as it was dropped."""
    path = f"disc{number}/S{one % SERIES}/IM{one:05d}.dcm"
    return Arrival(project=PROJECT, path=path, fingerprint=fingerprint(number, one))


def staged(secret: bytes, number: int, one: int) -> Staged:
    """A result as a worker tells of it."""
    return Staged(
        arrival=arrival(number, one),
        sop_uid=pseudonyms.uid(secret, sop_uid(number, one)),
        series_uid=pseudonyms.uid(secret, f"{ROOT}.{number}.{one % SERIES}"),
        sop_class_uid=CT,
        digest=number.to_bytes(8, "big") + one.to_bytes(8, "big"),
        size=534_000,
    )


def refusal(number: int, one: int) -> Refusal:
    """A file that did not leave with its Study."""
    return Refusal(arrival=arrival(number, one), reason=Reason.PIXEL_RISK, detail="(0028,0301)")


def planned(number: int, one: int, *, set_aside: bool) -> PlannedFile:
    """What became of a file."""
    path = arrival(number, one).path
    fate, place = (Fate.QUARANTINE, f"{Reason.IDENTITY_FOUND}/T/") if set_aside else (Fate.ARCHIVE, "T/")
    return PlannedFile(path=path, fingerprint=fingerprint(number, one), fate=fate, destination=place + path)


if __name__ == "__main__":
    sys.exit(main())
