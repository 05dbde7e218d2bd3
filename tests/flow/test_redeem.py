"""Whoever holds the key finds the original behind a pseudonym, and leaves a trace."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.keys import read_key
from coatcheck.vault import Vault
from tests.acceptance import studies
from tests.acceptance.house import House

ENCRYPTS = "rules:\n  - {at: StationName, do: remove}\n  - {at: StudyDescription, do: encrypt}\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("redeem") / "house")
    (house.root / "mine.yaml").write_text(ENCRYPTS)
    house.configure(profile="./mine.yaml")
    house.drop("a", studies.instance(1, 1, StudyDescription="Knee of somebody"))
    house.deliver()
    return house


def redeemed(house: House, value: object) -> str:
    done = house.command("redeem", "--project", "lung", str(value), "--reason", "incidental finding")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_subject_a_uid_and_an_encrypted_text_lead_back(house: House) -> None:
    ds = studies.read(next(iter(house.delivered().values())))

    assert redeemed(house, ds.PatientID) == "PAT-0815"
    assert redeemed(house, ds.SOPInstanceUID) == studies.sop_uid(1, 1)
    assert redeemed(house, ds.StudyDescription) == "Knee of somebody"
    assert ds.StudyDescription != "Knee of somebody"


def test_each_look_up_is_a_row_in_the_audit_that_tells_nobody_else(house: House) -> None:
    redeemed(house, studies.read(next(iter(house.delivered().values()))).PatientID)
    keys = {"lung": read_key(house.root / "keys" / "lung.key", None)}

    with closing(Vault.open(house.state / "vault.db", keys, readonly=True)) as vault:
        row = vault.audits("lung")[-1]

    assert (row.action, row.reason) == ("redeem", "incidental finding")
    assert b"incidental" not in (house.state / "vault.db").read_bytes()


@pytest.mark.parametrize("value", ["SAAAAAAAAAAAA", "2.25.1", "bm90IG91cnM", "x", "PAT-0815"])
def test_what_this_project_never_made_is_an_error_that_does_not_repeat_it(house: House, value: str) -> None:
    done = house.command("redeem", "--project", "lung", value, "--reason", "why not")

    assert done.returncode == 1
    assert "has made no such" in done.stderr
    assert len(value) == 1 or value not in done.stderr


def test_without_a_reason_nothing_is_told(house: House, tmp_path: Path) -> None:
    done = house.command("redeem", "--project", "lung", "2.25.1")

    assert done.returncode == 2
    assert "--reason" in done.stderr
