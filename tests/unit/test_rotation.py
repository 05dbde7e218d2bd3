"""A rotation, step by step: everything is found meanwhile, and it goes on wherever it was cut off."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError, KeyFileError
from coatcheck.fates import Fate, PlannedFile
from coatcheck.keys import ProjectKey, new_key, read_key, unfinished, with_sealing_key, write_key
from coatcheck.model import Fingerprint
from coatcheck.rotation import Means, Rotation, Rotations
from coatcheck.vault import Kind, Vault
from coatcheck.vault.resealing import _WINDOW

NOW = "2026-11-21T10:00:00.000Z"
MEANS = Means(utc=lambda: NOW, randomness=os.urandom)
PRINT = Fingerprint(1, 2, 3, 4, 5)
PAIRS = {f"1.{number}": f"2.25.{number}" for number in range(2 * _WINDOW + 500)}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "lung.key"
    write_key(path, new_key(os.urandom))
    return path


@pytest.fixture
def vault(tmp_path: Path, key_file: Path) -> Iterator[Vault]:
    keys = {"lung": read_key(key_file), "heart": new_key(os.urandom)}
    vault = Vault.open(tmp_path / "vault.db", keys)
    for name, key in keys.items():
        vault.prove(name, key)
    vault.record("lung", Kind.UID, PAIRS, NOW)
    vault.record("lung", Kind.SUBJECT, {"PAT": "S1"}, NOW)
    vault.record("heart", Kind.UID, {"1.1": "2.25.77"}, NOW)
    vault.plan("lung", delivery_id=1, files=[PlannedFile(path="a", fingerprint=PRINT, fate=Fate.ARCHIVE)])
    vault.audit("lung", who="anna", action="redeem", subject="S1", reason="why", now=NOW)
    yield vault
    vault.close()


def rotation(vault: Vault, key_file: Path) -> Rotation:
    return Rotation(vault, "lung", key_file, "anna", MEANS)


def finish(work: Rotation) -> int:
    """Go on to the end; gives the number of steps."""
    steps = 1
    while not work.step():
        steps += 1
    return steps


def busy(rotations: Rotations) -> bool:
    return rotations.busy


def numbers(tmp_path: Path, table: str) -> set[tuple[str, int]]:
    with closing(sqlite3.connect(tmp_path / "vault.db")) as db:
        return set(db.execute(f"SELECT project, key_number FROM {table}"))


def everything_is_found(vault: Vault) -> None:
    assert vault.original("lung", Kind.UID, "2.25.7") == "1.7"
    assert vault.replacement("lung", Kind.UID, f"1.{len(PAIRS) - 1}") == f"2.25.{len(PAIRS) - 1}"
    assert vault.replacement("lung", Kind.SUBJECT, "PAT") == "S1"
    assert vault.original("heart", Kind.UID, "2.25.77") == "1.1"
    assert next((row.subject, row.reason) for row in vault.audits("lung")) == ("S1", "why")
    assert vault.planned("lung")[0].file.path == "a"


def test_everything_is_found_at_each_step_and_sealed_with_the_new_key_alone_at_the_end(
    tmp_path: Path, vault: Vault, key_file: Path
) -> None:
    before = read_key(key_file)
    work = rotation(vault, key_file)
    steps = 0
    while not work.step():
        steps += 1
        everything_is_found(vault)
        assert read_key(key_file).sealing_keys.keys() == {1, 2}

    everything_is_found(vault)
    assert steps > 4, "many rows are no single transaction"
    after = read_key(key_file)
    assert after.pseudonym_secret == before.pseudonym_secret
    assert after.sealing_keys.keys() == {2}
    assert after.sealing_keys[2] not in before.sealing_keys.values()
    for table in ("mappings", "files", "audit"):
        assert ("lung", 2) in numbers(tmp_path, table)
        assert ("lung", 1) not in numbers(tmp_path, table)
    assert ("heart", 1) in numbers(tmp_path, "mappings")
    assert not unfinished(key_file).exists()


def test_what_is_recorded_meanwhile_is_not_written_twice(tmp_path: Path, vault: Vault, key_file: Path) -> None:
    work = rotation(vault, key_file)
    work.step()
    with closing(Vault.open(tmp_path / "vault.db", {"lung": read_key(key_file)})) as fresh:  # remembers nothing
        fresh.record("lung", Kind.UID, {**PAIRS, "1.new": "2.25.999999"}, NOW)
        fresh.plan("lung", delivery_id=2, files=[PlannedFile(path="a", fingerprint=PRINT, fate=Fate.DELETE)])
    finish(work)

    exported = list(vault.export("lung", Kind.UID))
    assert len(exported) == len(PAIRS) + 1
    assert dict(exported) == {**PAIRS, "1.new": "2.25.999999"}
    assert [row.file.fate for row in vault.planned("lung")] == [Fate.DELETE]


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_another_process_goes_on_where_one_was_cut_off(
    tmp_path: Path, vault: Vault, key_file: Path, steps: int
) -> None:
    work = rotation(vault, key_file)
    for _ in range(steps):
        work.step()
    vault.close()
    with closing(Vault.open(tmp_path / "vault.db", {})) as next_one:
        finish(rotation(next_one, key_file))

        assert read_key(key_file).sealing_keys.keys() == {2}
        assert next_one.rotation("lung") is None
        assert dict(next_one.export("lung", Kind.UID)) == PAIRS
        assert [row.action for row in next_one.audits("lung")].count("key rotate") == 1


def test_a_second_rotation_makes_the_third_key(vault: Vault, key_file: Path) -> None:
    finish(rotation(vault, key_file))
    finish(rotation(vault, key_file))

    assert read_key(key_file).sealing_keys.keys() == {3}
    everything_is_found(vault)


def test_a_note_without_a_key_file_that_follows_is_carried_out(vault: Vault, key_file: Path) -> None:
    """As after a kill between the two."""
    vault.begin_rotation("lung", 2, who="anna", now=NOW)
    unfinished(key_file).write_text("half a key")

    finish(rotation(vault, key_file))

    assert read_key(key_file).sealing_keys.keys() == {2}


def test_a_file_that_is_trimmed_already_only_lets_the_note_go(vault: Vault, key_file: Path) -> None:
    finish(rotation(vault, key_file))
    vault.begin_rotation("lung", 2, who="anna", now=NOW)

    finish(rotation(vault, key_file))

    assert read_key(key_file).sealing_keys.keys() == {2}
    assert vault.rotation("lung") is None


def test_a_key_file_keeps_its_rights_and_the_old_bytes_are_gone(vault: Vault, key_file: Path) -> None:
    key_file.chmod(0o400)
    before = key_file.read_bytes()
    with key_file.open("rb") as old:
        finish(rotation(vault, key_file))
        left = old.read()

    assert stat.S_IMODE(key_file.stat().st_mode) == 0o400
    assert left == bytes(len(before))


def test_a_copy_by_a_hard_link_is_left_alone(tmp_path: Path, vault: Vault, key_file: Path) -> None:
    before = key_file.read_bytes()
    os.link(key_file, tmp_path / "copy.key")

    finish(rotation(vault, key_file))

    assert (tmp_path / "copy.key").read_bytes() == before


def test_a_copy_from_before_is_known_for_what_it_is(tmp_path: Path, vault: Vault, key_file: Path) -> None:
    copy = read_key(key_file)
    finish(rotation(vault, key_file))

    with pytest.raises(KeyFileError, match="lacks sealing key 2"):
        vault.prove("lung", copy)
    with pytest.raises(KeyFileError, match="lacks sealing key 2"):
        vault.vouch("lung", copy)
    vault.prove("lung", read_key(key_file))


def test_a_vault_from_before_refuses_the_key_of_after(tmp_path: Path, vault: Vault, key_file: Path) -> None:
    """What is sealed with the older key would be taken for unknown, and patients would get a second identity."""
    with (
        closing(sqlite3.connect(tmp_path / "vault.db")) as source,
        closing(sqlite3.connect(tmp_path / "restored.db")) as copy,
    ):
        source.backup(copy)
    (tmp_path / "restored.db").chmod(0o600)
    finish(rotation(vault, key_file))

    with (
        closing(Vault.open(tmp_path / "restored.db", {})) as restored,
        pytest.raises(KeyFileError, match="lacks sealing key 1"),
    ):
        restored.prove("lung", read_key(key_file))


def test_a_vault_that_is_older_than_rotations_learns_its_sealing_key(
    tmp_path: Path, vault: Vault, key_file: Path
) -> None:
    key = read_key(key_file)
    with closing(sqlite3.connect(tmp_path / "vault.db")) as db, db:
        assert db.execute("UPDATE proofs SET key_number = 0").rowcount == 2
    vault.prove("lung", key)

    with pytest.raises(KeyFileError, match="lacks sealing key 1"):
        vault.vouch("lung", ProjectKey(key.pseudonym_secret, {2: os.urandom(64)}))


def test_a_key_of_another_project_rotates_nothing(tmp_path: Path, vault: Vault, key_file: Path) -> None:
    key_file.unlink()
    write_key(key_file, new_key(os.urandom))
    before = key_file.read_bytes()

    with pytest.raises(KeyFileError, match="is not the one"):
        rotation(vault, key_file).step()
    assert key_file.read_bytes() == before
    assert vault.rotation("lung") is None


def test_a_folder_that_takes_no_new_key_stops_it_before_anything_is_noted(vault: Vault, key_file: Path) -> None:
    unfinished(key_file).mkdir()
    before = key_file.read_bytes()

    with pytest.raises(CoatcheckError, match="cannot be replaced"):
        rotation(vault, key_file).step()
    assert (vault.rotation("lung"), key_file.read_bytes()) == (None, before)


def test_who_asks_is_answered_at_the_end_and_told_of_what_goes_on_for_long(vault: Vault, key_file: Path) -> None:
    rotations = Rotations(vault, lambda _: key_file, MEANS)
    rotations.ask("first", "lung", "anna", 0.0)
    assert list(rotations.step(0.0)) == []
    rotations.ask("second", "lung", "berta", 1.0)
    assert list(rotations.step(21.0)) == [("first", {"fault": "", "done": False})]
    answers = []
    while busy(rotations):
        answers += list(rotations.step(20.5))

    assert answers == [("second", {"fault": "", "done": True})]
    assert [(row.action, row.who) for row in vault.audits("lung")][1:] == [("key rotate", "anna")]


def test_what_cannot_begin_is_refused_and_forgotten(vault: Vault, key_file: Path) -> None:
    key_file.rename(key_file.with_name("away"))
    rotations = Rotations(vault, lambda _: key_file, MEANS)
    rotations.ask("first", "lung", "anna", 0.0)

    ((name, answer),) = rotations.step(0.0)

    assert name == "first"
    assert "is missing" in answer["fault"]
    assert not busy(rotations)


def test_what_has_begun_is_tried_again_after_a_while(vault: Vault, key_file: Path) -> None:
    rotations = Rotations(vault, lambda _: key_file, MEANS)
    rotations.ask("first", "lung", "anna", 0.0)
    list(rotations.step(0.0))
    vault.use_keys({})  # as when the key was lost by a reload

    ((_, answer),) = rotations.step(1.0)
    assert "no key for project lung" in answer["fault"]
    assert busy(rotations)
    assert not rotations.is_due(5.0)
    assert rotations.is_due(6.0)
    vault.use_key("lung", read_key(key_file))
    while busy(rotations):
        list(rotations.step(6.0))

    assert read_key(key_file).sealing_keys.keys() == {2}


def test_only_what_an_earlier_process_noted_is_resumed(vault: Vault, key_file: Path) -> None:
    two = with_sealing_key(read_key(key_file), 2, os.urandom)
    key_file.unlink()
    write_key(key_file, two)  # by hand: the owner wants it so
    rotations = Rotations(vault, lambda _: key_file, MEANS)

    rotations.resume(["lung", "heart"])
    assert not busy(rotations)
    vault.begin_rotation("lung", 2, who="anna", now=NOW)
    rotations.resume(["lung", "heart"])
    while busy(rotations):
        list(rotations.step(0.0))

    assert read_key(key_file) == ProjectKey(two.pseudonym_secret, {2: two.sealing_keys[2]})
