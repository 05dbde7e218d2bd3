"""What a profile does to the Attributes that a Study had, and which risks it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from coatcheck.deid import standard
from coatcheck.deid.actions import ACTIONS, KINDS
from coatcheck.deid.profile import AVAILABLE, Profile
from coatcheck.deid.treatment import CATEGORIES, OUTCOMES, Treatment, category_of, treatments
from coatcheck.profile_file import built_in, load_profile
from coatcheck.reports.residual import risks
from coatcheck.reports.study import Delivered, SopClass, Study, Work

CT, REPORT, CAPTURE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.22", "1.2.840.10008.5.1.4.1.1.7"
STUDY_DATE, STATION, PATIENT_ID, PIXELS, MODALITY = 0x00080020, 0x00081010, 0x00100020, 0x7FE00010, 0x00080060


def by_tag(found: list[Treatment]) -> dict[str, Treatment]:
    return {one.tag: one for one in found}


def test_every_action_comes_to_something_that_people_understand() -> None:
    assert OUTCOMES.keys() == ACTIONS.keys() | KINDS.keys() | {"stamp"}


def test_every_attribute_of_the_table_has_a_category() -> None:
    found = {category_of(tag) for tag in standard.annex_e()}

    assert found == set(CATEGORIES) - {"Outside Table E.1-1", "Pixel data"}
    assert category_of(0x60003000) == "Graphics and overlays"


@pytest.mark.parametrize("name", built_in())
def test_the_actions_are_those_of_the_plan_for_every_row(name: str) -> None:
    found = treatments(load_profile(name, Path()), [CT], standard.annex_e())

    assert len(found) == len(standard.annex_e())
    assert all(one.rule and one.name and one.outcome for one in found)
    assert by_tag(found)["(0010,0020)"].action == "subject"


def test_what_two_kinds_of_objects_ask_for_is_told_for_each() -> None:
    both = treatments(Profile(name="x", title="x"), [CT, REPORT], [0x00080050, 0x00081150, 0x00080080, 0x00200010])
    tags = standard.annex_e()
    differing = [one for one in treatments(Profile(name="x", title="x"), [CT, REPORT], tags) if one.objects]

    assert all(not one.objects for one in both if one.tag == "(0008,0050)")
    assert differing and {one.objects for one in differing} == {(CT,), (REPORT,)}


def test_pixels_and_private_tags_are_no_matter_of_rules() -> None:
    found = by_tag(treatments(Profile(name="x", title="x", unlisted="remove"), [CT], [PIXELS, 0x00090010, MODALITY]))

    assert found["(7FE0,0010)"].outcome == "kept"
    assert found["(0008,0060)"].outcome == "removed"
    assert len(found) == 2


def study(*classes: str, unresolved: int = 0, set_aside: tuple[tuple[str, str, int], ...] = ()) -> Study:
    delivered = Delivered(
        number=1,
        at="2026-11-21T10:00:00.000Z",
        profile="x",
        digest="0" * 16,
        edition="2026d",
        instances=1,
        duplicates=0,
        refused=0,
        bytes=1,
        tags=None,
    )
    return Study(
        project="lung",
        ticket="7F3K9Q2MXA",
        subject="S1",
        study_uid="2.25.1",
        first_seen="",
        deliveries=(delivered,),
        sop_classes=tuple(SopClass(uid=uid, series=1, instances=1) for uid in classes),
        set_aside=set_aside,
        unresolved=unresolved,
    )


def remaining(profile: Profile | None, found: Study, pixel_risk: str = "quarantine") -> str:
    work = Work(name="x", digest="0" * 16, edition="2026d", numbers=(1,), profile=profile, treatments=())
    return "\n".join(risks(found, [work], pixel_risk))


@pytest.mark.parametrize("option", [one for one in AVAILABLE if one.startswith("retain-")])
def test_each_option_that_retains_something_leaves_a_risk(option: str) -> None:
    private = "safe" if option == "retain-safe-private" else "remove"
    without = remaining(Profile(name="x", title="x"), study(CT))

    assert remaining(Profile(name="x", title="x", options=(option,), private=private), study(CT)) != without


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (study(CT), "they show a head"),
        (study(CAPTURE), "carry text in their pixels"),
        (study("1.2.840.10008.5.1.4.1.1.77.1.4"), "visible light"),
        (study(REPORT), "structured reports"),
        (study(CT, unresolved=3), "3 UIDs that the Study refers to"),
        (study(CT, set_aside=(("pixel-risk", "quarantined", 2),)), "2 files of the Study were set aside"),
    ],
)
def test_each_kind_of_object_has_its_risk(found: Study, said: str) -> None:
    plain = Profile(name="x", title="x")

    assert said in remaining(plain, found)
    assert said not in remaining(plain, study("1.2.840.10008.5.1.4.1.1.481.1"))


def test_a_profile_that_is_not_known_is_a_risk_of_its_own() -> None:
    assert "not at hand" in remaining(None, study(CT))
    assert "pixel_risk: allow" in remaining(None, study(CT), "allow")


def test_originals_that_leave_sealed_are_a_risk_but_not_where_the_vr_holds_none(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "title: x\nextends: research\nrules:\n  - {at: [AccessionNumber, StudyDescription], do: encrypt}\n"
    )
    profile = load_profile("./mine.yaml", tmp_path)
    found = tuple(treatments(profile, [CT], {0x00080050, 0x00081030}))
    work = Work(name="x", digest="0" * 16, edition="2026d", numbers=(1,), profile=profile, treatments=found)
    said = [one for one in risks(study(CT), [work], "quarantine") if "sealed" in one]

    assert len(said) == 1 and "(StudyDescription)" in said[0]
