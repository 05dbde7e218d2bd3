"""What the action ``encrypt`` does to a value, and its way back: AES-SIV (RFC 5297), with a key made of the project's.

Deterministic, so that equal values stay equal and a repeated run gives the same bytes.
"""

from __future__ import annotations

from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from coatcheck.deid import pseudonyms


def seal(secret: bytes, value: bytes) -> bytes:
    """The value encrypted with the key of a project's pseudonym secret; 16 bytes longer."""
    return _cipher(secret).encrypt(value, None)


def unseal(secret: bytes, sealed: bytes) -> bytes:
    """What ``seal`` was given. Raises ValueError for bytes that this project's key has not made."""
    try:
        return _cipher(secret).decrypt(sealed, None)
    except InvalidTag:
        raise ValueError("not made with this key") from None


@lru_cache(maxsize=8)
def _cipher(secret: bytes) -> AESSIV:
    return AESSIV(pseudonyms.derive(secret, "seal", "value") + pseudonyms.derive(secret, "seal", "counter"))
