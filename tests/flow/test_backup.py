"""A backup: made while the service works, looked at, put back and worked on with; nothing that it lacks is guessed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from coatcheck.backup import check, make
from coatcheck.config import load
from coatcheck.errors import CoatcheckError
from tests.acceptance import studies
from tests.acceptance.house import House, wait_until

NUMBERED = {"kind": "sequential", "prefix": "LUNG-"}


@pytest.fixture(scope="module")
def new(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house in which nothing ran yet."""
    return House(tmp_path_factory.mktemp("new") / "house")


@pytest.fixture(scope="module")
def begun(new: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house in which one file was delivered."""
    house = new.copy(tmp_path_factory.mktemp("begun") / "house")
    house.drop("one", studies.instance(1, 1))
    house.deliver()
    return house


@pytest.fixture
def fresh(new: House, tmp_path: Path) -> House:
    """A house of one's own in which nothing ran yet."""
    (tmp_path / "backups").mkdir(mode=0o700)
    return new.copy(tmp_path / "house")


@pytest.fixture
def house(begun: House, tmp_path: Path) -> House:
    """A house of one's own in which one file was delivered."""
    (tmp_path / "backups").mkdir(mode=0o700)
    return begun.copy(tmp_path / "house")


def backup(house: House) -> Path:
    """Makes a backup that is whole; gives its folder."""
    done = house.command("backup", house.root.parent / "backups")
    assert done.returncode == 0, done.stderr
    assert "THE KEYS ARE NOT IN THE BACKUP" in done.stderr
    folder = Path(done.stdout.strip())
    checked = house.command("backup", "--verify", folder)
    assert checked.returncode == 0, checked.stdout
    return folder


def restore(house: House, folder: Path, *names: str) -> None:
    """What RESTORE.txt says, or a part of it."""
    aside = house.state / "before-restore"
    aside.mkdir(mode=0o700, exist_ok=True)
    for name, mode in (("ledger.db", "0640"), ("vault.db", "0600")):
        if name in (names or (name,)):
            for path in house.state.glob(f"{name}*"):
                path.replace(aside / path.name)
            owner = f"-o {house.state.owner()} -g {house.state.group()}"
            command = f"install {owner} -m {mode} {name} {house.state / name}"
            assert command in (folder / "RESTORE.txt").read_text()
            subprocess.run(command.split(), cwd=folder, check=True)


def doctor(house: House) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit code, and the findings by their level."""
    done = house.command("doctor", "--thorough", "--json")
    findings: dict[str, list[dict[str, Any]]] = {"problem": [], "note": [], "ok": [], "mended": []}
    for one in json.loads(done.stdout)["findings"]:
        findings[one["level"]].append(one)
    return done.returncode, findings


def uids(house: House) -> dict[str, tuple[str, str, str]]:
    """Original SOP Instance UID → what is out for it: Patient ID, Study and Instance."""
    old = {new: original for original, new in house.mapping("uid").items()}
    found = {}
    for content in house.delivered().values():
        ds = studies.read(content)
        found[old[str(ds.SOPInstanceUID)]] = (str(ds.PatientID), str(ds.StudyInstanceUID), str(ds.SOPInstanceUID))
    return found


def test_a_backup_beside_a_service_that_delivers_is_whole_and_holds_no_key(house: House) -> None:
    made: list[Path] = []
    with house.service():
        maker = threading.Thread(target=lambda: made.append(backup(house)))
        for study in range(2, 25):
            house.drop(f"{study}", studies.instance(study, 1, patient=f"P{study}"))
            if study == 5:
                wait_until(lambda: house.rows("SELECT 1 FROM deliveries WHERE state = 'done'"), "it delivers")
                maker.start()
        house.wait_until_done(studies=24)
        maker.join()
    (folder,) = made

    assert {path.stat().st_mode & 0o777 for path in [folder, *folder.rglob("*")] if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    key = yaml.safe_load((house.root / "keys/lung.key").read_bytes())
    secrets = [key["pseudonym_secret"], *key["sealing_keys"].values()]
    forms = [form for secret in secrets for form in (secret.encode(), base64.b64decode(secret))]
    for path in folder.rglob("*"):
        assert path.is_dir() or not any(form in path.read_bytes() for form in forms)
    with closing(sqlite3.connect(house.state / "vault.db")) as db:
        assert db.execute("SELECT COUNT(*) FROM audit WHERE action = 'backup'").fetchone() == (1,)
    restore(house, folder)
    code, found = doctor(house)
    assert code == 0, found["problem"]


def test_what_comes_after_a_restore_comes_out_under_the_same_identifiers(house: House) -> None:
    folder = backup(house)
    house.drop("lost", studies.instance(2, 1, patient="PAT-2"))
    house.drop("late", studies.instance(1, 2))
    house.deliver()
    before = uids(house)
    shutil.rmtree(house.state)
    house.state.mkdir(mode=0o750)
    restore(house, folder)

    code, found = doctor(house)

    assert code == 0, found["problem"]
    notes = " ".join(one["what"] for one in found["note"])
    assert "2 folders lie in the outbox that no delivery knows" in notes
    assert "the archive holds originals of 1 studies that the ledger does not know" in notes

    for path in house.outbox.glob("[!.]*"):
        shutil.rmtree(path)
    house.drop("later", studies.instance(1, 3))
    house.drop("lost", studies.instance(2, 1, patient="PAT-2"))
    house.drop("late", studies.instance(1, 2))
    house.deliver()

    after = uids(house)
    assert len(after) == 3
    assert after.items() >= {uid: before[uid] for uid in (studies.sop_uid(2, 1), studies.sop_uid(1, 2))}.items()
    assert after[studies.sop_uid(1, 3)][:2] == before[studies.sop_uid(1, 1)][:2]
    assert doctor(house)[0] == 0


def test_after_a_restore_no_number_is_given_twice(fresh: House) -> None:
    house = fresh
    house.configure(subjects=NUMBERED)
    house.drop("a", studies.instance(1, 1, patient="A"))
    house.deliver()
    folder = backup(house)
    house.drop("b", studies.instance(2, 1, patient="B"))
    house.deliver()
    assert house.mapping("patient") == {"A": "LUNG-0001", "B": "LUNG-0002"}
    shutil.rmtree(house.outbox / "LUNG-0002")  # collected
    restore(house, folder)

    code, found = doctor(house)
    assert code == 1
    assert [one["check"] for one in found["problem"]] == ["sequence"]
    assert "the highest in the outbox is 1" in found["problem"][0]["hint"]

    house.drop("c", studies.instance(3, 1, patient="C"))
    house.drop("a2", studies.instance(1, 2, patient="A"))
    said = house.once()

    assert said.returncode == 1
    assert "numbers may have been given since" in said.stderr
    assert {path.split("/")[0] for path in house.delivered()} == {"LUNG-0001"}
    assert len(house.delivered()) == 2  # A patient who is known waits for nothing.

    house.configure(subjects=NUMBERED | {"start": 3})
    house.deliver()

    assert house.mapping("patient") == {"A": "LUNG-0001", "C": "LUNG-0003"}
    assert doctor(house)[0] == 0
    house.configure(subjects=NUMBERED)  # It was said once.
    house.drop("d", studies.instance(4, 1, patient="D"))
    house.deliver()
    assert house.mapping("patient")["D"] == "LUNG-0004"


def test_a_number_whose_folder_is_in_the_outbox_is_passed_over(fresh: House) -> None:
    """As when records were put back by other means, which nothing in them tells."""
    house = fresh
    house.configure(subjects=NUMBERED)
    house.drop("a", studies.instance(1, 1, patient="A"))
    house.deliver()
    older = house.root / "older"
    shutil.copytree(house.state, older)
    house.drop("b", studies.instance(2, 1, patient="B"))
    house.deliver()
    shutil.rmtree(house.state)
    older.rename(house.state)

    house.drop("c", studies.instance(3, 1, patient="C"))
    house.deliver()

    assert house.mapping("patient") == {"A": "LUNG-0001", "C": "LUNG-0003"}


def test_a_ledger_that_was_put_back_alone_gives_no_number_again(house: House) -> None:
    folder = backup(house)
    for number in (2, 3):
        house.drop("more", studies.instance(number, 1, patient=f"P{number}"))
        house.drop("text", b"text %d" % number)
        house.deliver(expect=3)
    restore(house, folder, "ledger.db")
    house.drop("next", studies.instance(5, 1, patient="P5"))
    house.drop("text", b"another")

    code, found = doctor(house)
    assert code == 1
    assert any("of which the ledger knows nothing" in one["what"] for one in found["problem"])
    assert "ledger.db is older than vault.db" in house.deliver(expect=3)

    assert house.rows("SELECT MAX(id) FROM deliveries") == [(4,)]
    assert house.rows("SELECT MAX(id) FROM refusals") == [(3,)]
    code, found = doctor(house)
    assert code == 0, found["problem"]
    assert any("put away after the backup" in one["what"] for one in found["note"])
    assert "older" not in house.deliver()


def test_a_vault_that_was_put_back_alone_is_told_of_once(house: House) -> None:
    folder = backup(house)
    house.drop("two", studies.instance(2, 1, patient="P2"))
    house.deliver()
    restore(house, folder, "vault.db")

    code, found = doctor(house)
    assert code == 1
    assert any("the vault does not know what became of" in one["what"] for one in found["problem"])
    assert "vault.db is older than ledger.db" in house.deliver()
    assert "older" not in house.deliver()


def test_all_that_the_configuration_names_is_in_the_backup(fresh: House) -> None:
    house = fresh
    base = house.root
    (base / "profiles").mkdir()
    (base / "profiles/own.yaml").write_text(
        "extends: base.yaml\nrules:\n  - {at: PatientSex, do: lookup, list: sexes.csv, otherwise: empty}\n"
    )
    (base / "profiles/base.yaml").write_text("extends: basic\n")
    (base / "profiles/sexes.csv").write_text("old,new\nM,O\n")
    elsewhere = base.parent / "subjects.csv"
    elsewhere.write_text("patient_id,subject\nPAT-0815,S-1\n")
    house.configure(profile="profiles/own.yaml", subjects={"kind": "list", "file": str(elsewhere)})
    said = yaml.safe_load(house.config.read_bytes())
    (base / "coatcheck.d").mkdir()
    (base / "coatcheck.d/heart.yaml").write_text(
        yaml.safe_dump({role: f"heart/{role}" for role in ("inbox", "outbox", "quarantine", "archive")})
    )
    shutil.copytree(base / "lung", base / "heart")
    shutil.copy(base / "keys/lung.key", base / "keys/heart.key")
    assert list(said["projects"]) == ["lung"]
    house.drop("one", studies.instance(1, 1))
    house.deliver()

    folder = backup(house)

    files = {one["path"]: one["from"] for one in json.loads((folder / "manifest.json").read_bytes())["files"]}
    wanted = [
        "coatcheck.yaml",
        "coatcheck.d/heart.yaml",
        "profiles/own.yaml",
        "profiles/base.yaml",
        "profiles/sexes.csv",
    ]
    for name in wanted:
        assert files[f"config/{name}"] == str(base / name)
        assert (folder / "config" / name).read_bytes() == (base / name).read_bytes()
    assert [path for path, source in files.items() if source == str(elsewhere)]
    assert str(elsewhere) in (folder / "RESTORE.txt").read_text()
    with closing(sqlite3.connect(folder / "vault.db")) as db:
        assert sorted(db.execute("SELECT project FROM audit WHERE action = 'backup'")) == [("heart",), ("lung",)]


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap(folder: Path) -> None:
    """A vault of another time, with a manifest that was made to fit."""
    with closing(sqlite3.connect(folder / "vault.db", isolation_level=None)) as db:
        db.execute("DELETE FROM files")
    digest = subprocess.run(["sha256sum", folder / "vault.db"], capture_output=True, text=True, check=True).stdout
    said = json.loads((folder / "manifest.json").read_bytes())
    for one in said["files"]:
        if one["path"] == "vault.db":
            one |= {"sha256": digest.split()[0], "bytes": (folder / "vault.db").stat().st_size}
    (folder / "manifest.json").write_text(json.dumps(said))


def test_a_damaged_backup_is_found(house: House) -> None:
    whole = backup(house)
    damages = {
        "vault.db is not what it was": lambda folder: flip(folder / "vault.db"),
        "ledger.db is missing": lambda folder: (folder / "ledger.db").unlink(),
        "config/coatcheck.yaml is not what it was": lambda folder: flip(folder / "config/coatcheck.yaml"),
        "no manifest that can be read": lambda folder: os.truncate(folder / "manifest.json", 100),
        "something lies in it that is not part of it": lambda folder: (folder / "new").touch(),
        "RESTORE.txt is open to other users": lambda folder: (folder / "RESTORE.txt").chmod(0o644),
        "vault.db is older than the other one": swap,
    }
    for number, (words, damage) in enumerate(damages.items()):
        copy = whole.with_name(f"copy-{number}")
        shutil.copytree(whole, copy)
        damage(copy)

        try:
            said = "; ".join(check(copy, clock=time.monotonic))
        except CoatcheckError as error:
            said = str(error)
        assert words in said
    flip(whole / "vault.db")
    assert house.command("backup", "--verify", whole).returncode == 1


def test_a_place_that_is_no_good_is_refused_and_nothing_is_written(house: House) -> None:
    (house.outbox / "below").mkdir()
    (house.root / "link").symlink_to(house.archive)
    config = load(house.config)
    before = sorted(house.root.rglob("*"))
    for place in ("lung/inbox", "lung/outbox/below", "link", "state", "keys", "absent"):
        with pytest.raises(CoatcheckError, match=r"name a folder elsewhere|is not a folder"):
            make(config, house.root / place, now=datetime.now(UTC), audit=lambda: pytest.fail("it was audited"))

    assert house.command("backup", house.inbox).returncode == 1
    assert sorted(house.root.rglob("*")) == before


def test_without_records_there_is_nothing_to_copy(fresh: House) -> None:
    done = fresh.command("backup", fresh.root.parent / "backups")

    assert done.returncode == 1
    assert "there are no records yet" in done.stderr
    assert not list((fresh.root.parent / "backups").iterdir())


def test_what_a_killed_backup_left_is_removed_by_the_next_and_what_is_under_way_is_not(house: House) -> None:
    backups = house.root.parent / "backups"
    killed, working = backups / ".coatcheck-partial-a", backups / ".coatcheck-partial-b"
    for folder in (killed, working):
        folder.mkdir()
        (folder / "vault.db").touch()
    held = os.open(working, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        backup(house)
    finally:
        os.close(held)

    assert not killed.exists()
    assert working.exists()


def test_a_database_that_is_damaged_is_not_copied(house: House) -> None:
    with closing(sqlite3.connect(house.state / "ledger.db")) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events_study'").fetchone()
    with (house.state / "ledger.db").open("r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\0\0")

    done = house.command("backup", house.root.parent / "backups")

    assert done.returncode == 1
    assert "is damaged" in done.stderr
    assert not list((house.root.parent / "backups").iterdir())
