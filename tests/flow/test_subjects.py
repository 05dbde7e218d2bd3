"""Subjects from end to end: numbered, listed, missed and let through, whatever the spelling."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", profile="research")


def patients(house: House) -> dict[str, set[str]]:
    """The Patient IDs of the results, by the subject's folder."""
    found: dict[str, set[str]] = {}
    for path, content in house.delivered().items():
        found.setdefault(path.split("/")[0], set()).add(str(studies.read(content).PatientID))
    return found


def write_list(house: House, text: str, **settings: object) -> None:
    (house.root / "subjects.csv").write_text(f"patient_id,subject,date_shift_days\n{text}")
    house.configure(subjects={"kind": "list", "file": "subjects.csv", **settings})


def test_patients_are_numbered_over_runs_and_spellings(house: House) -> None:
    house.configure(subjects={"kind": "sequential", "prefix": "LUNG-", "spelling": {"ignore_leading_zeros": True}})
    house.drop("a", studies.instance(1, 1, patient="4711"))
    house.deliver()
    house.drop("b", studies.instance(2, 1, patient="0815"))
    house.deliver()
    house.drop("c", studies.instance(3, 1, patient="00 47 11"))
    house.drop("d", studies.instance(3, 2, patient="4711"))
    house.deliver()

    assert patients(house) == {"LUNG-0001": {"LUNG-0001"}, "LUNG-0002": {"LUNG-0002"}}
    assert house.mapping("patient") == {"4711": "LUNG-0001", "0815": "LUNG-0002", "00 47 11": "LUNG-0001"}
    names = {str(studies.read(content).PatientName) for content in house.delivered().values()}
    assert names <= {"LUNG-0001", "LUNG-0002", ""}


def test_studies_without_an_id_are_patients_of_their_own(house: House) -> None:
    house.configure(subjects={"kind": "sequential"})
    for study in (1, 2):
        house.drop(f"{study}/1", studies.instance(study, 1, patient=""))
    house.deliver()
    house.drop("late", studies.instance(1, 2, patient=""))
    house.deliver()

    assert set(patients(house)) == {"0001", "0002"}
    assert len(house.delivered()) == 3


def test_a_subject_that_has_a_name_in_it_never_leaves_and_is_in_no_record(house: House) -> None:
    write_list(house, "P1,HABERMANN-1,-100\n")
    house.drop("a", studies.instance(1, 1, patient="P1", PatientName="Habermann^Gerda"))

    log = house.deliver(expect=3)

    assert house.refusals() == {"identity-found": 1}
    assert patients(house) == {}
    held = [log.encode(), *(path.read_bytes() for path in house.state.iterdir() if path.is_file())]
    assert not [one for one in held if b"HABERMANN" in one]


def test_an_id_that_is_not_on_the_list_waits_for_a_new_list_and_a_retry(house: House) -> None:
    write_list(house, "P1,LUNG-7,-100\n")
    listed, missed = studies.instance(1, 1, patient=" P 1"), studies.instance(2, 1, patient="P2")
    house.drop("one", listed)
    house.drop("disc/two", missed)

    house.deliver(expect=3)

    assert patients(house) == {"LUNG-7": {"LUNG-7"}}
    [ticket] = [row[0] for row in house.rows("SELECT ticket FROM studies ORDER BY id DESC LIMIT 1")]
    assert list(house.set_aside().values()) == [missed]
    assert [path.split("/")[0] for path in house.set_aside()] == ["lookup-miss"]
    assert house.mapping("patient") == {"P 1": "LUNG-7"}
    write_list(house, "P1,LUNG-7,-100\nP2,LUNG-8,200\n")
    done = house.command("quarantine", "retry", "--project", "lung", "--reason", "lookup-miss")
    assert done.returncode == 0, done.stderr
    house.deliver()

    assert set(patients(house)) == {"LUNG-7", "LUNG-8"}
    assert not house.set_aside()
    shifts = house.mapping("date_shift")
    assert shifts == {studies.study_uid(1): "-100", studies.study_uid(2): "200"}
    assert ticket


def test_a_running_service_takes_a_new_list_at_a_reload(house: House) -> None:
    write_list(house, "P1,LUNG-7,\n")
    with house.service():
        house.drop("one", studies.instance(1, 1, patient="P1"))
        house.wait_until_done(studies=1)
        write_list(house, "P1,LUNG-7,\nP2,P2,\n")
        refused = house.command("reload")
        assert refused.returncode == 78
        assert "subjects.csv:3: the subject has the Patient ID in it" in refused.stderr
        write_list(house, "P1,LUNG-7,\nP2,LUNG-8,\n")
        assert house.command("reload").returncode == 0
        house.drop("two", studies.instance(2, 1, patient="P2"))
        house.wait_until_done(studies=2)
    assert set(patients(house)) == {"LUNG-7", "LUNG-8"}


def test_a_list_that_was_changed_never_gives_a_patient_a_second_subject(house: House) -> None:
    write_list(house, "P1,LUNG-7,\n")
    house.drop("one", studies.instance(1, 1, patient="P1"))
    house.deliver()
    write_list(house, "P1,LUNG-8,\nP2,LUNG-7,\n")
    house.drop("late", studies.instance(1, 2, patient="P1"))
    house.deliver()
    house.drop("other", studies.instance(2, 1, patient="P1"))
    house.drop("another", studies.instance(3, 1, patient="P2"))
    house.deliver(expect=3)

    assert patients(house) == {"LUNG-7": {"LUNG-7"}}
    assert dict(house.refusals()) == {"patient-mismatch": 2}


def test_equal_ids_of_two_issuers_are_two_patients(house: House) -> None:
    house.configure(subjects={"kind": "sequential", "spelling": {"issuer": True}})
    for study, issuer in enumerate(("North", "South", " North"), 1):
        house.drop(f"{study}", studies.instance(study, 1, patient="4711", IssuerOfPatientID=issuer))
        house.deliver()
    assert set(patients(house)) == {"0001", "0002"}
    assert house.mapping("patient") == {"4711^^^North": "0001", "4711^^^South": "0002"}
