"""The vault: sealed, private, found again from both sides, and durable."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import KeyFileError, StateError
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.keys import ProjectKey, new_key
from coatcheck.model import Fingerprint
from coatcheck.vault import Kind, Vault

NOW = "2026-11-21T10:00:00.000Z"
KEY = ProjectKey(b"p" * 32, {1: b"1" * 64})
ROTATED = ProjectKey(b"p" * 32, {1: b"1" * 64, 2: b"2" * 64})
OTHER = ProjectKey(b"o" * 32, {1: b"o" * 64})
KEYS = {"lung": KEY, "heart": KEY, "brain": OTHER}
PRINT = Fingerprint(1, 2, 3, 4, 5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.db"


@pytest.fixture
def vault(path: Path) -> Iterator[Vault]:
    vault = Vault.open(path, KEYS)
    yield vault
    vault.close()


def planned(path: str, destination: str = "7F3K9Q2MXA/x", fate: Fate = Fate.ARCHIVE) -> PlannedFile:
    return PlannedFile(path=path, fingerprint=PRINT, fate=fate, destination=destination)


def on_disk(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob("vault.db*")))


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    assert connection.execute(sql).rowcount > 0
    connection.commit()
    connection.close()


# Mappings


def test_a_mapping_is_found_from_either_side_after_reopening(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.UID, {"1.2.3": "2.25.7"}, NOW)
    vault.close()
    again = Vault.open(path, KEYS)
    assert again.replacement("lung", Kind.UID, "1.2.3") == "2.25.7"
    assert again.original("lung", Kind.UID, "2.25.7") == "1.2.3"
    assert again.replacement("lung", Kind.UID, "2.25.7") is None
    assert again.original("lung", Kind.UID, "1.2.3") is None
    again.close()


def test_kinds_and_projects_are_apart_even_with_the_same_key(vault: Vault) -> None:
    vault.record("lung", Kind.PATIENT, {"4711": "A"}, NOW)
    assert vault.replacement("lung", Kind.UID, "4711") is None
    assert vault.replacement("heart", Kind.PATIENT, "4711") is None
    assert vault.originals("heart", Kind.PATIENT, "A") == []
    vault.record("heart", Kind.PATIENT, {"4711": "B"}, NOW)
    assert vault.original("heart", Kind.PATIENT, "B") == "4711"


@given(pairs=st.dictionaries(st.text(st.characters()), st.text(st.characters()), max_size=20))
def test_any_text_comes_back_from_both_sides(tmp_path_factory: pytest.TempPathFactory, pairs: dict[str, str]) -> None:
    vault = Vault.open(tmp_path_factory.mktemp("vault") / "vault.db", KEYS)
    vault.record("lung", "patient", pairs, NOW)
    for original, replacement in pairs.items():
        assert vault.replacement("lung", "patient", original) == replacement
        assert original in vault.originals("lung", "patient", replacement)
    assert list(vault.export("lung", "patient")) == list(pairs.items())
    vault.close()


def test_text_with_lone_surrogates_is_kept(vault: Vault) -> None:
    vault.record("lung", Kind.PATIENT, {"M\udcfcller": "A", "\ud800": "B", "": "C"}, NOW)
    assert dict(vault.export("lung", Kind.PATIENT)) == {"M\udcfcller": "A", "\ud800": "B", "": "C"}


def test_recording_again_changes_nothing_within_and_after_a_process(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1", "1.3": "2.25.2"}, NOW)
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, "2027-01-01T00:00:00.000Z")
    second = Vault.open(path, KEYS)
    second.record("lung", Kind.UID, {"1.3": "2.25.2", "1.4": "2.25.3"}, NOW)
    second.close()
    assert list(vault.export("lung", Kind.UID)) == [("1.2", "2.25.1"), ("1.3", "2.25.2"), ("1.4", "2.25.3")]


@pytest.mark.parametrize("fresh_process", [False, True])
def test_an_original_never_gets_a_second_replacement(path: Path, vault: Vault, fresh_process: bool) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    second = Vault.open(path, KEYS) if fresh_process else vault
    with pytest.raises(StateError, match="another replacement") as caught:
        second.record("lung", Kind.UID, {"1.9": "2.25.9", "1.2": "2.25.2"}, NOW)
    assert "1.2" not in str(caught.value)
    assert list(vault.export("lung", Kind.UID)) == [("1.2", "2.25.1")]
    second.close()


def test_what_was_rolled_back_is_not_taken_for_recorded(vault: Vault) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    with pytest.raises(StateError):
        vault.record("lung", Kind.UID, {"1.9": "2.25.9", "1.2": "2.25.2"}, NOW)
    vault.record("lung", Kind.UID, {"1.9": "2.25.9"}, NOW)
    assert vault.replacement("lung", Kind.UID, "1.9") == "2.25.9"


def test_several_originals_behind_one_date_shift_are_all_found(vault: Vault) -> None:
    vault.record("lung", Kind.DATE_SHIFT, {"1.2": "-37", "1.3": "-37"}, NOW)
    assert vault.originals("lung", Kind.DATE_SHIFT, "-37") == ["1.2", "1.3"]
    with pytest.raises(StateError, match="2 originals"):
        vault.original("lung", Kind.DATE_SHIFT, "-37")


def test_rows_of_an_older_sealing_key_are_found_and_not_written_again(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    rotated = Vault.open(path, {"lung": ROTATED})
    rotated.record("lung", Kind.UID, {"1.2": "2.25.1", "1.3": "2.25.2"}, NOW)
    assert list(rotated.export("lung", Kind.UID)) == [("1.2", "2.25.1"), ("1.3", "2.25.2")]
    assert rotated.original("lung", Kind.UID, "2.25.1") == "1.2"
    with pytest.raises(StateError, match="another replacement"):
        Vault.open(path, {"lung": ROTATED}).record("lung", Kind.UID, {"1.2": "2.25.8"}, NOW)
    with pytest.raises(StateError, match="lacks sealing key 2"):
        list(vault.export("lung", Kind.UID))
    rotated.close()


def test_an_export_of_many_rows_keeps_their_order(vault: Vault) -> None:
    pairs = {f"1.{number}": f"2.25.{number}" for number in range(2500)}
    vault.record("lung", Kind.UID, pairs, NOW)
    vault.record("heart", Kind.UID, {"9": "2.25.9"}, NOW)
    assert list(vault.export("lung", Kind.UID)) == list(pairs.items())


def test_the_uids_of_a_study_of_2000_files_take_little_time(vault: Vault) -> None:
    uids = {f"1.3.6.1.4.1.14519.5.2.1.7009.{n}.{n * 7919}": f"2.25.{n * 10**33}" for n in range(2100)}
    start = time.process_time()
    vault.record("lung", Kind.UID, uids, NOW)
    assert time.process_time() - start < 1.0  # measured: 0.04 s; a busy machine gets its share
    start = time.process_time()
    vault.record("lung", Kind.UID, uids, NOW)
    assert time.process_time() - start < 0.1  # measured: 0.001 s


# Sealing


def test_nothing_that_identifies_can_be_read_in_the_files(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.PATIENT, {"DOE-4711": "SUBJECT-1"}, NOW)
    vault.record("lung", Kind.UID, {"1.2.826.0.1.42": "2.25.777"}, NOW)
    vault.plan("lung", delivery_id=1, files=[planned("Doe^Jane/ct1", "TICKET/Doe^Jane/ct1")])
    vault.audit("lung", who="root", action="redeem", subject="2.25.777", reason="asked by Dr. Brown", now=NOW)
    content = on_disk(path)
    assert b"patient" in content
    for text in (b"DOE-4711", b"SUBJECT-1", b"1.2.826", b"2.25.777", b"Jane", b"TICKET", b"Brown"):
        assert text not in content
    assert KEY.sealing_keys[1] not in content


def test_another_key_opens_nothing_and_finds_nothing(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.PATIENT, {"4711": "A"}, NOW)
    stranger = Vault.open(path, {"lung": OTHER})
    assert stranger.replacement("lung", Kind.PATIENT, "4711") is None
    with pytest.raises(StateError, match="cannot be opened"):
        list(stranger.export("lung", Kind.PATIENT))
    stranger.close()


@pytest.mark.parametrize("column", ["original", "replacement"])
def test_a_changed_bit_is_a_clear_error(path: Path, vault: Vault, column: str) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    change(path, f"UPDATE mappings SET {column} = CAST(substr({column}, 1, 3) || x'00' || substr({column}, 5) AS BLOB)")
    with pytest.raises(StateError, match="cannot be opened") as caught:
        list(vault.export("lung", Kind.UID))
    assert "restore" in caught.value.hint


@pytest.mark.parametrize("value", ["x''", "x'00'", "'text'"])
def test_a_row_that_is_no_sealed_value_is_a_clear_error(path: Path, vault: Vault, value: str) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    change(path, f"UPDATE mappings SET replacement = {value}")
    with pytest.raises(StateError, match="cannot be opened"):
        vault.replacement("lung", Kind.UID, "1.2")


def test_a_sealed_value_does_not_open_in_another_project_or_column(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    change(path, "UPDATE mappings SET project = 'heart'")
    with pytest.raises(StateError, match="cannot be opened"):
        list(vault.export("heart", Kind.UID))
    change(path, "UPDATE mappings SET project = 'lung', replacement = original")
    with pytest.raises(StateError, match="cannot be opened"):
        list(vault.export("lung", Kind.UID))


def test_a_project_without_a_key_is_an_error_of_the_key(vault: Vault) -> None:
    with pytest.raises(KeyFileError, match="no key for project liver"):
        vault.record("liver", Kind.UID, {"1": "2"}, NOW)
    vault.use_keys({**KEYS, "liver": OTHER})
    vault.record("liver", Kind.UID, {"1": "2"}, NOW)


# Fates


def test_fates_go_from_planned_to_done(vault: Vault) -> None:
    first, second = vault.plan("lung", delivery_id=7, files=[planned("a"), planned("b", "", Fate.DELETE)])
    assert [(row.id, row.file.path, row.state) for row in vault.planned("lung")] == [
        (first, "a", FateState.PLANNED),
        (second, "b", FateState.PLANNED),
    ]
    vault.settle_fate([first], FateState.DONE)
    assert [row.id for row in vault.planned("lung")] == [second]
    assert vault.planned("heart") == []
    assert [row.state for row in vault.fates("lung", delivery_id=7)] == [FateState.DONE, FateState.PLANNED]


@pytest.mark.parametrize("time", [-(1 << 63) - 1, -1, (1 << 63) - 1, 1 << 63, 1 << 64, 10**30])
def test_a_file_may_be_of_any_year(vault: Vault, time: int) -> None:
    mark = Fingerprint(1, 2, 3, time, time)
    file = dataclasses.replace(planned("a", "unassigned/a"), fingerprint=mark)
    vault.plan("lung", refusal_id=1, files=[file])

    assert [row.file.fingerprint for row in vault.planned("lung")] == [mark]


@given(path=st.binary(min_size=1, max_size=40).map(os.fsdecode), numbers=st.tuples(*[st.integers(0, 2**64 - 1)] * 2))
def test_a_plan_keeps_any_path_and_fingerprint(
    tmp_path_factory: pytest.TempPathFactory, path: str, numbers: tuple[int, int]
) -> None:
    vault = Vault.open(tmp_path_factory.mktemp("vault") / "vault.db", KEYS)
    file = dataclasses.replace(planned(path, f"unassigned/{path}"), fingerprint=Fingerprint(*numbers, 9, -1, -2))
    vault.plan("lung", refusal_id=1, files=[file])
    assert [row.file for row in vault.planned("lung")] == [file]
    vault.close()


def test_a_new_plan_for_a_path_supersedes_the_old_one_also_of_an_older_key(path: Path, vault: Vault) -> None:
    vault.plan("lung", delivery_id=1, files=[planned("a"), planned("b")])
    vault.plan("heart", delivery_id=2, files=[planned("a")])
    rotated = Vault.open(path, {"lung": ROTATED, "heart": KEY})
    rotated.plan("lung", refusal_id=3, files=[planned("a", "x", Fate.QUARANTINE)])
    states = [row.state for row in rotated.fates("lung", delivery_id=1)]
    assert states == [FateState.SUPERSEDED, FateState.PLANNED]
    assert [row.refusal_id for row in rotated.planned("lung")] == [None, 3]
    assert len(rotated.planned("heart")) == 1
    rotated.close()


def test_plans_of_uncommitted_work_are_dropped_and_done_ones_stay(vault: Vault) -> None:
    [done, _] = vault.plan("lung", delivery_id=1, files=[planned("a"), planned("b")])
    vault.plan("lung", refusal_id=1, files=[planned("c")])
    vault.plan("lung", delivery_id=2, files=[planned("d")])
    vault.settle_fate([done], FateState.DONE)
    vault.drop_plans(delivery_ids=[1], refusal_ids=[1])
    assert [row.file.path for row in vault.planned("lung")] == ["d"]
    assert vault.fates("lung", delivery_id=1)[0].state is FateState.DONE


def test_planned_files_have_exactly_one_owner(vault: Vault) -> None:
    with pytest.raises(ValueError, match="belong"):
        vault.plan("lung", files=[planned("a")])
    with pytest.raises(ValueError, match="belong"):
        vault.plan("lung", delivery_id=1, refusal_id=1, files=[planned("a")])


def test_no_repr_shows_a_path_or_a_subject(vault: Vault) -> None:
    vault.plan("lung", delivery_id=1, files=[planned("Doe/1", "T/Doe/1")])
    vault.audit("lung", who="root", action="redeem", subject="Doe", reason="for Doe", now=NOW)
    assert "Doe" not in repr(vault.planned("lung")) + repr(vault.audits("lung"))


# Audit


def test_an_audit_row_says_who_did_what_and_why(vault: Vault) -> None:
    vault.audit("lung", who="J\udcfcrgen", action="export", reason="monthly", now=NOW)
    [row] = vault.audits("lung")
    assert (row.at, row.who, row.action, row.subject, row.reason) == (NOW, "J\\udcfcrgen", "export", None, "monthly")


# The file


def test_the_vault_is_private_from_its_first_byte_under_an_open_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        vault = Vault.open(path, KEYS)
        vault.record("lung", Kind.UID, {"1": "2"}, NOW)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    vault.close()
    assert modes == {"vault.db": 0o600, "vault.db-wal": 0o600, "vault.db-shm": 0o600}


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here")
def test_no_file_of_the_vault_is_open_to_others_for_a_moment(path: Path) -> None:
    """Each call that makes a file is watched, for a look at the files afterwards could not see that moment."""
    trace = path.parent / "trace"
    code = f"from tests.unit.test_vault import *; os.umask(0); Vault.open(Path({str(path)!r}), KEYS)"
    command = ["strace", "-f", "-e", "trace=open,openat,creat", "-o", str(trace), sys.executable, "-c", code]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2])
    calls = [line for line in trace.read_text().splitlines() if "vault.db" in line and "O_CREAT" in line]
    first = {name: next(line for line in calls if f'{name}"' in line) for name in ("vault.db", "db-wal", "db-shm")}
    assert "O_EXCL" in first["vault.db"]
    assert all(", 0600) = " in line for line in first.values())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_vault_that_was_opened_to_others_is_refused(path: Path, mode: int) -> None:
    Vault.open(path, KEYS).close()
    path.chmod(mode)
    with pytest.raises(StateError, match="open to other users") as caught:
        Vault.open(path, KEYS)
    assert "chmod 0600" in caught.value.hint


def test_a_link_in_place_of_the_vault_is_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match="not a regular file"):
        Vault.open(path, KEYS)


def test_commits_survive_a_kill(path: Path) -> None:
    code = f"""
