"""The audit's chain: followed without a key, broken by every change, and kept by a rotation."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coatcheck.audit_trail import AuditTrail, anchor, anchor_alone
from coatcheck.errors import KeyFileError, StateError
from coatcheck.keys import ProjectKey
from coatcheck.ledger import Ledger, LedgerReader
from coatcheck.service_lock import hold_lock
from coatcheck.steps import Database
from coatcheck.vault import Kind, Span, Vault
from coatcheck.vault.chain import Link
from coatcheck.vault.schema import migrations
from coatcheck.vault.sealing import Seal, encode

NOW = "2026-11-21T10:00:00.000Z"
OLD, NEW = b"1" * 64, b"2" * 64
KEY = ProjectKey(b"p" * 32, {1: OLD})
BOTH = ProjectKey(b"p" * 32, {1: OLD, 2: NEW})
ROTATED = ProjectKey(b"p" * 32, {2: NEW})
ROWS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.db"


@pytest.fixture
def vault(path: Path) -> Iterator[Vault]:
    vault = Vault.open(path, {"lung": KEY, "heart": KEY})
    vault.prove("lung", KEY)
    for number in range(ROWS):
        project = "heart" if number % 3 == 0 else "lung"
        vault.audit(project, who="anna", action="redeem", subject=f"S{number}", reason=f"finding {number}", now=NOW)
    yield vault
    vault.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "ledger.db")
    yield ledger
    ledger.close()


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(sql, values).rowcount > 0


def faults(path: Path, remembered: tuple[int, bytes] | None = None) -> list[str]:
    """What somebody finds who has no key."""
    with closing(Vault.open(path, {}, readonly=True)) as vault:
        return vault.audit_faults(remembered)


def rotate(vault: Vault, key: ProjectKey = BOTH) -> None:
    vault.begin_rotation("lung", key.current, who="anna", now=NOW)
    for span in vault.take_rotated("lung", key):
        left: Span | None = span
        while left is not None:
            left = vault.reseal("lung", left)
    vault.use_key("lung", ProjectKey(key.pseudonym_secret, {key.current: key.sealing_keys[key.current]}))
    vault.end_rotation("lung")


def test_a_whole_chain_is_followed_without_a_key(path: Path, vault: Vault) -> None:
    assert faults(path) == faults(path, vault.audit_head()) == []
    assert [row.reason for row in vault.audits("lung")] == ["finding 1", "finding 2", "finding 4", "finding 5"]


def test_an_empty_audit_has_no_faults(tmp_path: Path) -> None:
    with closing(Vault.open(tmp_path / "empty.db", {})) as vault:
        assert vault.audit_faults(vault.audit_head()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET who = 'berta' WHERE id = 3",
        "UPDATE audit SET at = '2026-11-21T10:00:00.001Z' WHERE id = 3",
        "UPDATE audit SET action = 'mapping export uid' WHERE id = 3",
        "UPDATE audit SET project = 'heart' WHERE id = 3",
        "UPDATE audit SET format = 0 WHERE id = 3",
        "UPDATE audit SET subject = NULL WHERE id = 3",
        "UPDATE audit SET reason = (SELECT reason FROM audit WHERE id = 2) WHERE id = 3",
        "UPDATE audit SET reason = subject, subject = reason WHERE id = 3",
        "UPDATE audit SET digest = x'00' WHERE id = 6",
        "UPDATE audit SET digest = 'text' WHERE id = 3",
        "UPDATE audit SET who = x'ff' WHERE id = 3",
        "DELETE FROM audit WHERE id = 3",
        "DELETE FROM audit WHERE id = 1",
        "UPDATE audit SET id = 30 WHERE id = 3",
        "UPDATE audit SET id = -3 WHERE id = 1",
        "INSERT INTO audit SELECT 7, at, project, who, action, subject, reason, key_number, row_key, format, content,"
        " digest FROM audit WHERE id = 6",
    ],
)
def test_every_change_breaks_it(path: Path, vault: Vault, sql: str) -> None:
    change(path, sql)

    assert faults(path)


def test_one_change_is_one_sentence(path: Path, vault: Vault) -> None:
    change(path, "UPDATE audit SET who = 'berta' WHERE id = 3")
    change(path, "UPDATE audit SET reason = x'00' WHERE id = 5")

    assert faults(path) == [
        "audit row 3 was changed, or is not the one that followed row 2",
        "what is sealed in audit row 5 was changed",
    ]


def test_a_row_that_was_changed_with_its_digest_breaks_the_one_behind_it(path: Path, vault: Vault) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        before, row = db.execute("SELECT * FROM audit WHERE id IN (2, 3) ORDER BY id").fetchall()
    forged = Link(*(row[name] for name in Link._fields))._replace(who="berta")
    change(path, "UPDATE audit SET who = 'berta', digest = ? WHERE id = 3", forged.after(before["digest"]))

    assert faults(path) == ["audit row 4 was changed, or is not the one that followed row 3"]


def test_rows_taken_from_the_end_are_missed_by_the_anchor(path: Path, vault: Vault) -> None:
    remembered = vault.audit_head()
    change(path, "DELETE FROM audit WHERE id > 4")

    assert faults(path) == []
    assert faults(path, remembered) == ["audit row 6, which ledger.db remembers, is gone: the audit ends with row 4"]


def test_an_audit_that_was_emptied_is_missed_by_the_anchor(path: Path, vault: Vault) -> None:
    remembered = vault.audit_head()
    change(path, "DELETE FROM audit")

    assert faults(path, remembered) == ["audit row 6, which ledger.db remembers, is gone: the audit is empty"]


def test_another_end_is_known_by_the_anchor_which_stays_where_it_is(path: Path, vault: Vault, ledger: Ledger) -> None:
    assert anchor(vault, ledger)
    change(path, "DELETE FROM audit WHERE id > 4")
    for _ in range(3):
        vault.audit("lung", who="berta", action="redeem", now=NOW)

    assert not anchor(vault, ledger)
    assert faults(path) == []
    assert faults(path, ledger.audit_anchor()) == [
        "audit row 6 is not the one that ledger.db remembers: the audit was replaced"
    ]


def test_an_anchor_that_a_crash_left_behind_is_no_fault_and_catches_up(
    path: Path, vault: Vault, ledger: Ledger
) -> None:
    anchor(vault, ledger)
    vault.audit("lung", who="anna", action="redeem", reason="the crash comes now", now=NOW)

    assert faults(path, ledger.audit_anchor()) == []
    assert anchor(vault, ledger)
    assert ledger.audit_anchor() == vault.audit_head()


def test_the_service_moves_the_anchor_once_a_second_and_tells_of_a_break_once(
    path: Path, vault: Vault, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    trail = AuditTrail(vault, ledger)
    trail.step(0.0)
    assert ledger.audit_anchor() == vault.audit_head()
    vault.audit("lung", who="anna", action="redeem", now=NOW)
    trail.step(0.5)
    assert ledger.audit_anchor() != vault.audit_head()
    trail.step(1.0)
    assert ledger.audit_anchor() == vault.audit_head()

    change(path, "DELETE FROM audit WHERE id > 4")
    for now in (2.0, 3.0, 4.0):
        trail.step(now)

    assert len([record for record in caplog.records if "doctor" in record.getMessage()]) == 1


def test_a_command_moves_the_anchor_where_no_service_runs(tmp_path: Path, vault: Vault, ledger: Ledger) -> None:
    ledger.close()
    assert anchor_alone(tmp_path, vault) == ""
    with closing(LedgerReader.open(tmp_path / "ledger.db")) as reader:
        before = reader.audit_anchor()
        assert before == vault.audit_head()
        vault.audit("lung", who="anna", action="redeem", now=NOW)
        with hold_lock(tmp_path):
            assert anchor_alone(tmp_path, vault) == ""
        assert reader.audit_anchor() == before, "a running service writes its ledger itself"


def test_a_rotation_breaks_nothing_and_leaves_nothing_to_the_old_key(path: Path, vault: Vault) -> None:
    digests = [vault.audit_digest(row) for row in range(1, ROWS + 1)]
    said = [(row.subject, row.reason) for row in vault.audits("lung")]

    rotate(vault)

    assert [vault.audit_digest(row) for row in range(1, ROWS + 1)] == digests
    assert [(row.subject, row.reason) for row in vault.audits("lung")][:-1] == said
    assert vault.audits("lung")[-1].action == "key rotate"
    assert faults(path, vault.audit_head()) == []
    with (
        closing(Vault.open(path, {"lung": KEY}, readonly=True)) as old,
        pytest.raises(StateError, match="sealing key 2"),
    ):
        old.audits("lung")


def test_a_change_after_a_rotation_is_still_found(path: Path, vault: Vault) -> None:
    rotate(vault)
    change(path, "UPDATE audit SET reason = (SELECT reason FROM audit WHERE id = 2) WHERE id = 5")

    assert faults(path) == ["what is sealed in audit row 5 was changed"]


def test_it_is_followed_after_the_key_was_destroyed(path: Path, vault: Vault) -> None:
    vault.note_destroyed("lung", who="anna", now=NOW)
    head = vault.audit_head()
    vault.note_destroyed("lung", who="anna", now=NOW)

    assert vault.audit_head() == head, "it is written down once"
    with closing(Vault.open(path, {}, readonly=True)) as without_key:
        assert without_key.audit_faults(head) == []
        change(path, "UPDATE audit SET who = 'nobody' WHERE action = 'key destroy'")
        assert without_key.audit_faults(head)


def test_a_row_without_a_text_needs_no_key(path: Path) -> None:
    with closing(Vault.open(path, {})) as vault:
        vault.audit("lung", who="anna", action="backup", now=NOW)

        assert [row.action for row in vault.audits("lung")] == ["backup"]
        with pytest.raises(KeyFileError, match="no key for project lung"):
            vault.audit("lung", who="anna", action="redeem", reason="why", now=NOW)


def test_a_key_that_was_rotated_out_seals_no_row_any_more(path: Path, vault: Vault) -> None:
    with closing(Vault.open(path, {"lung": KEY})) as late:
        rotate(vault)
        with pytest.raises(KeyFileError, match="rotated meanwhile"):
            late.audit("lung", who="anna", action="redeem", reason="too late", now=NOW)
        late.audit("lung", who="anna", action="mapping export uid", now=NOW)  # nothing in it is sealed

    assert faults(path, vault.audit_head()) == []


def test_so_many_breaks_are_told_in_few_lines(path: Path, vault: Vault) -> None:
    for _ in range(50):
        vault.audit("lung", who="anna", action="redeem", now=NOW)
    change(path, "UPDATE audit SET who = 'berta'")

    found = faults(path)

    assert len(found) == 21
    assert found[-1] == "and there are more breaks after that"


def test_a_chain_of_many_pages_is_followed(path: Path, vault: Vault) -> None:
    for _ in range(1200):
        vault.audit("heart", who="anna", action="redeem", now=NOW)
    assert faults(path, vault.audit_head()) == []

    change(path, "DELETE FROM audit WHERE id = 1000")

    assert faults(path) == ["audit row 1001 was changed, or is not the one that followed row 999"]


def test_rows_of_several_processes_make_one_chain(path: Path, vault: Vault) -> None:
    code = f"""
