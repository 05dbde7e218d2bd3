"""Whether a backup is what it was when it was made, and could be restored."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from coatcheck.backup.contents import MANIFEST, digest
from coatcheck.errors import CoatcheckError
from coatcheck.ledger.inspect import LedgerInspection
from coatcheck.pairing import older
from coatcheck.vault.inspect import VaultInspection


def check(folder: Path, *, clock: Callable[[], float]) -> Iterator[str]:
    """Everything that is wrong with a backup, one sentence each; nothing where it is whole. Changes nothing.

    Raises CoatcheckError where the folder is no backup at all.
    """
    files = _manifest(folder)["files"]
    for file in files:
        yield from _file(folder, file)
    yield from _strangers(folder, {file["path"] for file in files})
    yield from _databases(folder, clock)


def _manifest(folder: Path) -> dict[str, Any]:
    hint = "name a folder coatcheck-TIME that `coatcheck backup` made; one without a manifest was cut off"
    try:
        said = json.loads((folder / MANIFEST).read_bytes())
        if said["version"] == 1 and all(isinstance(file["path"], str) for file in said["files"]):
            return dict(said)
    except (OSError, ValueError, KeyError, TypeError):
        raise CoatcheckError(f"{folder} holds no manifest that can be read", hint) from None
    raise CoatcheckError(f"the manifest of {folder} is of another version", "check it with the coatcheck that made it")


def _file(folder: Path, file: dict[str, Any]) -> Iterator[str]:
    name = file["path"]
    try:
        status = os.lstat(folder / name)
        if not stat.S_ISREG(status.st_mode):
            yield f"{name} is no regular file"
        elif status.st_size != file["bytes"] or digest(folder / name) != file["sha256"]:
            yield f"{name} is not what it was when the backup was made"
        elif status.st_mode & 0o077:
            yield f"{name} is open to other users: run `chmod 0600` on it"
    except FileNotFoundError:
        yield f"{name} is missing"
    except OSError as error:
        yield f"{name} cannot be read ({error.strerror})"


def _strangers(folder: Path, known: set[str]) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(place, name), folder)
            if path not in known | {MANIFEST}:
                yield "something lies in it that is not part of it"
                return


def _databases(folder: Path, clock: Callable[[], float]) -> Iterator[str]:
    try:
        with (
            closing(LedgerInspection.open(folder / "ledger.db")) as ledger,
            closing(VaultInspection.open(folder / "vault.db", {}, readonly=True)) as vault,
        ):
            for name, one in (("ledger.db", ledger), ("vault.db", vault)):
                found = one.soundness(thorough=True, patience=None, clock=clock)
                if found.faults:
                    yield f"{name} is damaged: {found.faults[0]}"
            which = older(ledger, vault)
            if which is not None:
                yield f"{which}.db is older than the other one: they are not of one backup"
            for fault in vault.audit_faults(ledger.audit_anchor())[:1]:
                yield f"the audit was changed: {fault}"
    except CoatcheckError as error:
        yield str(error)
