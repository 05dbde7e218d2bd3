"""Which Instances leave together, which come later, and which do not leave."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def new_uids(house: House) -> dict[str, set[str]]:
    """The SOP Instance UIDs in the outbox by Study folder."""
    found: dict[str, set[str]] = {}
    for path, content in house.delivered().items():
        ds = studies.read(content)
        assert Path(path).stem == ds.SOPInstanceUID == ds.file_meta.MediaStorageSOPInstanceUID
        assert Path(path).parts[2] == ds.SeriesInstanceUID
        assert Path(path).parts[0] == ds.PatientID
        assert Path(path).parts[1].removesuffix(".2").removesuffix(".3") == ds.StudyInstanceUID
        found.setdefault("/".join(Path(path).parts[:2]), set()).add(ds.SOPInstanceUID)
    return found


def test_two_studies_that_arrive_interleaved_stay_two(house: House) -> None:
    for number in range(6):
        study = 1 + number % 2
        house.drop(f"IM{number}", studies.instance(study, number, series=number % 3, patient=f"PAT-{study}"))

    house.deliver()

    assert sorted(len(uids) for uids in new_uids(house).values()) == [3, 3]
    assert len({folder.split("/")[0] for folder in house.folders()}) == 2
    assert [row["instances"] for row in house.deliveries()] == [3, 3]


def test_two_studies_of_one_patient_lie_under_one_subject(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.drop("b", studies.instance(2, 1))

    house.deliver()

    assert len(house.folders()) == 2
    assert len({folder.split("/")[0] for folder in house.folders()}) == 1


def test_late_instances_are_a_second_folder_under_the_same_subject_uids_and_date_shift(house: House) -> None:
    house.configure(profile="research")
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    first = house.delivered()
    house.configure(date_shift_days=[-20, -10])  # what was once promised to a Study holds
    house.drop("b", studies.instance(1, 2, FrameOfReferenceUID=studies.series_uid(1)))

    house.deliver()

    after = house.delivered()
    assert {path: after[path] for path in first} == first
    one, two = house.folders()
    assert two == f"{one}.2"
    [early], [late] = ([studies.read(after[path]) for path in paths] for paths in (first, after.keys() - first))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate"):
        assert early[keyword].value == late[keyword].value, keyword
    assert late.FrameOfReferenceUID == early.SeriesInstanceUID
    assert early.StudyDate != "20230517"
    assert [row["number"] for row in house.deliveries()] == [1, 2]


def test_a_third_part_follows_as_a_third_folder(house: House) -> None:
    for number in range(3):
        house.drop("same-name", studies.instance(1, number))
        house.deliver()

    one = house.folders()[0]
    assert house.folders() == [one, f"{one}.2", f"{one}.3"]
    assert sorted(path.split("/", 1)[1] for path in house.kept()) == ["same-name", "same-name~2", "same-name~3"]


def test_the_same_instance_again_changes_nothing_and_is_recorded(house: House) -> None:
    content = studies.instance(1, 1)
    house.drop("a", content)
    house.drop("b", studies.instance(1, 2))
    house.deliver()
    before = house.delivered()
    times = {path: path.stat().st_mtime_ns for path in house.outbox.glob("[!.]*/**/*")}
    house.drop("again/a", content)

    house.deliver()

    assert house.delivered() == before
    assert {path: path.stat().st_mtime_ns for path in house.outbox.glob("[!.]*/**/*")} == times
    assert sorted(path.split("/", 1)[1] for path in house.kept()) == ["a", "again/a", "b"]
    assert house.deliveries()[1] == {
        "state": "done",
        "number": None,
        "folder": None,
        "instances": 1,
        "duplicates": 1,
        "refused": 0,
    }
    assert house.line()["duplicates"] == 1


def test_copies_within_one_job_leave_once(house: House) -> None:
    for name in ("z", "a", "m"):
        house.drop(name, studies.instance(1, 1))

    house.deliver()

    assert len(house.delivered()) == 1
    assert len(house.kept()) == 3
    [row] = house.deliveries()
    assert (row["instances"], row["duplicates"], row["refused"]) == (3, 2, 0)


def test_other_content_under_the_same_uid_is_set_aside_when_it_comes_later(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    before = house.delivered()
    changed = studies.instance(1, 1, SliceThickness="2.5")
    house.drop("b", changed)

    house.deliver(expect=3)

    assert house.delivered() == before
    [(path, content)] = house.set_aside().items()
    assert content == changed
    assert path.startswith("duplicate-differs/")
    assert dict(house.refusals()) == {"duplicate-differs": 1}


def test_in_one_job_the_first_by_the_bytes_of_its_path_wins(house: House) -> None:
    # By bytes, not by code points: a name that is not UTF-8 stands behind all that is.
    names = (b"\xff", b"\xee\x80\x80", b"Z")
    contents = {name: studies.instance(1, 1, SliceThickness=str(place)) for place, name in enumerate(names)}
    for name, content in contents.items():
        house.drop(name, content)

    house.deliver(expect=3)

    [delivered] = house.delivered().values()
    assert studies.read(delivered).SliceThickness == 2
    assert {os.fsencode(Path(path).name) for path in house.set_aside()} == {b"\xff", b"\xee\x80\x80"}
    assert [os.fsencode(Path(path).name) for path in house.kept()] == [b"Z"]
    [row] = house.deliveries()
    assert (row["instances"], row["duplicates"], row["refused"]) == (3, 0, 2)


def test_a_study_with_two_patient_ids_is_set_aside_whole(house: House) -> None:
    for number in range(3):
        house.drop(f"a{number}", studies.instance(1, number))
    house.drop("b", studies.instance(1, 9, patient="ANOTHER-1"))
    house.drop("other", studies.instance(2, 1))

    house.deliver(expect=3)

    assert len(house.delivered()) == 1
    assert {Path(path).parts[0] for path in house.set_aside()} == {"patient-mismatch"}
    assert len(house.set_aside()) == 4
    assert dict(house.refusals()) == {"patient-mismatch": 4}
    assert len({Path(path).parts[1] for path in house.set_aside()}) == 1


@pytest.mark.parametrize("right", ["AAA-1", "ZZZ-1"])
def test_a_study_whose_patient_id_was_corrected_is_delivered(house: House, right: str) -> None:
    for number, patient in enumerate(["AAA-1", "ZZZ-1"]):
        house.drop(f"{number}", studies.instance(1, number, patient=patient))
    house.deliver(expect=3)
    for number in range(2):
        house.drop(f"{number}", studies.instance(1, number, patient=right))

    house.deliver(expect=0)

    assert len(house.delivered()) == 2
    assert house.mapping("patient")[right] == house.folders()[0].split("/")[0]


def test_a_late_instance_with_another_patient_id_is_set_aside(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    house.drop("b", studies.instance(1, 2, patient="ANOTHER-1"))

    house.deliver(expect=3)

    assert len(house.delivered()) == 1
    assert dict(house.refusals()) == {"patient-mismatch": 1}


def test_an_instance_without_patient_id_goes_with_its_study(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.drop("b", studies.instance(1, 2, patient=""))

    house.deliver()

    assert len(house.folders()) == 1
    assert {studies.read(content).PatientID for content in house.delivered().values()} == {
        house.folders()[0].split("/")[0]
    }


def test_a_study_without_patient_id_has_a_subject_all_the_same(house: House) -> None:
    house.drop("a", studies.instance(1, 1, patient=""))
    house.drop("b", studies.instance(2, 1, patient=""))

    house.deliver()

    subjects = [folder.split("/")[0] for folder in house.folders()]
    assert all(subjects)
    assert len(set(subjects)) == 2


def test_a_refused_instance_alone_is_set_aside_and_the_counts_say_so(house: House) -> None:
    for number in range(3):
        house.drop(f"ct{number}", studies.instance(1, number))
    risky = studies.instance(1, 9, series=2, BurnedInAnnotation="YES")
    house.drop("us", risky)
    house.drop("cut", studies.instance(1, 10)[:-10])

    house.deliver(expect=3)

    assert len(house.delivered()) == 3
    assert sorted(Path(path).parts[0] for path in house.set_aside()) == ["pixel-risk", "truncated"]
    assert risky in house.set_aside().values()
    [row] = house.deliveries()
    assert row == {**row, "state": "done", "instances": 4, "duplicates": 0, "refused": 1}
    assert house.line()["delivered"] == {"studies": 1, "deliveries": 1, "instances": 3}
    assert house.line()["quarantined"] == {"pixel-risk": 1, "truncated": 1}


def test_pixel_risk_is_allowed_where_the_project_says_so(house: House) -> None:
    house.configure(pixel_risk="allow")
    house.drop("us", studies.instance(1, 1, sop_class=studies.ULTRASOUND))

    house.deliver()

    assert len(house.delivered()) == 1


def test_a_hit_of_the_gate_sets_the_whole_study_aside_and_names_the_tag_only(house: House) -> None:
    # The family name stands in an Attribute that the profile keeps.
    house.drop("a", studies.instance(1, 1))
    house.drop("b", studies.instance(1, 2, KVP="120", FilterType="VANDERMEULEN"))

    said = house.deliver(expect=3)

    assert not house.delivered()
    assert not house.staging()
    [folder] = (house.quarantine / "identity-found").iterdir()
    note = (folder / "REASON.txt").read_text()
    assert "(0018,1160)" in note
    assert "vandermeulen" not in (note + said).lower()
    assert dict(house.refusals()) == {"identity-found": 2}
    assert house.deliveries()[0]["state"] == "quarantined"


def test_a_study_that_never_rests_is_released_after_the_longest_wait(house: House) -> None:
    house.configure(study_settle="700ms", study_longest_wait="1500ms")
    with house.service():
        number = 0

        def more() -> bool:
            nonlocal number
            number += 1
            house.drop(f"IM{number:04}", studies.instance(1, number))
            return bool(house.folders())

        wait_until(more, "the Study is released while it still arrives", seconds=20)


def test_a_study_waits_for_study_settle_and_the_status_tells(house: House) -> None:
    house.configure(study_settle="40s")
    with house.service():
        house.drop("a", studies.instance(1, 1))
        house.drop("b", studies.instance(1, 2))
        house.wait_for_line(
            lambda line: [one["instances"] for one in line["studies_arriving"]] == [2], "two have arrived"
        )
        [study] = house.line()["studies_arriving"]
        assert 0 < study["due_in_seconds"] <= 40
        assert not house.folders()
        assert house.line()["waiting_files"] == 0
    assert len([path for path in house.inbox.iterdir() if path.is_file()]) == 2
    house.deliver()
    assert house.deliveries()[0]["instances"] == 2
