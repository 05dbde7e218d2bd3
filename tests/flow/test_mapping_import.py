"""Patients who are known from an earlier system keep their pseudonyms, their shifts and their UIDs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom import Dataset

from tests.acceptance import studies
from tests.acceptance.house import House

OLD_STUDY = "1.2.840.113654.2.70.1.77"


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", profile="research")


def write(house: House, text: str, name: str = "old.csv") -> Path:
    (house.root / name).write_text(text)
    return house.root / name


def taken(house: House, file: Path, *more: str, expect: int = 0) -> str:
    done = house.command("mapping", "import", file, "--project", "lung", "--apply", *more)
    assert done.returncode == expect, done.stderr
    return done.stderr


def results(house: House) -> list[Dataset]:
    return [studies.read(content) for content in house.delivered().values()]


def redeemed(house: House, value: str) -> str:
    done = house.command("redeem", "--project", "lung", value, "--reason", "a finding")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def index_of_rsna(study: int, patient: str, subject: str, days: int) -> str:
    """The patient index as RSNA's Anonymizer exports it, of one Study."""
    head = "ANON-PatientID,ANON-PatientName,PHI-PatientName,PHI-PatientID,DateOffset,PHI-StudyDate,ANON-AccNo,PHI-AccNo"
    row = f"{subject},{subject},Doe^Jane,{patient},{days},20230612,1,A77"
    return f"{head},ANON-StudyUID,PHI-StudyUID,Series,Instances\n{row},{OLD_STUDY},{studies.study_uid(study)},1,1\n"


def test_later_deliveries_have_the_pseudonym_shift_and_uid_of_the_earlier_system(house: House) -> None:
    file = write(house, index_of_rsna(1, "PAT-1", "527408-000001", 42))
    taken(house, file, "--reason", "the old gateway")
    house.drop("a", studies.instance(1, 1, patient="PAT-1"))
    house.drop("b", studies.instance(2, 1, patient=" PAT-1 "))
    house.deliver()

    delivered = results(house)
    assert {str(one.PatientID) for one in delivered} == {"527408-000001"}
    assert OLD_STUDY in {str(one.StudyInstanceUID) for one in delivered}
    assert house.mapping("date_shift") == {studies.study_uid(1): "42", studies.study_uid(2): "42"}
    assert redeemed(house, "527408-000001").split() == ["PAT-1"]
    assert redeemed(house, OLD_STUDY) == studies.study_uid(1)
    assert house.command("doctor").returncode == 0


def test_what_refers_to_an_instance_of_the_earlier_system_goes_on_to_do_so(house: House) -> None:
    old, frame = studies.sop_uid(7, 7), "1.2.3.99.1"
    taken(house, write(house, f'Original UID,Trial UID\n=("{old}"),=("1.9.7.7")\n{frame},1.9.8.8\n'))
    house.drop("a", studies.instance(1, 1, FrameOfReferenceUID=frame))
    house.drop("b", studies.instance(1, 2, FrameOfReferenceUID=frame))
    house.deliver()

    assert [str(one.FrameOfReferenceUID) for one in results(house)] == ["1.9.8.8"] * 2
    assert all(str(one.SOPInstanceUID).startswith("2.25.") for one in results(house))
    house.drop("again", studies.instance(1, 2, FrameOfReferenceUID=frame))
    house.deliver()
    assert len(house.delivered()) == 2


def test_numbers_of_a_sequence_go_around_those_of_the_earlier_system(house: House) -> None:
    house.configure(subjects={"kind": "sequential", "prefix": "LUNG-"})
    taken(house, write(house, '[{"id_old": "P1", "id_new": "LUNG-0001"}, {"id_old": "P2", "id_new": "LUNG-0002"}]'))
    for study, patient in enumerate(("new", "P2", "P1"), 1):
        house.drop(f"{study}", studies.instance(study, 1, patient=patient))
    house.deliver()

    assert house.mapping("patient") == {"P1": "LUNG-0001", "P2": "LUNG-0002", "new": "LUNG-0003"}


def test_nothing_is_changed_before_it_is_applied_and_nothing_where_a_line_stands_against_it(house: House) -> None:
    house.drop("a", studies.instance(1, 1, patient="PAT-1"))
    house.deliver()
    before = (house.state / "vault.db").read_bytes()
    file = write(house, "id_old,id_new\nPAT-2,OLD-2\nPAT-1,OLD-1\nSecret-7,Secret-7\nPAT-3,OLD-2\nPAT-4,PAT-2\n")

    shown = house.command("mapping", "import", file, "--project", "lung", "--json")
    refused = taken(house, file, expect=1)

    assert shown.returncode == 1
    problems = json.loads(shown.stdout)["problems"]
    assert [one["line"] for one in problems] == [3, 4, 5, 6]
    assert "nothing was changed" in refused
    for value in ("PAT-", "OLD-", "Secret"):
        assert value not in shown.stdout + shown.stderr + refused
    assert (house.state / "vault.db").read_bytes() == before
    good = write(house, "id_old,id_new\nPAT-2,OLD-2\n")
    only_shown = house.command("mapping", "import", good, "--project", "lung")
    assert (only_shown.returncode, "--apply writes it" in only_shown.stderr) == (0, True)
    assert (house.state / "vault.db").read_bytes() == before


def test_one_export_can_be_taken_over_by_another_project(house: House, tmp_path: Path) -> None:
    taken(house, write(house, "patient_id,subject,date_shift_days\nP1,S-1,-30\n"))
    house.drop("a", studies.instance(1, 1, patient="P1"))
    house.deliver()
    other = House(tmp_path / "other", profile="research")
    for kind in ("patient", "uid", "patient_shift"):
        done = house.command("mapping", "export", "--project", "lung", "--kind", kind, "--format", "json")
        file = write(other, done.stdout, f"{kind}.json")
        taken(other, file, *(("--kind", "uid") if kind == "uid" else ()))
    other.drop("a", studies.instance(1, 1, patient="P1"))
    other.drop("b", studies.instance(2, 1, patient="P1"))
    other.deliver()

    uids = {str(one.SOPInstanceUID) for one in results(house)}
    assert uids < {str(one.SOPInstanceUID) for one in results(other)}
    assert other.mapping("date_shift") == {studies.study_uid(1): "-30", studies.study_uid(2): "-30"}
    assert {str(one.PatientID) for one in results(other)} == {"S-1"}


def test_a_running_service_keeps_the_vault_for_itself(house: House) -> None:
    file = write(house, "id_old,id_new\nPatient-4711,OLD-9\n")
    with house.service():
        assert "a service is running" in taken(house, file, expect=1)
    taken(house, file, "--reason", "because")

    content = b"".join(path.read_bytes() for path in house.state.iterdir() if path.is_file())
    assert b"Patient-4711" not in content
    assert b"OLD-9" not in content
    assert b"mapping import" in content


def test_a_study_that_was_set_aside_before_takes_its_earlier_uid_afterwards(house: House) -> None:
    house.drop("a", studies.instance(1, 1, BurnedInAnnotation="YES"))
    house.deliver(expect=3)
    taken(house, write(house, f"Original UID,Trial UID\n{studies.study_uid(1)},{OLD_STUDY}\n"))
    house.configure(pixel_risk="allow")
    assert house.command("quarantine", "retry", "--project", "lung", "--all").returncode == 0
    house.deliver()

    assert [str(one.StudyInstanceUID) for one in results(house)] == [OLD_STUDY]
