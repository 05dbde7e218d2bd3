"""What scripts read afterwards: exit codes, the mapping, the records and the rights of files."""

from __future__ import annotations

import csv
import io
import json
import shutil
from datetime import date
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck
from tests.acceptance.keyring import key_file


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def exported(house: House, kind: str) -> list[list[str]]:
    done = house.command("mapping", "export", "--project", "lung", "--kind", kind)
    assert done.returncode == 0, done.stderr
    return list(csv.reader(io.StringIO(done.stdout)))


def day(value: str) -> date:
    return date(int(value[:4]), int(value[4:6]), int(value[6:8]))


def test_the_exported_mapping_leads_from_every_original_to_its_output(house: House) -> None:
    house.configure(profile="research")
    for study, patient in ((1, "PAT-1"), (2, 'with "quotes", commas'), (3, "Ünïcode 7")):
        for number in range(2):
            house.drop(f"{study}-{number}", studies.instance(study, number, patient=patient))
    house.deliver()

    uids, patients, shifts = (exported(house, kind) for kind in ("uid", "patient", "date_shift"))

    assert uids[0] == patients[0] == ["id_old", "id_new"]
    assert shifts[0] == ["study_uid_old", "days"]
    new, subject, days = dict(uids[1:]), dict(patients[1:]), dict(shifts[1:])
    assert set(subject) == {"PAT-1", 'with "quotes", commas', "Ünïcode 7"}
    assert set(days) == {studies.study_uid(study) for study in (1, 2, 3)}
    outputs = {ds.SOPInstanceUID: ds for ds in map(studies.read, house.delivered().values())}
    for original in map(studies.read, house.kept().values()):
        result = outputs.pop(new[original.SOPInstanceUID])
        assert result.StudyInstanceUID == new[original.StudyInstanceUID]
        assert result.SeriesInstanceUID == new[original.SeriesInstanceUID]
        assert result.PatientID == subject[original.PatientID]
        moved = day(result.StudyDate) - day(original.StudyDate)
        assert moved.days == int(days[original.StudyInstanceUID])
        assert -365 <= moved.days <= -1
    assert not outputs


def test_json_says_the_same_as_csv_and_each_export_is_audited(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()

    said = json.loads(house.command("mapping", "export", "--project", "lung", "--kind", "patient", "--json").stdout)

    assert [list(row.values()) for row in said] == exported(house, "patient")[1:]
    assert [set(row) for row in said] == [{"id_old", "id_new"}]


def test_a_profile_without_shifted_dates_exports_no_shift(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()

    assert exported(house, "date_shift") == [["study_uid_old", "days"]]


def test_exit_codes_are_those_that_scripts_rely_on(house: House, tmp_path: Path) -> None:
    assert house.once().returncode == 0
    house.drop("bad", b"text")
    assert house.once().returncode == 3
    assert house.once().returncode == 0, "what went to quarantine in an earlier run counts no more"
    assert house.command("nonsense").returncode == 2
    assert house.command("mapping", "export", "--project", "lung", "--kind", "nonsense").returncode == 2
    assert house.command("mapping", "export", "--project", "nobody", "--kind", "uid").returncode == 2
    assert house.command("quarantine", "show", "4711").returncode == 1
    assert coatcheck("--config", tmp_path / "none.yaml", "run").returncode == 78
    assert house.command("check").returncode == 0
    house.configure(profile="none-such")
    assert house.command("check").returncode == 78
    assert house.once().returncode == 78


def test_a_pass_that_leaves_a_project_out_fails(tmp_path: Path) -> None:
    house = House(tmp_path / "house", "lung", "heart")
    key_file(house, "heart").unlink()
    house.drop("a", studies.instance(1, 1))

    done = house.once()

    assert done.returncode == 1
    assert "heart.key is missing" in done.stderr
    assert len(house.delivered()) == 1


def test_a_pass_whose_inbox_is_missing_fails_and_names_the_project(house: House) -> None:
    house.inbox.rmdir()

    done = house.once()

    assert done.returncode == 1
    assert "coatcheck: lung: inbox" in done.stderr


def test_the_records_are_readable_by_nobody_else(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()

    assert (house.state / "ledger.db").stat().st_mode & 0o777 == 0o640
    assert (house.state / "vault.db").stat().st_mode & 0o777 == 0o600
    assert (house.root / "keys/lung.key").stat().st_mode & 0o777 == 0o600


def test_every_transition_is_an_event(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.drop("bad", b"text")
    house.deliver(expect=3)

    steps = house.rows("SELECT to_state FROM events WHERE delivery_id IS NOT NULL ORDER BY id")
    assert steps == [("open",), ("staged",), ("released",), ("done",)]
    steps = house.rows("SELECT from_state, to_state FROM events WHERE refusal_id IS NOT NULL ORDER BY id")
    assert steps == [(None, "planned"), ("planned", "quarantined")]


def test_a_lost_ledger_costs_the_records_and_overwrites_nothing(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    before = house.delivered()
    shutil.rmtree(house.state)
    house.state.mkdir()
    house.drop("b", studies.instance(1, 2))

    house.deliver()

    after = house.delivered()
    assert {path: after[path] for path in before} == before
    assert len(after) == 2
    assert len(house.folders()) == 2
