"""What may be written into the ledger. It holds no identity, so a text that could be one is refused at the door."""

from __future__ import annotations

import re

_TAG = r"\([0-9A-Fa-fx]{4},[0-9A-Fa-fx]{4}\)"
_TAG_PATH = rf"{_TAG}(?:\[\d{{1,7}}\])?(?:[./]?{_TAG}(?:\[\d{{1,7}}\])?)*"
# The name of an error and the place that raised it: `zlib.error in inflate:41`, `KeyError in part10.py:7`.
_PLACE = r"[A-Za-z_][A-Za-z_0-9.]* in (?:<[a-z_. ]{1,40}>|[A-Za-z_][A-Za-z_0-9.-]*):\d{1,6}"
_ERROR = r"[A-Za-z_.]*(?:[Ee]rror|Exception|Warning|Interrupt)"
_REGISTERED = r"1\.2\.840\.10008(?:\.\d{1,6}){1,10}"  # a UID of the standard itself names nobody
_UNIT = r"bytes?|files?|instances?|items?|frames?|elements?|levels?|seconds?|times?|studies|values?|MB|MiB|GiB|hits?"
_COUNT = rf"\d{{1,15}}(?: of \d{{1,15}})? (?:{_UNIT})"
_AT = r"(?:offset|depth|byte|line|item|frame|signal|errno|status) \d{1,15}"
# No word of this list is a value. Add to it whatever a detail has to say.
_WORDS = (
    "a address after again all an and another answer are as at be before below beyond big burned by bytes cannot "
    "character claims class date device id institution phone place station Class code content creator cut data "
    "dataset deep deflated delimiter depth DICOM different "
    "document does duplicate element elements empty encapsulated encoded encoding end ended endian ends exceeds "
    "expected explicit extra file files first for found frame frames from given group has have header implicit in "
    "inflate inflated information instance Instance instances invalid is it item items its kind lacks larger last "
    "left length level levels limit link little long longer memory meta missing modality more must name named names "
    "nested no not object odd of offset on one order other over overflow padding part past patient pipe pixel pixels "
    "point points preamble private process PS3 ran read repeated report rule sequence series Series set several short "
    "shorter signal size socket SOP special stays still Study study syntax table tag text than that the time to too "
    "transfer truncated twice two type uid UID undefined unexpected unknown unread unreadable unsupported value "
    "values VR vr with without worker wrong yes"
    " Data Set Pixel Sequence Element"
)
_WORD = "|".join(sorted(_WORDS.split(), key=len, reverse=True))
_PART = rf"(?:{_TAG_PATH}|{_PLACE}|{_ERROR}|{_REGISTERED}|{_COUNT}|{_AT}|(?:{_WORD})(?![A-Za-z]))"
_DETAIL = re.compile(rf"(?:{_PART}(?:(?:[,;:]? ){_PART})*)?")
_LONGEST_DETAIL = 2000  # the path to a deeply nested Attribute

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_TICKET = re.compile(r"[0-9A-HJKMNP-TV-Z]{10}")
_UID = re.compile(r"[0-9.]{1,64}")
_SUBJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LAYOUT = re.compile(r"(?:[a-z-]{1,20}(?: [a-z-]{1,20}){0,4})?")
_FOLDER = re.compile(r"(?!\.)[A-Za-z0-9_.-]+(?:/(?!\.\.?(?:/|$))[A-Za-z0-9_.-]+)*")


def is_detail(text: str) -> bool:
    """Whether a text is made of tag paths, places in code, counts with a unit and harmless words, and nothing else."""
    return len(text) <= _LONGEST_DETAIL and _DETAIL.fullmatch(text) is not None


def detail(text: str) -> str:
    """The text, if `is_detail`; else raises ValueError, which does not quote it."""
    if not is_detail(text):
        raise ValueError("a detail may name a tag path, a place in the code or a count, and nothing else")
    return text


def time(text: str) -> str:
    """The text, if it is UTC as in 2026-11-21T10:00:00.000Z; else raises ValueError."""
    return _checked(_TIME, text, "a time is UTC as in 2026-11-21T10:00:00.000Z")


def ticket(text: str) -> str:
    """The text, if it is ten characters of Crockford's base32; else raises ValueError."""
    return _checked(_TICKET, text, "a ticket has ten characters of Crockford's base32")


def uid(text: str) -> str:
    """The text, if it looks like a UID; else raises ValueError."""
    return _checked(_UID, text, "a UID has at most 64 digits and points")


def subject(text: str) -> str:
    """The text, if it can be a pseudonym and a folder's name; else raises ValueError."""
    return _checked(_SUBJECT, text, "a subject has at most 64 letters, digits, points, dashes and underscores")


def folder(text: str) -> str:
    """The text, if it is a relative path of generated names; else raises ValueError."""
    return _checked(_FOLDER, text, "a folder is a relative path of new values")


def layout(text: str) -> str:
    """The text, if it is words of the configuration's own; else raises ValueError."""
    return _checked(_LAYOUT, text, "a layout is told by the words of its settings")


def quarantine_folder(text: str, reason: str, study_ticket: str | None) -> str:
    """The text, if it is REASON/TICKET, or REASON/unassigned where no Study is known; else raises ValueError."""
    if text != f"{reason}/{study_ticket or 'unassigned'}":
        raise ValueError("a folder in the quarantine is named by reason and ticket, never as it was dropped")
    return text


def plain(text: str) -> str:
    """Text that SQLite can hold: a path in a fault may have bytes that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _checked(pattern: re.Pattern[str], text: str, otherwise: str) -> str:
    if pattern.fullmatch(text) is None:
        raise ValueError(otherwise)
    return text
