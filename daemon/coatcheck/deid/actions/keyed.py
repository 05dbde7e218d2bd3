"""Actions that put something keyed in the place of a text: a hash that cannot be undone, and a seal that can."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from coatcheck.deid import pseudonyms, texts
from coatcheck.deid.actions.context import Context

SHORTEST_HASH, LONGEST_HASH = 8, 51
"""In letters of 5 bits: at least 40 bits, so that values of one project do not meet, at most what a digest holds."""

SHORTEST_SEALED = 23
"""Letters that a text of one byte takes when it is sealed: 16 bytes more (AES-SIV), in base64."""

_CROCKFORD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@dataclass(frozen=True, slots=True)
class Hash:
    """Each text becomes its keyed hash, the same wherever it stands, cut to ``length`` letters and to the VR."""

    length: int = 16

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """Digits and capital letters, fit for every text VR."""
        return texts.mapped(value, vr, context.charset, lambda text: self._hash(text, context))

    def _hash(self, text: str, context: Context) -> str:
        digest = pseudonyms.derive(context.secret, "hash", text.strip(" "))
        return base64.b32encode(digest).decode("ascii").translate(_CROCKFORD)[: self.length]


@dataclass(frozen=True, slots=True)
class Encrypt:
    """Each text becomes its sealed UTF-8 bytes, as text. ``too_short`` (remove, empty, hash) where the VR cannot hold
    that: 64 characters of an LO hold 32 bytes of text, the 16 of an SH none."""

    too_short: str = "remove"

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The sealed texts; None, to remove the element, where there is no key or where ``too_short`` says so."""
        seal = context.seal
        if seal is None:
            return None

        def sealed(text: str) -> str | None:
            whole = sealed_text(seal(text.encode("utf-8", "surrogatepass")))
            room = texts.longest(vr)
            return whole if room is None or len(whole) <= room else self._instead(text, context)

        return texts.mapped(value, vr, context.charset, sealed)

    def _instead(self, text: str, context: Context) -> str | None:
        if self.too_short == "hash":
            return Hash()._hash(text, context)
        return "" if self.too_short == "empty" else None


def sealed_text(data: bytes) -> str:
    """Sealed bytes as text: base64url (RFC 4648, 5) without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def unsealed_text(text: str) -> bytes:
    """The sealed bytes that ``sealed_text`` wrote, whatever the padding. Raises ValueError for other text."""
    letters = text.strip(" \0")
    try:
        data = base64.b64decode(letters + "=" * (-len(letters) % 4), altchars=b"-_", validate=True)
    except ValueError:
        data = b""
    if not data or sealed_text(data) != letters:
        raise ValueError("this text was not made by the action encrypt")
    return data
