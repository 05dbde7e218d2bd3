"""What the person who drops can say by the way of dropping: this folder is complete, this is not wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def test_a_marker_releases_the_studies_of_its_folder_at_once_and_no_others(house: House) -> None:
    house.configure(study_settle="40s")
    with house.service():
        house.drop("mine/deep/1", studies.instance(1, 1))
        house.drop("mine/2", studies.instance(2, 1))
        house.drop("other/3", studies.instance(3, 1))
        house.drop("mine/Done.txt", b"")

        wait_until(lambda: len(house.folders()) == 2 and not tree(house.inbox / "mine"), "both are delivered")

        house.wait_for_line(lambda line: len(line["studies_arriving"]) == 1, "the other one waits on")
        assert list(tree(house.inbox)) == ["other/3"]
    assert house.kept().pop("done/mine/Done.txt") == b""
    assert not house.refusals()
    assert "mine" not in house.log.read_text()


def test_a_marker_does_not_release_what_is_still_being_written_beside_it(house: House) -> None:
    house.configure(study_settle="40s")
    content = studies.instance(1, 2)
    with house.service(), (house.inbox / "late").open("wb", buffering=0) as late:
        late.write(content[:900])
        house.drop("1", studies.instance(1, 1))
        house.drop("DONE", b"")
        house.drop("other/1", studies.instance(2, 1))
        house.drop("other/DONE", b"")
        wait_until(lambda: sorted(tree(house.inbox)) == ["1", "DONE", "late"], "what is complete comes out")
        assert len(house.folders()) == 1
        late.write(content[900:])
        late.close()

        wait_until(lambda: len(house.delivered()) == 3, "all are delivered")
    assert len(house.folders()) == 2


def test_a_dicom_file_of_the_markers_name_is_a_file_like_others(house: House) -> None:
    house.drop("mine/DONE", studies.instance(1, 1))

    house.deliver()

    assert len(house.delivered()) == 1


def test_without_markers_such_a_file_is_no_dicom(house: House) -> None:
    house.configure(done_marker=False)
    house.drop("mine/DONE", b"")

    house.deliver(expect=3)

    assert list(house.set_aside()) == ["not-dicom/unassigned/mine/DONE"]


def test_a_marker_is_deleted_where_originals_are_and_the_vault_says_so(house: House) -> None:
    house.configure(originals="delete")
    house.drop("mine/1", studies.instance(1, 1))
    house.drop("mine/DONE", b"ready")

    house.deliver()

    assert not tree(house.inbox)
    assert not house.kept()


def test_what_is_excluded_is_recorded_and_set_aside_without_an_alarm_and_the_rest_is_delivered(house: House) -> None:
    house.configure(exclude=["VIEWER", {"regex": r"\.html?$"}, {"when": {"SeriesDescription": {"matches": "^SCOUT"}}}])
    scout = studies.instance(1, 2, SeriesDescription="SCOUT Maria")
    house.drop("disc/1", studies.instance(1, 1))
    house.drop("disc/2", scout)
    house.drop("disc/viewer/Meier.exe", b"a program")
    house.drop("disc/Meier.htm", b"a page")
    house.drop("disc/DONE", b"")

    said = house.deliver()

    [(ticket,)] = house.rows("SELECT ticket FROM studies")
    assert len(house.delivered()) == 1
    assert house.set_aside() == {
        "excluded/unassigned/disc/viewer/Meier.exe": b"a program",
        "excluded/unassigned/disc/Meier.htm": b"a page",
        f"excluded/{ticket}/disc/2": scout,
    }
    assert house.refusals() == {"excluded": 3}
    assert "Meier" not in said
    assert "SCOUT" not in said + str(house.rows("SELECT detail FROM refusals"))

    house.configure(exclude=[])
    assert house.command("quarantine", "retry", "--project", "lung", "--reason", "excluded").returncode == 0
    house.deliver(expect=3)
    assert len(house.delivered()) == 2


def test_what_is_included_by_an_attribute_is_all_that_comes_out(house: House) -> None:
    house.configure(include=[{"when": {"Modality": {"in": ["PT", "OT"]}}}])
    house.drop("1", studies.instance(1, 1, Modality="PT"))
    house.drop("2", studies.instance(1, 2, Modality="SR"))

    house.deliver()

    assert len(house.delivered()) == 1
    assert house.refusals() == {"excluded": 1}