from tests.unit.test_vault import *
vault = Vault.open(Path({str(path)!r}), KEYS)
for number in range(100000):
    vault.record("lung", Kind.UID, {{f"1.{{number}}": f"2.{{number}}", f"3.{{number}}": f"4.{{number}}"}}, NOW)
    print(number, flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    seen = 0
    while seen < 20:
        seen = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split(b"\n")[:-1]
    process.wait()
    process.stdout.close()
    last = int(rest[-1]) if rest else seen
    vault = Vault.open(path, KEYS)
    pairs = dict(vault.export("lung", Kind.UID))
    assert len(pairs) in (2 * (last + 1), 2 * (last + 2))  # every commit that was told, and no half of one
    assert all(pairs[f"1.{number}"] == f"2.{number}" for number in range(last + 1))
    vault.close()


def test_a_reader_sees_what_is_committed_and_cannot_write(path: Path, vault: Vault) -> None:
    reader = Vault.open(path, KEYS, readonly=True)
    vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
    assert reader.original("lung", Kind.UID, "2.25.1") == "1.2"
    with pytest.raises(StateError, match="READONLY"):
        reader.record("lung", Kind.UID, {"1.3": "2.25.2"}, NOW)
    reader.close()


def test_an_export_pins_no_snapshot_while_its_consumer_dawdles(path: Path, vault: Vault) -> None:
    vault.record("lung", Kind.UID, {f"1.{n}": f"2.{n}" for n in range(1500)}, NOW)
    reader = Vault.open(path, KEYS, readonly=True)
    export = reader.export("lung", Kind.UID)
    next(export)
    vault.record("lung", Kind.UID, {"3.1": "4.1"}, NOW)
    connection = sqlite3.connect(path)
    busy, pages, folded = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    connection.close()
    assert (busy, pages, folded) == (0, 0, 0)
    reader.close()


def test_another_key_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    first, other = new_key(os.urandom), new_key(os.urandom)
    vault = Vault.open(tmp_path / "vault.db", {"lung": first})
    vault.prove("lung", first)
    vault.prove("lung", first)
    vault.prove("heart", other)

    with pytest.raises(KeyFileError):
        vault.prove("lung", other)
