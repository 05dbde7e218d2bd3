"""Sealing of what the vault holds: AES-SIV (RFC 5297), deterministic, so that a sealed value can be looked up."""

from __future__ import annotations

from functools import cache, partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from coatcheck.errors import StateError
from coatcheck.keys import ProjectKey

# AES-SIV of nothing is not supported by every OpenSSL, so each value is led by one byte, the format's version.
_LEAD = b"\x01"


class Seal:
    """Seals and opens the values of one project.

    A sealed value is bound to its project, to the place it is meant for (table, kind, column) and to the key's number:
    copied elsewhere it does not open.
    """

    def __init__(self, project: str, key: ProjectKey) -> None:
        self._project = project
        self._ciphers = {number: AESSIV(value) for number, value in key.sealing_keys.items()}
        self._newest_first = sorted(self._ciphers, reverse=True)
        self._bound = cache(partial(_bound_to, project.encode()))
        self.current = key.current

    def close(self, place: str, value: bytes) -> bytes:
        """Seal with the current key. Equal values at one place are equal when sealed."""
        return self._close(self.current, place, value)

    def candidates(self, place: str, value: bytes) -> list[bytes]:
        """The value sealed with every key, the current one first: it may have been stored under any of them."""
        return [self._close(number, place, value) for number in self._newest_first]

    def open(self, place: str, number: int, sealed: bytes) -> bytes:
        """The value. Raises StateError if the key is not there, is another one, or a bit was changed."""
        cipher = self._ciphers.get(number)
        if cipher is None:
            what = f"the key of project {self._project} lacks sealing key {number}, which its vault needs"
            hint = "run this again if the key was rotated just now; else restore the key file that has it"
            raise StateError(what, hint)
        return _open(cipher, self._project, place, sealed, self._bound(number, place))

    def _close(self, number: int, place: str, value: bytes) -> bytes:
        return self._ciphers[number].encrypt(_LEAD + value, self._bound(number, place))


class RowSeal:
    """Seals what one row holds with a key of its own (64 bytes), which itself stands sealed in that row."""

    def __init__(self, project: str, key: bytes) -> None:
        self._project = project
        self._cipher = AESSIV(key)

    def close(self, column: str, value: bytes) -> bytes:
        """Seal for one column of the row."""
        return self._cipher.encrypt(_LEAD + value, _bound_to_row(column))

    def open(self, column: str, sealed: bytes) -> bytes:
        """The value. Raises StateError if it was changed."""
        return _open(self._cipher, self._project, f"audit/{column}", sealed, _bound_to_row(column))


def _bound_to(project: bytes, number: int, place: str) -> list[bytes]:
    return [b"coatcheck vault", project, place.encode(), b"%d" % number]


def _bound_to_row(column: str) -> list[bytes]:
    return [b"coatcheck audit row", column.encode()]


def _open(cipher: AESSIV, project: str, place: str, sealed: bytes, bound: list[bytes]) -> bytes:
    try:
        return cipher.decrypt(sealed, bound)[len(_LEAD) :]
    except (InvalidTag, ValueError, TypeError):
        what = f"a sealed value of project {project} in the vault cannot be opened ({place})"
        raise StateError(what, "the key file is of another project, or the vault is damaged: restore both") from None


def fingerprint(sealed: bytes) -> bytes:
    """What the indexes hold of a sealed value: its synthetic IV (RFC 5297, 2.6), equal for equal values only."""
    return sealed[:16]


def encode(text: str) -> bytes:
    """Any text as bytes, lone surrogates included: dropped names and damaged values have them."""
    return text.encode("utf-8", "surrogatepass")


def decode(value: bytes) -> str:
    """What `encode` was given."""
    return value.decode("utf-8", "surrogatepass")