from tests.unit.test_audit_chain import *
with closing(Vault.open(Path({str(path)!r}), {{"lung": KEY}})) as vault:
    for number in range(40):
        vault.audit("lung", who=sys.argv[1], action="redeem", reason=str(number), now=NOW)
"""
    root = Path(__file__).parents[2]
    others = [subprocess.Popen([sys.executable, "-c", code, name], cwd=root) for name in ("one", "two", "three")]

    assert [other.wait() for other in others] == [0, 0, 0]
    assert vault.audit_head()[0] == ROWS + 120
    assert faults(path, vault.audit_head()) == []


# Vaults that are older than the chain


@pytest.fixture
def legacy(path: Path) -> Path:
    """A vault as it was made before, with rows that are sealed by the project's key itself."""
    seal = Seal("lung", KEY)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.apply(Database(connection), stop_before="m007_keys")
        for number in (1, 2, 4):
            sealed = (seal.close(f"audit/{name}", encode(f"{name} {number}")) for name in ("subject", "reason"))
            values = (number, NOW, "lung", "anna", "redeem", *sealed, 1)
            connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        connection.execute("INSERT INTO audit VALUES (5, ?, 'lung', 'anna', 'export', NULL, NULL, 1)", (NOW,))
    path.chmod(0o600)
    return path


def test_older_rows_become_the_beginning_of_the_chain(legacy: Path) -> None:
    with closing(Vault.open(legacy, {"lung": KEY})) as vault:
        vault.audit("lung", who="anna", action="redeem", reason="a new row", now=NOW)

        assert [row.reason for row in vault.audits("lung")] == ["reason 1", "reason 2", "reason 4", None, "a new row"]
        assert faults(legacy, vault.audit_head()) == []
        change(legacy, "UPDATE audit SET reason = subject WHERE id = 2")
        assert faults(legacy) == ["what is sealed in audit row 2 was changed"]


def test_older_rows_are_read_and_followed_after_a_rotation(legacy: Path) -> None:
    with closing(Vault.open(legacy, {"lung": KEY})) as vault:
        vault.prove("lung", KEY)
        vault.record("lung", Kind.UID, {"1.2": "2.25.1"}, NOW)
        rotate(vault)

        assert [row.subject for row in vault.audits("lung")][:4] == ["subject 1", "subject 2", "subject 4", None]
        assert faults(legacy, vault.audit_head()) == []
        change(legacy, "UPDATE audit SET action = 'nothing' WHERE id = 2")
        assert faults(legacy) == ["audit row 2 was changed, or is not the one that followed row 1"]
