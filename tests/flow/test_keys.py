"""The life of a key, on the real process: made once, rotated while the project goes on, destroyed for good."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sqlite3
import stat
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.keys import new_key, read_key, unfinished, write_key
from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck, wait_until
from tests.acceptance.keyring import (
    audited,
    coatcheck_command,
    destroy,
    faults,
    fill,
    key_file,
    redeemed,
    rotate,
    sealed_with,
    vault_of,
)
from tests.faults.need import needs_root


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house that delivered a Study."""
    house = House(tmp_path_factory.mktemp("begun") / "house", "lung", "heart")
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    return house


@pytest.fixture
def house(begun: House, tmp_path: Path) -> House:
    return begun.copy(tmp_path / "house")


# A new one


def test_a_missing_key_is_made_by_the_command_that_the_error_names(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    key_file(house).unlink()
    refused = house.once()
    assert refused.returncode == 78
    assert "`coatcheck key new --project lung`" in refused.stderr

    made = house.command("key", "new", "--project", "lung")

    assert made.stdout == f"made the key {key_file(house)}: keep a copy of it in a safe place\n"
    assert stat.S_IMODE(key_file(house).stat().st_mode) == 0o600
    house.deliver()


def test_a_key_that_is_there_is_never_overwritten(house: House) -> None:
    before = key_file(house).read_bytes()

    done = house.command("key", "new", "--project", "lung")

    assert done.returncode == 1
    assert "is there already" in done.stderr
    assert key_file(house).read_bytes() == before


@pytest.mark.parametrize("arguments", [("key", "new"), ("init",)])
def test_a_project_that_ran_gets_no_second_key(house: House, arguments: tuple[str, ...]) -> None:
    key_file(house).unlink()

    done = house.command(*arguments, "--project", "lung")

    assert done.returncode == 78
    assert "no other one fits its vault" in done.stderr
    assert not key_file(house).exists()


# Rotation


def test_a_rotation_changes_nothing_that_anybody_sees(house: House) -> None:
    mappings = {kind: house.mapping(kind) for kind in ("uid", "patient", "date_shift")}
    ds = studies.read(next(iter(house.delivered().values())))
    before = read_key(key_file(house))

    done = rotate(house)

    assert (done.returncode, done.stdout) == (0, "the vault of lung is sealed with the new key alone\n")
    assert "the old copy does not open the vault any more" in done.stderr
    after = read_key(key_file(house))
    assert after.pseudonym_secret == before.pseudonym_secret
    assert set(before.sealing_keys) == {1}
    assert set(after.sealing_keys) == {2}
    assert {kind: house.mapping(kind) for kind in mappings} == mappings
    assert redeemed(house, ds.PatientID) == "PAT-0815"
    assert redeemed(house, ds.SOPInstanceUID) == studies.sop_uid(1, 1)
    assert audited(house).count("key rotate") == 1
    assert faults(house) == []

    house.drop("a", studies.instance(1, 1))
    house.drop("b", studies.instance(1, 2))
    house.deliver()
    assert {studies.read(one).PatientID for one in house.delivered().values()} == {ds.PatientID}
    assert sealed_with(house) == {2}


def test_a_copy_from_before_the_rotation_runs_nothing(house: House) -> None:
    copy = key_file(house).read_bytes()
    rotate(house)
    key_file(house).write_bytes(copy)

    for arguments in (
        ("run", "--once"),
        ("redeem", "--project", "lung", "S1", "--reason", "x"),
        ("mapping", "export", "--project", "lung", "--kind", "uid"),
    ):
        done = house.command(*arguments)
        assert "lacks sealing key 2" in done.stderr, arguments
        assert done.stdout == ""
    assert "projects.lung: the key of project lung lacks sealing key 2" in house.command("check").stdout


def test_the_running_service_rotates_while_it_delivers_and_is_asked(house: House) -> None:
    fill(house)
    before = house.mapping("uid")
    subject = house.mapping("patient")["PAT-0815"]
    with house.service():
        command = [*coatcheck_command(house), "key", "rotate", "--project", "lung"]
        rotating = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        house.drop("b", studies.instance(1, 2))
        looked = 0
        while rotating.poll() is None or not looked:
            assert redeemed(house, subject) == "PAT-0815"
            looked += 1
        assert rotating.communicate()[0].startswith("the vault of lung is sealed with the new key alone")
        house.wait_until_done(studies=2)
        assert house.mapping("patient") == {"PAT-0815": subject}
        assert read_key(key_file(house)).sealing_keys.keys() == {2}
        assert house.command("reload").returncode == 0
        house.drop("c", studies.instance(1, 3))
        house.wait_until_done(studies=3)

    after = house.mapping("uid")
    assert {old: after[old] for old in before} == before
    assert sealed_with(house) == {2}
    assert faults(house) == []
    assert {path.split("/")[0] for path in house.delivered()} == {subject}


def test_a_service_that_is_killed_while_it_rotates_goes_on_by_itself(house: House) -> None:
    fill(house)
    before = house.mapping("uid")
    service = house.start()
    wait_until(house.said, "the service runs")
    asking = subprocess.Popen(
        [*coatcheck_command(house), "key", "rotate", "--project", "lung"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: read_key(key_file(house)).sealing_keys.keys() == {1, 2}, "it has begun")
    service.kill()
    asking.kill()
    asking.wait()
    assert read_key(key_file(house)).sealing_keys.keys() == {1, 2}, "it was killed in the middle"
    assert house.mapping("uid") == before

    with house.service() as service:
        wait_until(lambda: read_key(key_file(house)).sealing_keys.keys() == {2}, "the next start finishes it")
        wait_until(lambda: "the key was rotated" in service.said(), "it says so")

    assert house.mapping("uid") == before
    assert sealed_with(house) == {2}
    assert faults(house) == []


def test_a_key_from_a_credential_is_rotated_with_the_service_stopped_as_the_error_says(
    house: House, tmp_path: Path
) -> None:
    given = tmp_path / "credentials"
    hand_over(house, given)
    before = house.mapping("uid")
    source = key_file(house).read_bytes()
    with house.service(CREDENTIALS_DIRECTORY=os.fspath(given)):
        wait_until(house.said, "the service runs")
        refused = rotate(house)
    assert refused.returncode == 1
    assert "as a credential" in refused.stderr
    assert "stop the service; see that" in refused.stderr
    assert key_file(house).read_bytes() == source
    assert audited(house).count("key rotate") == 0

    assert rotate(house).returncode == 0
    late = house.once(CREDENTIALS_DIRECTORY=os.fspath(given))
    assert "lacks sealing key 2" in late.stderr, "the old copy is no key any more"
    hand_over(house, given)
    house.drop("b", studies.instance(1, 2))
    assert house.once(CREDENTIALS_DIRECTORY=os.fspath(given)).returncode == 0

    after = house.mapping("uid")
    assert {old: after[old] for old in before} == before


def hand_over(house: House, folder: Path) -> None:
    """What systemd does with LoadCredential: a folder and files that nobody can write to."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in house.projects:
        shutil.copy(key_file(house, name), folder)
        (folder / f"{name}.key").chmod(0o440)
    folder.chmod(0o550)


def test_a_key_folder_that_the_service_cannot_write_to_is_said_and_changes_nothing(house: House) -> None:
    house.bound_by_rights()
    folder = key_file(house).parent
    before = key_file(house).read_bytes()
    with house.service():
        wait_until(house.said, "the service runs")
        folder.chmod(0o500)
        refused = rotate(house)
        folder.chmod(0o700)
        assert refused.returncode == 1
        assert "cannot be replaced (Permission denied)" in refused.stderr
        assert key_file(house).read_bytes() == before
        assert audited(house).count("key rotate") == 0

        assert rotate(house).returncode == 0


@pytest.mark.root
def test_root_rotates_for_the_services_user_and_leaves_nothing_of_its_own(house: House) -> None:
    """As where systemd hands the key over: the key stays root's, the state the service's."""
    needs_root()
    for path in (house.state, *house.state.rglob("*")):
        os.chown(path, 65534, 65534)
    (house.state / "lock").unlink()

    assert rotate(house).returncode == 0

    assert key_file(house).stat().st_uid == 0
    assert {path.stat().st_uid for path in (house.state, *house.state.rglob("*"))} == {65534}
    os.chown(key_file(house), 65534, 65534)
    assert rotate(house).returncode == 0
    found = key_file(house).stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o600)


# The audit


def test_each_look_up_is_in_the_anchored_chain_whether_a_service_runs_or_not(house: House) -> None:
    def anchored() -> bool:
        with closing(vault_of(house)) as vault:
            head = vault.audit_head()
        return head[0] > 0 and house.rows("SELECT last, head FROM audit_anchor") == [head]

    subject = house.mapping("patient")["PAT-0815"]
    assert anchored()
    redeemed(house, subject)
    assert anchored()
    with house.service():
        wait_until(house.said, "the service runs")
        redeemed(house, subject)
        wait_until(anchored, "the service has seen the row")
        house.drop("bad", b"text")
        wait_until(lambda: house.refusals() == {"not-dicom": 1}, "it is set aside")
        assert house.command("quarantine", "drop", "1", "--yes").returncode == 0
        wait_until(anchored, "the service has seen its own row")
    house.drop("bad", b"text")
    house.deliver(expect=3)
    assert house.command("quarantine", "retry", "2").returncode == 0
    assert anchored()

    assert faults(house) == []
    assert audited(house) == ["mapping export patient", "redeem", "redeem", "quarantine drop", "quarantine retry"]


def test_an_audit_that_was_cut_is_told_by_the_next_look_up_and_by_the_service(house: House) -> None:
    subject = house.mapping("patient")["PAT-0815"]
    redeemed(house, subject)
    with closing(sqlite3.connect(house.state / "vault.db")) as db, db:
        db.execute("DELETE FROM audit WHERE action = 'redeem'")

    done = house.command("redeem", "--project", "lung", subject, "--reason", "again")

    assert done.stdout == "PAT-0815\n"
    assert "is not the one that ledger.db remembers: run `coatcheck doctor`" in done.stderr
    assert "is not the one that ledger.db remembers" in house.deliver()
    assert faults(house) == ["audit row 2 is not the one that ledger.db remembers: the audit was replaced"]


# The end


def test_without_a_confirmation_it_only_says_what_it_would_mean(house: House) -> None:
    house.drop("bad", b"text")
    house.deliver(expect=3)
    count = len(house.mapping("uid")) + 1 + 1  # with the patient as it came, and as all spellings have it
    before = key_file(house).read_bytes(), (house.state / "vault.db").read_bytes()

    done = destroy(house)

    assert done.returncode == 0
    assert f"- {count} mappings of 1 patient and the paths of 2 originals become unreadable for ever" in done.stdout
    for folder in (house.archive, house.quarantine, house.inbox):
        assert str(folder) in done.stdout.split("NOT touched", 1)[1].splitlines()[0]
    assert f"overwritten and removed: {key_file(house)}" in done.stdout
    assert "copies of the key elsewhere" in done.stdout
    assert "cannot run again under the name lung" in done.stdout
    assert "nothing was destroyed: --yes lung does it" in done.stderr
    assert json.loads(destroy(house, "--json").stdout)["destroyed"] is None
    assert destroy(house, "--yes", "heart").returncode == 2
    assert (key_file(house).read_bytes(), (house.state / "vault.db").read_bytes()) == before


def test_a_list_of_subjects_is_named_as_what_still_names_patients(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    listed = house.root / "subjects.csv"
    listed.write_text("patient_id,subject\nPAT-0815,LUNG-1\n")
    house.configure(subjects={"kind": "list", "file": str(listed)})
    house.drop("a", studies.instance(1, 1))
    house.deliver()

    assert f"the list of subjects {listed} still names patients" in destroy(house).stdout


def test_nothing_is_destroyed_under_a_running_service(house: House) -> None:
    before = key_file(house).read_bytes()
    with house.service():
        wait_until(house.said, "the service runs")
        assert destroy(house).returncode == 0, "to look is allowed"
        refused = destroy(house, "--yes", "lung")

    assert refused.returncode == 1
    assert "stop it" in refused.stderr
    assert key_file(house).read_bytes() == before
    assert audited(house) == []


def test_a_destroyed_key_is_gone_for_good_and_the_rest_goes_on(house: House, tmp_path: Path) -> None:
    house.drop("bad", b"text")
    house.deliver(expect=3)
    ds = studies.read(next(iter(house.delivered().values())))
    redeemed(house, ds.PatientID)
    copy, linked = key_file(house).read_bytes(), tmp_path / "linked"
    os.link(key_file(house), linked)
    unfinished(key_file(house)).write_bytes(copy)
    unfinished(key_file(house)).chmod(0o600)

    done = destroy(house, "--yes", "lung")

    assert done.returncode == 0, done.stderr
    assert "the key of lung is destroyed" in done.stdout
    assert not key_file(house).exists()
    assert not unfinished(key_file(house)).exists()
    assert linked.read_bytes() == bytes(len(copy)), "the bytes themselves were overwritten"
    assert audited(house)[-1] == "key destroy"
    assert faults(house) == []
    for arguments in (
        ("redeem", "--project", "lung", str(ds.PatientID), "--reason", "x"),
        ("mapping", "export", "--project", "lung", "--kind", "patient"),
        ("quarantine", "retry", "1"),
        ("preview", "--project", "lung", os.fspath(house.config)),
        ("key", "new", "--project", "lung"),
        ("key", "rotate", "--project", "lung"),
        ("init", "--project", "lung"),
    ):
        refused = house.command(*arguments)
        assert refused.returncode != 0, arguments
        assert "was destroyed on 2" in refused.stderr, (arguments, refused.stderr)
        assert "anonymised" in refused.stderr, arguments
        assert refused.stdout == ""
    assert "was destroyed on" in house.command("check").stdout
    assert not key_file(house).exists()
    originals = house.kept() | house.set_aside()
    assert originals, "originals are not touched"

    house.drop("later", studies.instance(2, 1))
    house.drop("other", studies.instance(3, 1), project="heart")
    with house.service() as service:
        wait_until(lambda: list((house.root / "heart/outbox").glob("[!.]*/*")), "the other project goes on")
        wait_until(lambda: "was destroyed on" in service.said(), "it says why this one does not")
        refused = house.command("quarantine", "retry", "1")
        assert refused.returncode == 1
        faulty = house.status()["projects"]["lung"]["faults"]
        assert "anonymised" in faulty[0]["what"]
    assert (house.inbox / "later").exists()

    again = destroy(house, "--yes", "lung")
    assert again.returncode == 0
    assert audited(house).count("key destroy") == 1


def test_a_copy_that_is_put_back_does_not_bring_the_project_back(house: House) -> None:
    copy = key_file(house).read_bytes()
    destroy(house, "--yes", "lung")
    key_file(house).write_bytes(copy)
    key_file(house).chmod(0o600)

    refused = house.command("mapping", "export", "--project", "lung", "--kind", "patient")
    ran = house.once()

    assert (refused.returncode, refused.stdout) == (78, "")
    assert "is still there: run `coatcheck key destroy --project lung --yes lung` again" in refused.stderr
    assert "is still there" in ran.stderr
    assert destroy(house, "--yes", "lung").returncode == 0
    assert not key_file(house).exists()


def test_a_project_that_never_ran_can_be_destroyed_as_well(house: House) -> None:
    """Its vault knows nothing of it, and will refuse it from then on."""
    assert house.command("key", "destroy", "--project", "heart", "--yes", "heart").returncode == 0
    assert not key_file(house, "heart").exists()
    write_key(key_file(house, "heart"), new_key(secrets.token_bytes))

    assert "was destroyed" in house.once().stderr


def test_wrong_usage_ends_with_2(house: House) -> None:
    for arguments in (("key",), ("key", "new"), ("key", "rotate", "--project", "lnug"), ("key", "destroy")):
        assert coatcheck("--config", house.config, *arguments).returncode == 2, arguments
