"""Whether a project still has the key with which it began: another one would give every patient a second identity."""

from __future__ import annotations

import hmac

from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey
from coatcheck.vault.base import Base

_ADD = "INSERT OR IGNORE INTO proofs (project, proof) VALUES (?, ?)"
_KNOWN = "SELECT proof FROM proofs WHERE project = ?"


class Proofs(Base):
    """The part of the vault that knows keys again."""

    def prove(self, project: str, key: ProjectKey) -> None:
        """Remember a project's first key, by its pseudonym secret. Raises KeyFileError for any other one."""
        proof = hmac.digest(key.pseudonym_secret, b"coatcheck proof of key", "sha256")
        with self._transaction() as connection:
            connection.execute(_ADD, (project, proof))
        if not hmac.compare_digest(self._rows(_KNOWN, (project,))[0][0], proof):
            raise KeyFileError(
                f"the key of project {project} is not the one that it began with",
                "put the old key file back; what is to begin anew needs a project of another name",
            )
