"""Whether a project still has the key with which it began: another one would give every patient a second identity."""

from __future__ import annotations

import hmac
import sqlite3

from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey
from coatcheck.vault.base import Base

_ADD = """
    INSERT INTO proofs (project, proof, key_number) VALUES (?, ?, ?)
    ON CONFLICT (project) DO UPDATE SET key_number = MAX(key_number, excluded.key_number)
    WHERE proof = excluded.proof AND key_number IN ({numbers})
"""
_KNOWN = "SELECT proof, key_number FROM proofs WHERE project = ?"
_DESTROYED = "SELECT at FROM destroyed WHERE project = ?"


class Proofs(Base):
    """The part of the vault that knows keys again."""

    def prove(self, project: str, key: ProjectKey) -> None:
        """Remember a project's first key, by its pseudonym secret. Raises KeyFileError for any other one.

        So it does for a file that lacks the sealing key of this vault, as a copy from before the last rotation does,
        for what is sealed with it would be taken for unknown; and where the key was destroyed.
        """
        numbers = ", ".join(map(str, (0, *key.sealing_keys)))
        with self._transaction() as connection:
            if self.destroyed(project) is None:
                connection.execute(_ADD.format(numbers=numbers), (project, proof_of(key), key.current))
        self.vouch(project, key)

    def vouch(self, project: str, key: ProjectKey) -> None:
        """As `prove`, but nothing is remembered: a project that has no key yet may have any."""
        at = self.destroyed(project)
        if at is not None:
            raise was_destroyed(project, at)
        for row in self._rows(_KNOWN, (project,)):
            if not hmac.compare_digest(row["proof"], proof_of(key)):
                raise KeyFileError(
                    f"the key of project {project} is not the one that it began with",
                    "put the old key file back; what is to begin anew needs a project of another name",
                )
            if row["key_number"] not in (0, *key.sealing_keys):
                raise KeyFileError(
                    f"the key of project {project} lacks sealing key {row['key_number']}, which seals its vault",
                    "put the key file there that belongs to this vault: the newest one, or the one of the backup's time"
                    " where the vault was restored; run this again if the key was rotated just now",
                )

    def is_known(self, project: str) -> bool:
        """Whether the project ever ran, so that it has a key that cannot be replaced."""
        return bool(self._rows(_KNOWN, (project,)))

    def destroyed(self, project: str) -> str | None:
        """When the project's key was destroyed (UTC), or None."""
        found: list[sqlite3.Row] = self._rows(_DESTROYED, (project,))
        return str(found[0]["at"]) if found else None


def was_destroyed(project: str, at: str) -> KeyFileError:
    """What is said to whoever wants something of a project whose key is no more."""
    return KeyFileError(
        f"the key of project {project} was destroyed on {at}: what it delivered is anonymised",
        "nothing can be traced back any more; what comes next needs a project of another name",
    )


def proof_of(key: ProjectKey) -> bytes:
    """What the vault keeps of a key to know it again."""
    return hmac.digest(key.pseudonym_secret, b"coatcheck proof of key", "sha256")
