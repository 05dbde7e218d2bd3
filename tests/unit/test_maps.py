"""Maps of earlier systems: what can be read of them, and what stands against them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.config import Project
from coatcheck.config_subjects import Entry, Listed, Spelling
from coatcheck.errors import CoatcheckError
from coatcheck.keys import new_key
from coatcheck.moving_in.map_check import Outlook, look
from coatcheck.moving_in.maps import OldMap, read
from coatcheck.preview_basis import look_into
from coatcheck.vault import Kind, Vault

KEY = new_key(random.Random(1).randbytes)
NOWHERE = Path("/nonexistent")
NOW = "2026-01-01T00:00:00.000Z"
RSNA = """ANON-PatientID,ANON-PatientName,PHI-PatientName,PHI-PatientID,DateOffset,PHI-StudyDate,ANON-AccNo,PHI-AccNo,\
ANON-StudyUID,PHI-StudyUID,Series,Instances
1-1,1-1,Doe^Jane,P1,42,20200101,1,A,1.9.1.1,1.2.3.1,1,1
1-1,1-1,Doe^Jane,P1,42,20200102,2,B,1.9.1.2,1.2.3.2,1,1
1-2,1-2,Roe^Max,P2,0,,3,C,1.9.1.3,1.2.3.3,1,1
"""
JAVA = "ANON_PatientName\tANON_PatientID\tPHI_PatientName\tPHI_PatientID\tDateOffset\nS1\tS1\tx\tP1\t3\n"
HEADS = ["", "id_old,id_new\n", "patient_id,subject,date_shift_days\n", "study_uid_old,days\n", "[", "ptid/", "\ufeff"]
ODD = "P1S,;\n\"=/.-0\\{}[]:' \t\u00e9\0"


def project(**settings: object) -> Project:
    return Project.model_validate({"name": "lung", "inbox": "/i", "outbox": "/o", "quarantine": "/q"} | settings)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    opened = Vault.open(tmp_path / "vault.db", {"lung": KEY})
    yield opened
    opened.close()


def old(text: str, kind: str | None = None, key_type: str | None = None) -> OldMap:
    return read(text.encode(), kind=kind, key_type=key_type)


def looked(text: str, vault: Vault | None = None, kind: str | None = None, **settings: object) -> Outlook:
    beside = vault or look_into(NOWHERE / "vault.db", {"lung": KEY})
    return look(old(text, kind), project(**settings), beside, "map.csv")


def what(outlook: Outlook) -> list[tuple[int, str]]:
    return [(one.line, one.what) for one in outlook.problems]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("id_old,id_new\nP1,S1\n", "map of patients"),
        ('{"P1": "S1"}', "map of patients"),
        ('[{"id_old": "P1", "id_new": "S1"}]', "map of patients"),
        ("\ufeffpatient_id;subject;date_shift_days\r\nP1;S1;-3\r\n", "list of subjects"),
        ('Original PatientID,Trial PatientID\n=("P1"),=("S1")\n', "export of CTP's ID map"),
        ("#Wed Jan 01\nptid/P1=S1\n", "CTP lookup table"),
        ("ptid/P1,S1\n", "CTP lookup table"),
        (JAVA, "patient index of RSNA Anonymizer"),
    ],
)  # fmt: skip
def test_each_form_of_a_map_of_patients_is_read(text: str, kind: str) -> None:
    assert old(text).kind == kind
    assert looked(text).new[Kind.SUBJECT] == {"P1": "S1"}


def test_the_index_of_rsna_has_shifts_of_studies_and_of_patients_and_uids() -> None:
    found = looked(RSNA)

    assert not found.problems
    assert found.new[Kind.UID] == {f"1.2.3.{number}": f"1.9.1.{number}" for number in (1, 2, 3)}
    assert found.new[Kind.DATE_SHIFT] == {"1.2.3.1": "42", "1.2.3.2": "42"}
    assert found.new[Kind.PATIENT_SHIFT] == {"P1": "42"}
    assert found.notes == ["1 lines have no date shift: dates move there as the profile says"]


def test_a_patient_with_several_shifts_has_none_for_later_studies() -> None:
    found = looked(RSNA.replace("B,", "B,").replace("P1,42,20200102", "P1,43,20200102"))

    assert Kind.PATIENT_SHIFT not in found.new
    assert set(found.new[Kind.DATE_SHIFT].values()) == {"42", "43"}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("Smith,Smith", "the pseudonym has the Patient ID or the name in it"),
        ("12345,X12345", "the pseudonym has the Patient ID or the name in it"),
        ("P1,a/b", "the pseudonym cannot be used"),
        ("P1,", "the pseudonym is missing"),
        (",S1", "the Patient ID is missing"),
        ("P1,S1\nP 1,S2", "line 2 says otherwise of the same"),
        ("P1,S1\nP2,s1", "line 2 has the same for another one"),
        ("P1,S1\nP2,P1", "pseudonym: what is new is the original of another one"),
    ],
)
def test_what_a_map_must_not_say_of_patients(rows: str, said: str) -> None:
    assert [text for _, text in what(looked(f"id_old,id_new\n{rows}\n"))] == [said]


def test_a_pseudonym_with_the_name_in_it_is_refused() -> None:
    assert len(what(looked(RSNA.replace("1-2,1-2,Roe^Max", "Maximilian-2,x,Roe^Maximilian")))) == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("1.2.3.4,1.2.3.4", "the new UID is the original"),
        ("1.2.3.4,x", "this is no pair of UIDs"),
        ("1.2.840.10008.1.2,1.9.9.9", "the original is a UID of the standard"),
        ("1.2.3.4,1.9.9.9\n1.2.3.5,1.9.9.9", "line 2 has the same for another one"),
        ("1.2.3.4,1.2.3.5\n1.2.3.5,1.9.9.9", "UID: what is new is the original of another one"),
    ],
)
def test_what_a_map_must_not_say_of_uids(rows: str, said: str) -> None:
    assert [text for _, text in what(looked(f"id_old,id_new\n{rows}\n", kind="uid"))] == [said]


def test_what_the_vault_has_holds(vault: Vault) -> None:
    vault.record("lung", Kind.SUBJECT, {"P1": "S1", "P9": "S9"}, NOW)
    vault.record("lung", Kind.DATE_SHIFT, {"1.2.3.1": "7"}, NOW)

    assert what(looked("id_old,id_new\nP1,S2\n", vault)) == [(2, "pseudonym: the vault has another one already")]
    taken = "pseudonym: the vault has the same for another one already"
    assert what(looked("id_old,id_new\nP2,S9\n", vault)) == [(2, taken)]
    assert what(looked("id_old,id_new\nP2,P9\n", vault)) == [
        (2, "pseudonym: what is new is the original of another one")
    ]
    assert (2, "date shift of a Study: the vault has another one already") in what(looked(RSNA, vault))
    same = looked("id_old,id_new\nP1,S1\n", vault)
    assert (same.problems, same.known[Kind.SUBJECT], same.count(Kind.SUBJECT)) == ([], 1, 0)


def test_the_projects_own_list_is_heard() -> None:
    listed = Listed(file=Path("/x.csv")).model_copy(update={"entries": {"P1": Entry("L1", None)}})
    found = looked("id_old,id_new\nP1,S1\nP2,S2\n", subjects=listed)

    assert what(found) == [(2, "pseudonym: the project's list has another subject")]
    assert found.notes == ["1 patients are not on the project's list: their Studies wait as `lookup-miss`"]


def test_issuers_come_back_from_an_export_of_ours() -> None:
    hashed = {"kind": "hashed", "spelling": {"issuer": True}}
    found = looked("id_old,id_new\nP1^^^North,S1\nP1^^^South,S2\n", subjects=hashed)

    assert not found.problems
    assert found.new[Kind.PATIENT] == {"P1^^^North": "S1", "P1^^^South": "S2"}
    assert found.new[Kind.SUBJECT] == {
        Spelling(issuer=True).key("P1", by): f"S{n}" for n, by in ((1, "North"), (2, "South"))
    }


def test_a_map_is_taken_over_whole_or_not_at_all(vault: Vault, tmp_path: Path) -> None:
    vault.record("lung", Kind.UID, {"1.2.3": "1.9.1"}, NOW)
    with pytest.raises(CoatcheckError):
        vault.take_over(
            "lung", {Kind.SUBJECT: {"P1": "S1"}, Kind.UID: {"1.2.3": "1.9.2"}}, who="x", reason="y", now=NOW
        )

    assert vault.replacement("lung", Kind.SUBJECT, "P1") is None
    assert not vault.audits("lung")
    assert not vault.has_imported("lung", Kind.SUBJECT)
    vault.take_over("lung", {Kind.SUBJECT: {"P1": "S1"}, Kind.UID: {"1.2.3": "1.9.1"}}, who="x", reason="y", now=NOW)
    assert vault.replacements("lung", Kind.SUBJECT, ["P1", "P2"]) == {"P1": "S1"}
    assert [(row.action, row.reason) for row in vault.audits("lung")] == [("mapping import", "y")]
    assert vault.has_imported("lung", Kind.SUBJECT)
    assert not vault.has_imported("lung", Kind.UID)
    assert vault.audit_faults() == []
    content = sqlite3.connect(tmp_path / "vault.db").execute("SELECT original, replacement FROM mappings").fetchall()
    assert not any(b"P1" in cell or b"S1" in cell for row in content for cell in row)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0",
        "a,b\n1,2\n",
        "id_old,id_new\n1\n",
        'id_old,id_new\n"P1,S1\n',
        '[{"id_old": "P1"}, {"id_new": "S1"}]',
        '{"P1": ["S1"]}',
        "[",
        "1.2.3.4.5,x\n",
        "id_old,id_new\n1.2.3.4.5,1.2.3.4.6\n",
        "Original AccessionNumber,Trial AccessionNumber\n1,2\n",
        "ptid/P1=S1\nsite/P1=S2\n",
        "ptid/P1=@site/P1\n",
        "id_old,id_old\n1,2\n",
    ],
)
def test_what_is_no_map_is_an_error_that_quotes_nothing(text: str) -> None:
    with pytest.raises(CoatcheckError) as caught:
        old(text)
    assert caught.value.hint
    assert "P1" not in str(caught.value)


def test_a_type_of_keys_is_named_where_there_are_several() -> None:
    text = "ptid/P\\=1=S1\nsite/P1=S2\n"

    assert [(one.patient, one.subject) for one in old(text, key_type="ptid").pairs] == [("P=1", "S1")]


@settings(max_examples=150, deadline=None)
@given(
    head=st.sampled_from(HEADS),
    rest=st.text(alphabet=st.sampled_from(ODD), max_size=40) | st.text(max_size=20),
)
def test_any_text_gives_a_clear_error_or_an_outlook(head: str, rest: str) -> None:
    try:
        found = looked(head + rest)
    except CoatcheckError as error:
        assert error.what
        return
    for one in found.problems:
        assert one.what
        assert one.hint
    for kind in (Kind.SUBJECT, Kind.UID):
        assert all(
            original.casefold() != new.casefold()
            for original, new in found.new.get(kind, {}).items()
            if not found.problems
        )


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_clear_error_or_a_map(content: bytes) -> None:
    try:
        read(content, kind=None, key_type=None)
    except CoatcheckError as error:
        assert error.what
