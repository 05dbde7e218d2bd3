"""What may still tell who the patient is after a profile did all that it promises: one sentence for each risk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from coatcheck.deid.profile import FULL_DATES, MODIFIED_DATES, Profile
from coatcheck.deid.shifts import Shift
from coatcheck.deid.treatment import CLEANED, Treatment
from coatcheck.reports.study import Study, Work

_IMAGE: Final = "1.2.840.10008.5.1.4.1.1."
# CT, MR and PET, their enhanced and legacy converted kinds too: a head may be among them.
_VOLUMES: Final = tuple(_IMAGE + kind for kind in ("2", "2.1", "2.2", "4", "4.1", "4.4", "128", "128.1", "130"))
# Ultrasound, secondary capture: their pixels habitually carry text.
_WRITTEN_ON: Final = tuple(_IMAGE + kind for kind in ("3", "6", "7"))
_PICTURES: Final = _IMAGE + "77."
_REPORTS: Final = _IMAGE + "88."
_RETAINED: Final = {
    "retain-uids": "The UIDs are the original ones: whoever has access to the source finds the Study by them.",
    "retain-device-identity": "Devices and stations are named: they tell where, and with the dates also when.",
    "retain-institution-identity": "Institutions are named.",
    "retain-patient-characteristics": "Characteristics of the patient such as sex, age, size and weight stay. A rare"
    " combination can describe one person only.",
    FULL_DATES: "Dates and times are the true ones.",
}
# Their 16 characters hold no sealed text: `encrypt` never leaves one there.
_NEVER_SEALED: Final = ("AE", "CS", "SH")
_SCOPES: Final = {
    "study": "each Study: who knows one true date of the Study knows all of its dates",
    "patient": "each patient: who knows one true date of the patient knows all of the patient's dates",
    "project": "all: who knows one true date of one patient knows the dates of all",
    "series": "each Series: who knows one true date of a Series knows all of its dates",
    "instance": "each Instance: who knows one true date of an Instance knows all of its dates",
}


def risks(study: Study, work: Sequence[Work], pixel_risk: str | None) -> list[str]:
    """The risks that remain. ``pixel_risk`` is the project's setting now, None where it has none any more."""
    found = [*_of_pixels(study, pixel_risk)]
    for one in work:
        if one.profile is not None:
            found += _of_profile(one.profile, one.treatments or ())
    if any(one.profile is None for one in work):
        found.append("What a profile that is not at hand keeps is not told here; What was done says which one that is.")
    if any(one.treatments is None for one in work if one.profile is not None):
        found.append("Which attributes a part of the Study had was not recorded when it was delivered.")
    return list(dict.fromkeys((*found, *_of_study(study))))


def _of_pixels(study: Study, pixel_risk: str | None) -> Iterator[str]:
    classes = [one.uid for one in study.sop_classes]
    yield (
        "Pixels are exactly what they were. Text that is burned into an image is still there; a header that says there"
        " is none (Burned In Annotation NO) was believed."
    )
    if any(_is(uid, _WRITTEN_ON) or uid.startswith(_PICTURES) for uid in classes):
        yield "Among the images are kinds that habitually carry text in their pixels, or show people: look at them."
    if pixel_risk == "allow":
        yield "The project says `pixel_risk: allow` now: images that may have text burned in are delivered."
    if any(_is(uid, _VOLUMES) for uid in classes):
        yield "There are CT, MR or PET images. If they show a head, the face can be rebuilt and recognised."
    if any(uid.startswith(_PICTURES) for uid in classes):
        yield "There are pictures in visible light: they may show a face, a tattoo or a room."
    if any(uid.startswith(_REPORTS) for uid in classes):
        yield "There are structured reports: findings that are rare describe one person only, even without a name."


def _is(uid: str, kinds: Sequence[str]) -> bool:
    return any(uid == kind or uid.startswith(kind + ".") for kind in kinds)


def _of_profile(profile: Profile, treated: Sequence[Treatment]) -> Iterator[str]:
    yield from (text for option, text in _RETAINED.items() if option in profile.options)
    if MODIFIED_DATES in profile.options:
        fixed = profile.dates.days is not None and profile.dates.days[0] == profile.dates.days[1]
        yield _moved("Dates", profile.dates.scope, fixed=fixed)
    for shift in _own_shifts(profile):
        yield _moved("Some dates", shift.scope, fixed=shift.fixed)
    cleaned = [one.name for one in treated if one.outcome == CLEANED]
    if cleaned or "clean-descriptors" in profile.options:
        named = f" ({_some(cleaned)})" if cleaned else ""
        yield (
            f"Free text stays after what was known of the patient and the Study was taken out of it{named}. A nickname,"
            " a misspelled name or words that fit one person only are not found."
        )
    sealed = [one.name for one in treated if one.action == "encrypt" and one.vr not in _NEVER_SEALED]
    if sealed:
        yield f"Originals stand sealed in the results ({_some(sealed)}): whoever has the project's key can open them."
    if profile.private != "remove":
        which = "of PS3.15 Table E.3.10-1" if profile.private == "safe" else "that the profile's rules name"
        yield f"Private attributes {which} stay where a file had them; the ledger does not record which ones did."
    if profile.unlisted == "keep":
        yield "Attributes that Table E.1-1 does not list stay, but for dates, names, UIDs, ages and free text."


def _moved(what: str, scope: str, *, fixed: bool) -> str:
    return f"{what} are moved by one number of days for {_SCOPES['project' if fixed else scope]}. Intervals are true."


def _own_shifts(profile: Profile) -> Iterator[Shift]:
    for rule in profile.rules:
        shift = getattr(rule.do, "shift", None)
        if isinstance(shift, Shift):
            yield shift


def _some(names: Sequence[str], most: int = 6) -> str:
    names = list(dict.fromkeys(names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _of_study(study: Study) -> Iterator[str]:
    if study.unresolved:
        yield f"{study.unresolved} UIDs that the Study refers to were not delivered in this project."
    refused = sum(files for _, _, files in study.set_aside)
    if refused:
        yield f"{refused} files of the Study were set aside: what was delivered may not be all of it."
    if len({one.digest for one in study.deliveries}) > 1:
        yield (
            "The Study was delivered in parts by several profiles: what one part leaves out may stand in another, under"
            " the same identifiers."
        )
