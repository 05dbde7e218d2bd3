"""Keyed pseudonyms: HMAC-SHA256(project secret, kind ‖ 0 ‖ original), the same everywhere and for ever.

No table is needed to derive them, no table can be guessed without the secret, and a rerun gives the same bytes.
"""

from __future__ import annotations

import hmac

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U to be misread


def derive(secret: bytes, kind: str, original: str) -> bytes:
    """32 bytes that depend on the secret, the kind and the original."""
    message = kind.encode() + b"\0" + original.encode("utf-8", "surrogateescape")
    return hmac.digest(secret, message, "sha256")


def _letters(digest: bytes, length: int) -> str:
    number = int.from_bytes(digest, "big")
    return "".join(_ALPHABET[number >> 5 * place & 31] for place in range(length))


def uid(secret: bytes, original: str) -> str:
    """The new UID for an original one: a UUID of version 8 (RFC 9562) below 2.25 (PS3.5 B.2), at most 44 characters."""
    number = int.from_bytes(derive(secret, "uid", original)[:16], "big")
    number = number & ~(0xF << 76) | 8 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    return f"2.25.{number}"


def subject(secret: bytes, patient_id: str, study_uid: str) -> str:
    """The subject for a Patient ID; a Study without one is a subject of its own. 13 characters, fit for a folder."""
    digest = derive(secret, "patient", patient_id) if patient_id else derive(secret, "patient-of-study", study_uid)
    return "S" + _letters(digest, 12)


def ticket(secret: bytes, study_uid: str) -> str:
    """The Study's name in the ledger, the log and the archive: 10 characters."""
    return _letters(derive(secret, "ticket", study_uid), 10)


def pseudonym(secret: bytes, original: str) -> str:
    """A text to stand for another one, 11 characters, so that it fits every text VR."""
    return "X" + _letters(derive(secret, "text", original), 10)


def shift_days(secret: bytes, study_uid: str, lowest: int, highest: int) -> int:
    """The Study's date shift: whole days in [lowest, highest], never 0."""
    choices = highest - lowest + 1 - (lowest <= 0 <= highest)
    if choices < 1:
        raise ValueError("a date shift needs a range of days with something other than 0 in it")
    days = lowest + int.from_bytes(derive(secret, "date-shift", study_uid)[:8], "big") % choices
    return days + 1 if lowest <= 0 <= days else days


def content_digest(secret: bytes, digest: bytes) -> bytes:
    """A digest of a file's content, keyed, so that nobody without the secret can tell which file it was."""
    return hmac.digest(secret, b"content\0" + digest, "sha256")[:16]
