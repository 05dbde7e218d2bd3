"""Why something was set aside: one word for machines and folder names, two sentences for people."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class Explanation(NamedTuple):
    """``what`` happened, and what to ``do`` about it."""

    what: str
    do: str


class Reason(StrEnum):
    """The reasons for quarantine. The value is the folder's name below QUARANTINE and the word in the ledger."""

    NOT_DICOM = "not-dicom"
    NOT_A_FILE = "not-a-file"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    MISSING_UID = "missing-uid"
    UNSUPPORTED = "unsupported-encoding"
    TOO_LARGE = "too-large"
    PATIENT_MISMATCH = "patient-mismatch"
    DUPLICATE_DIFFERS = "duplicate-differs"
    NEEDS_POLICY = "needs-policy"
    PIXEL_RISK = "pixel-risk"
    IDENTITY_FOUND = "identity-found"
    LOOKUP_MISS = "lookup-miss"
    BAD_ARCHIVE = "bad-archive"
    ENCRYPTED = "encrypted"
    NESTED_ARCHIVE = "nested-archive"
    EXCLUDED = "excluded"
    CRASHED = "crashed"
    TIMED_OUT = "timed-out"
    FAILED = "failed"


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.NOT_DICOM: Explanation(
        "The content is not DICOM.",
        "Nothing to do if a viewer, a text or the like came along; else export it again as DICOM.",
    ),
    Reason.NOT_A_FILE: Explanation(
        "This is a link, a pipe or a device, not a regular file.", "Copy the file itself into the inbox."
    ),
    Reason.TRUNCATED: Explanation(
        "The file ends before its content does: a length points past the end or the pixel data is too short.",
        "Copy the file from its source again.",
    ),
    Reason.MALFORMED: Explanation(
        "The encoding breaks the rules of PS3.5 in a way that cannot be read with certainty.",
        "Export it again from the system that made it, or repair it with a DICOM toolkit.",
    ),
    Reason.MISSING_UID: Explanation(
        "A UID that every Instance needs is missing: SOP Class, SOP Instance, Study or Series Instance UID.",
        "Export it again from the PACS, which adds them.",
    ),
    Reason.UNSUPPORTED: Explanation(
        "The Transfer Syntax is not known, or contradicts the content.",
        "Convert the file to a standard Transfer Syntax and drop it again.",
    ),
    Reason.TOO_LARGE: Explanation(
        "A part of the header is larger or nested deeper than the limits that protect this service.",
        "Check whether the file is what it claims to be.",
    ),
    Reason.PATIENT_MISMATCH: Explanation(
        "The Study has Instances with different Patient IDs, or its Patient ID leads to another subject than before.",
        "Correct the Patient ID at the source, or the list of subjects, and drop the whole Study again.",
    ),
    Reason.DUPLICATE_DIFFERS: Explanation(
        "An Instance with this SOP Instance UID but other content was taken before.",
        "Find out which of the two is right; give a changed Instance a new SOP Instance UID.",
    ),
    Reason.NEEDS_POLICY: Explanation(
        "The profile cannot clean this kind of object: its content itself may tell who the patient is.",
        "Retry reports with a profile that has `clean-structured-content`; leave encapsulated documents out.",
    ),
    Reason.PIXEL_RISK: Explanation(
        "Text may be burned into the pixels, and nobody has said that there is none.",
        "Look at the images; if they are clean, set `pixel_risk: allow`, which holds for all that the project gets, "
        "run `coatcheck reload`, then `coatcheck quarantine retry ID`.",
    ),
    Reason.IDENTITY_FOUND: Explanation(
        "What identifies this patient or Study was still found in a result, so nothing of the Study left.",
        "Remove it from the named Attribute at the source and drop the Study again.",
    ),
    Reason.LOOKUP_MISS: Explanation(
        "A value that has to be on a list is not on it: the Patient ID on the project's list of subjects, or the named "
        "Attribute on a list of the profile.",
        "Add it to the list, run `coatcheck reload`, "
        "then `coatcheck quarantine retry --project NAME --reason lookup-miss`.",
    ),
    Reason.BAD_ARCHIVE: Explanation(
        "The archive cannot be unpacked: it is damaged, larger than the limits, or its names lead out of it.",
        "Copy it again from its source, or unpack it yourself and drop what is in it.",
    ),
    Reason.ENCRYPTED: Explanation(
        "The archive is protected with a password.", "Unpack it yourself and drop what is in it."
    ),
    Reason.NESTED_ARCHIVE: Explanation(
        "This archive lay in another archive, and one within another is not unpacked by itself.",
        "Retry it, and it is unpacked alone; or leave it, if nothing in it is wanted.",
    ),
    Reason.EXCLUDED: Explanation(
        "The project does not want this file: its `include` or `exclude` leaves it out.",
        "Nothing to do; if it is wanted after all, change the setting and retry the file.",
    ),
    Reason.CRASHED: Explanation(
        "Reading this file ended the worker process more than once.", "Report the file's kind to the maintainers."
    ),
    Reason.TIMED_OUT: Explanation(
        "Reading this file took longer than the limit for one file.", "Report the file's kind to the maintainers."
    ),
    Reason.FAILED: Explanation(
        "An unexpected error happened while this file was worked on.",
        "Report the error's name and place in the log to the maintainers.",
    ),
}

_WHO: Final = "whoever runs coatcheck"
_FOR_PEOPLE_WHO_DROP: Final[dict[Reason, str]] = {
    Reason.PATIENT_MISMATCH: "Correct the Patient ID at the source and drop the whole Study again; "
    f"if it is right, ask {_WHO}.",
    Reason.DUPLICATE_DIFFERS: f"Find out which of the two is right; the first counts. If that is wrong, ask {_WHO}.",
    Reason.NEEDS_POLICY: f"Ask {_WHO} whether reports may pass; encapsulated documents never do.",
    Reason.PIXEL_RISK: f"Look at the images; if no name, number or date stands in them, ask {_WHO} to let them pass.",
    Reason.IDENTITY_FOUND: f"Ask {_WHO} which Attribute it is, remove it at the source and drop the Study again.",
    Reason.LOOKUP_MISS: f"Ask {_WHO} to add it to the list and to retry; it need not be dropped again.",
    Reason.NESTED_ARCHIVE: "Unpack it yourself and drop what is in it; or leave it, if nothing in it is wanted.",
    Reason.EXCLUDED: f"Nothing to do; if it is wanted after all, ask {_WHO}.",
    Reason.CRASHED: f"Tell {_WHO}.",
    Reason.TIMED_OUT: f"Tell {_WHO}.",
    Reason.FAILED: f"Tell {_WHO}.",
}


def for_people_who_drop(reason: Reason) -> str:
    """What to do about it for a person who sees a share, and has neither commands nor settings."""
    return _FOR_PEOPLE_WHO_DROP.get(reason, EXPLANATIONS[reason].do)
