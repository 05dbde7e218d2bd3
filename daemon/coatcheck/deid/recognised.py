"""What names somebody by its form alone, whoever it is: e-mail addresses, telephone numbers, titles, labels, UIDs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from coatcheck.deid.standard import is_registered

_BIG, _SMALL = "A-ZÀ-ÖØ-Þ", "a-zß-öø-ÿ"
# What follows a name so often that it is no second name.
_STAYS = (
    "Head|Brain|Neck|Chest|Thorax|Abdomen|Pelvis|Spine|Knee|Hip|Shoulder|Ankle|Wrist|Hand|Foot|Heart|Liver|Breast|"
    "Axial|Sagittal|Coronal|Routine|Protocol|Series|Study|Scan|Contrast|Room|Request|Follow|And|For|The|With|No|Left|Right"
)
_WORD = f"[{_BIG}][^\\W_]*(?:['’-][^\\W_]+)*"
_NAME = (
    rf"(?:[{_BIG}]\.?\s){{0,2}}(?:(?:[Vv]an|[Vv]on|[Dd]e[rnl]?|[Ll][ae]|[Aa]l)\s){{0,2}}{_WORD}"
    rf"(?:\s(?!(?:{_STAYS})\b)[{_BIG}][{_SMALL}]+(?:['’-][^\W_]+)*)?"
)
# Without a full stop, DR, MR and MS are digital radiography, magnetic resonance and multiple sclerosis.
_TITLE = (
    r"(?<![^\W_])(?:(?:Dr|Prof|Mrs?|Ms|Miss|Herr|Frau)(?![^\W_])\.?|(?:DR|PROF|MRS?|MS)\.)"
    r"(?:\s?(?:Dr|Prof|med)\b\.?){0,3}"
)
_VALUE = r"[\s#:=._-]{0,4}(?=[0-9A-Za-z./-]{0,40}[0-9])[0-9A-Za-z][0-9A-Za-z./-]*"
_NUMBERED = r"(?:patient|pat|pt|case|accession|acc|visit|encounter|account|medical[\s_]record|record|insurance)"
_FORMS = (
    re.compile(r"(?<![\w.+%-])[\w.+%-]++@[\w-]+(?:\.[\w-]+)+"),
    re.compile(r"(?<![\w+])\+\(?[0-9](?:[\s().\-/]{0,2}[0-9]){7,14}(?![0-9])"),
    re.compile(
        r"(?<![^\W_])(?:tele(?:phone|fon|fax)|tel|phone|fax|mobile|pager)(?![^\W_])[\s.:#_-]{0,4}(?:(?:no|nr|number)\b[\s.:#]{0,3})?"
        r"\+?\(?[0-9](?:[\s().\-/]{0,2}[0-9]){3,16}",
        re.IGNORECASE,
    ),
    re.compile(_TITLE + rf"[\s_^]{{0,2}}{_NAME}"),
    re.compile(r"(?<![^\W_])(?:dr|prof)\.[\s_^]{0,2}[^\W\d_]{2,}(?:['’-][^\W_]+)*"),
    re.compile(
        rf"(?<![^\W_])(?:MRN|SSN|DOB|D\.O\.B|{_NUMBERED}[\s._-]?'?s?[\s._-]?(?:id|no|nr|num|number)|"
        rf"born|geb|birth[\s_]?date|date[\s_]of[\s_]birth)(?![^\W_]){_VALUE}",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<![^\W_])(?:ID|acc|accession)\s?[#:=]{_VALUE}", re.IGNORECASE),
)
_UID = re.compile(r"(?<![0-9.])[0-2](?:\.[0-9]+){4,}")
_UID_MIN = 16  # signs; what is shorter is rather the number of a version


def recognised(text: str, *, uids: bool) -> Iterator[tuple[int, int]]:
    """The places of what names somebody; ``uids``: also of UIDs that the standard does not know."""
    for form in _FORMS:
        for match in form.finditer(text):
            yield match.span()
    for match in _UID.finditer(text) if uids else ():
        if len(match[0]) >= _UID_MIN and not is_registered(match[0]) and not match[0].startswith("1.2.840.10008."):
            yield match.span()
