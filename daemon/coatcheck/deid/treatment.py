"""What a profile does to the Attributes that a Study had, told afterwards: by tags and names, never by values.

The tags are those of the ledger: which standard Attributes a Study had at any depth, not where. So what is told is the
rule of the top level; what holds under a condition, inside a sequence or for private Attributes is told beside.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_description, dictionary_has_tag

from coatcheck.deid import standard
from coatcheck.deid.elements import tag_text
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import FULL_DATES, MODIFIED_DATES, Profile, WrittenRule
from coatcheck.deid.rules import PATIENT_ID, PATIENT_NAME, STAMPS
from coatcheck.deid.selectors import keyword, vrs

REMOVED, EMPTIED, PSEUDONYM, DUMMY = "removed", "emptied", "replaced by a pseudonym", "replaced by a dummy"
REWRITTEN, SHIFTED, CLEANED, COARSER, KEPT = "written anew", "dates moved", "cleaned", "made coarser", "kept"
OUTCOMES: Final[Mapping[str, str]] = {
    "remove": REMOVED,
    "empty": EMPTIED,
    "dummy": DUMMY,
    "mask": DUMMY,
    "uid": PSEUDONYM,
    "subject": PSEUDONYM,
    "hash": PSEUDONYM,
    "encrypt": PSEUDONYM,
    "lookup": PSEUDONYM,
    "add": REWRITTEN,
    "replace": REWRITTEN,
    "stamp": REWRITTEN,
    "shift-date": SHIFTED,
    "shift-dates": SHIFTED,
    "clean-text": CLEANED,
    "substitute": CLEANED,
    "cap-age": COARSER,
    "perturb": COARSER,
    "generalise": COARSER,
    "redact": COARSER,
    "keep-time": KEPT,
    "keep": KEPT,
    "allow": KEPT,
}
"""What each action comes to, in words for people, in the order in which they are told."""

PIXELS, UNLISTED = "Pixel data", "Outside Table E.1-1"
_BY_OPTION: Final = {
    "retain-uids": "UIDs",
    "retain-device-identity": "Devices and stations",
    "retain-institution-identity": "Institutions",
    "retain-patient-characteristics": "Patient characteristics",
    FULL_DATES: "Dates and times",
    MODIFIED_DATES: "Dates and times",
    "clean-graphics": "Graphics and overlays",
    "clean-descriptors": "Descriptions and free text",
    "clean-structured-content": "Descriptions and free text",
}
_NAMES, _PATIENT, _OTHER = "Names of people", "The patient", "What else Table E.1-1 lists"
CATEGORIES: Final = tuple(dict.fromkeys((_NAMES, _PATIENT, *_BY_OPTION.values(), _OTHER, UNLISTED, PIXELS)))
"""The kinds of Attributes, in the order in which they are told. The columns of Table E.1-1 say which is which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What became of one Attribute. ``objects`` are the SOP Classes that it holds for; empty means all of the Study's.

    ``conditional`` names rules that decide otherwise where their condition holds.
    """

    tag: str
    name: str
    vr: str
    category: str
    action: str
    outcome: str
    rule: str
    objects: tuple[str, ...] = ()
    conditional: tuple[str, ...] = ()


def treatments(profile: Profile, sop_classes: Collection[str], tags: Collection[int]) -> list[Treatment]:
    """What the profile does to each of these Attributes in objects of these SOP Classes, by tag.

    An Attribute that is treated in two ways, because the IODs ask for it, is there twice.
    """
    classes = sorted(sop_classes) or [""]
    plans = {one: Plan(profile, one) for one in classes}
    found = []
    for tag in sorted(tag for tag in tags if not tag & 0x10000):
        said: dict[tuple[str, str], list[str]] = {}
        for one, plan in plans.items():
            said.setdefault(_decided(plan, tag), []).append(one)
        for (action, rule), objects in said.items():
            among = () if len(objects) == len(classes) else tuple(objects)
            found.append(_treatment(profile, tag, action, rule, among))
    return found


def _treatment(profile: Profile, tag: int, action: str, rule: str, objects: tuple[str, ...]) -> Treatment:
    row = standard.annex_e().get(tag)
    vr = (vrs(tag) or ((row.vr if row else "") or "UN",))[0]
    return Treatment(
        tag=tag_text(tag),
        name=keyword(tag) or (row.keyword or row.name if row else "") or _description(tag),
        vr=vr,
        category=category_of(tag),
        action=action,
        outcome=OUTCOMES[action],
        rule=rule,
        objects=objects,
        conditional=tuple(_conditional(profile, tag, vr)),
    )


def _decided(plan: Plan, tag: int) -> tuple[str, str]:
    """The action and what decided, as the rewriter does it at the top level."""
    if tag in PIXEL_TAGS:
        return "keep", "coatcheck: pixel data is never touched"
    if tag in (PATIENT_NAME, PATIENT_ID):
        return "subject", "coatcheck: becomes the subject in every profile"
    if tag in STAMPS:
        return "stamp", "written anew into every result (PS3.15 E.1.1)"
    rule = plan.rule(tag, (vrs(tag) or ("UN",))[0], ())
    return rule.action, rule.origin


def category_of(tag: int) -> str:
    """The kind of an Attribute, by its row of Table E.1-1 and its VR."""
    if tag in PIXEL_TAGS:
        return PIXELS
    vr = (vrs(tag) or ("",))[0]
    row = standard.annex_e().get(tag)
    if row is None:
        repeating = any(tag & one.mask == one.value for one in standard.annex_e_repeating())
        return "Graphics and overlays" if repeating else _NAMES if vr == "PN" else UNLISTED
    if vr == "PN":
        return _NAMES
    by_option = next((name for option, name in _BY_OPTION.items() if option in row.options), None)
    return by_option or (_PATIENT if tag >> 16 == 0x0010 else _OTHER)


def rules_beside(profile: Profile) -> list[tuple[str, str, str]]:
    """The profile's rules that the list of Attributes cannot tell of, as attribute, action and rule.

    They are for private Attributes, for what stands inside a sequence, for many at once, or add something.
    """
    found = []
    for written in profile.rules:
        for selector in written.selectors:
            if selector.tags() and not selector.sequences and written.action != "add":
                continue
            found.append((selector.text, written.action, _named(written)))
    return found


def _conditional(profile: Profile, tag: int, vr: str) -> Iterator[str]:
    for written in profile.rules:
        if written.when is not None and any(one.matches(tag, vr, (), None) for one in written.selectors):
            yield _named(written)


def _named(written: WrittenRule) -> str:
    condition = ", under a condition" if written.when is not None else ""
    because = f" ({written.because})" if written.because else ""
    return f"{written.place.rpartition('/')[2]}: {written.action}{condition}{because}"


def _description(tag: int) -> str:
    return dictionary_description(tag) if dictionary_has_tag(tag) else "unknown to PS3.6"
