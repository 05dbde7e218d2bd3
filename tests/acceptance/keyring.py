"""What tests of keys do to a house, and what they look at: the key file, the vault without a key, and its audit."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from coatcheck.keys import ProjectKey, read_key
from coatcheck.vault import Kind, Vault
from tests.acceptance.house import House

MANY = {f"1.2.{number}": f"2.25.{number}" for number in range(6000)}

_PR_GET_DUMPABLE = 3  # prctl(2)


def key_file(house: House, project: str = "lung") -> Path:
    return house.root / "keys" / f"{project}.key"


def vault_of(house: House, keys: Mapping[str, ProjectKey] | None = None) -> Vault:
    return Vault.open(house.state / "vault.db", keys or {}, readonly=True)


def faults(house: House) -> list[str]:
    """What the audit's chain says to somebody without a key."""
    anchored = house.rows("SELECT last, head FROM audit_anchor")
    assert anchored
    with closing(vault_of(house)) as vault:
        return vault.audit_faults((anchored[0][0], anchored[0][1]))


def audited(house: House, project: str = "lung") -> list[str]:
    with closing(sqlite3.connect(house.state / "vault.db")) as db:
        return [row[0] for row in db.execute("SELECT action FROM audit WHERE project = ? ORDER BY id", (project,))]


def sealed_with(house: House, project: str = "lung") -> set[int]:
    """The sealing keys of everything in the vault that is sealed."""
    with closing(sqlite3.connect(house.state / "vault.db")) as db:
        tables = ("mappings", "files", "audit WHERE row_key NOT NULL")
        sql = " UNION ".join(f"SELECT key_number, project FROM {table}" for table in tables)
        return {number for number, name in db.execute(sql) if name == project}


def fill(house: House) -> None:
    """So many mappings that a rotation takes its time."""
    with closing(Vault.open(house.state / "vault.db", {"lung": read_key(key_file(house))})) as vault:
        vault.record("lung", Kind.UID, MANY, "2026-11-21T10:00:00.000Z")


def rotate(house: House, **environ: str) -> subprocess.CompletedProcess[str]:
    return house.command("key", "rotate", "--project", "lung", **environ)


def redeemed(house: House, value: object) -> str:
    done = house.command("redeem", "--project", "lung", str(value), "--reason", "incidental finding")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def destroy(house: House, *arguments: str) -> subprocess.CompletedProcess[str]:
    return house.command("key", "destroy", "--project", "lung", *arguments)


def coatcheck_command(house: House) -> list[str]:
    """The command, to be run by something else."""
    return [sys.executable, "-m", "coatcheck", "--config", os.fspath(house.config)]


def moved(house: House, root: Path) -> House:
    """A copy of a house that is at home at its new place."""
    copy = House.__new__(House)
    copy._name(root, house.projects)
    return copy


def dumpable(context: object, items: Sequence[int]) -> list[int]:
    """What the kernel says of the process that this runs in."""
    return [ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) for _ in items]
