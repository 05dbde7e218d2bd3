"""Who a patient is in the results: spellings that meet, subjects that never do, and what was delivered holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.config import Project
from coatcheck.config_subjects import Entry, Hashed, Listed, Sequential, Spelling
from coatcheck.deid import pseudonyms
from coatcheck.keys import ProjectKey
from coatcheck.ledger import is_detail
from coatcheck.model import Arrival, Fingerprint, Instance, Study
from coatcheck.reasons import Reason
from coatcheck.subjects import Given, _names_somebody, find
from coatcheck.vault import Kind, Vault

NOW = "2026-11-21T10:00:00.000Z"
SECRET = b"p" * 32
KEYS = {"lung": ProjectKey(SECRET, {1: b"1" * 64}), "heart": ProjectKey(SECRET, {1: b"1" * 64})}
LOOSE = Spelling(ignore_case=True, ignore_leading_zeros=True)
IDS = st.text(max_size=12).filter(lambda text: "\\" not in text)


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    vault = Vault.open(tmp_path / "vault.db", KEYS)
    yield vault
    vault.close()


def project(setting: Hashed | Sequential | Listed, name: str = "lung") -> Project:
    folder = Path("/x")
    return Project(name=name, inbox=folder, outbox=folder, quarantine=folder, subjects=setting)


def study(*patient_ids: str, uid: str = "1.2.3") -> Study:
    arrival = Arrival(project="lung", path="a", fingerprint=Fingerprint(1, 2, 3, 4, 5))
    instances = [
        Instance(
            arrival=arrival,
            study_uid=uid,
            series_uid=f"{uid}.1",
            sop_uid=f"{uid}.1.{number}",
            sop_class_uid="1.2",
            patient_id=patient,
            own=frozenset(),
        )
        for number, patient in enumerate(patient_ids)
    ]
    return Study(project="lung", study_uid=uid, instances=tuple(instances))


def found(
    vault: Vault,
    setting: Hashed | Sequential | Listed,
    *patient_ids: str,
    uid: str = "1.2.3",
    delivered: str | None = None,
    name: str = "lung",
) -> Given:
    return find(project(setting, name), vault, SECRET, study(*patient_ids, uid=uid), (), delivered=delivered, now=NOW)


def deliver(vault: Vault, given: Given) -> str:
    """Record what a delivery records."""
    assert given.verdict is None
    vault.record("lung", Kind.PATIENT, given.patients, NOW)
    vault.record("lung", Kind.SUBJECT, given.keys, NOW)
    return given.subject


def refused(given: Given) -> Reason:
    assert given.verdict is not None
    assert is_detail(given.verdict[1])
    assert not given.patients
    assert not given.keys
    return given.verdict[0]


def listed(spelling: Spelling | None = None, **subjects: Entry | str) -> Listed:
    spelling = spelling or Spelling()
    entries = {spelling.key(key): one if isinstance(one, Entry) else Entry(one, None) for key, one in subjects.items()}
    return Listed(file=Path("/x/list.csv")).model_copy(update={"entries": entries, "spelling": spelling})


@given(IDS)
def test_a_spelling_is_settled_after_one_pass(text: str) -> None:
    for spelling in (Spelling(), LOOSE, Spelling(ignore_spaces=False)):
        key = spelling.key(text)
        assert spelling.key(key) == key


@given(st.text("aB0 7ß", min_size=1, max_size=8).filter(str.strip))
def test_spaces_case_and_zeros_count_as_set(text: str) -> None:
    assert Spelling().key(f" {text} ") == Spelling().key(text.replace(" ", "  "))
    assert LOOSE.key(f"00{text.upper()}") == LOOSE.key(text.lower())


def test_by_default_case_and_leading_zeros_tell_patients_apart() -> None:
    assert len({Spelling().key(one) for one in ("a7", "A7", "0A7")}) == 3
    assert Spelling(ignore_spaces=False).key("a 7") != Spelling(ignore_spaces=False).key("a7")


def test_an_id_of_zeros_alone_stays_an_id() -> None:
    assert LOOSE.key("0000") == LOOSE.key("0") == "0"
    assert LOOSE.key("  ") == ""


def test_the_issuer_counts_only_where_it_is_set() -> None:
    assert Spelling().key("7", "A") == Spelling().key("7", "B")
    spelling = Spelling(issuer=True)
    assert len({spelling.key("7", issuer) for issuer in ("", "A", "B")}) == 3
    assert spelling.key("7", " A ") == spelling.key("7", "A")
    assert spelling.label("7", "A") == "7^^^A"
    assert Spelling().label("7", "A") == "7"


@given(st.text(max_size=6), st.text(max_size=6), st.text(max_size=6), st.text(max_size=6))
def test_id_and_issuer_are_never_taken_for_another_pair(one: str, by: str, other: str, of: str) -> None:
    spelling = Spelling(issuer=True, ignore_spaces=False)
    if (spelling._plain(one), spelling._plain(by)) != (spelling._plain(other), spelling._plain(of)) and one and other:
        keys = {spelling.key(one, by), spelling.key(other, of)}
        assert len(keys) == 2 or keys == {""}


def test_a_hashed_subject_is_the_one_of_the_pseudonyms(vault: Vault) -> None:
    assert found(vault, Hashed(), "PAT-1").subject == pseudonyms.subject(SECRET, "PAT-1", "1.2.3")
    assert found(vault, Hashed(), "").subject == pseudonyms.subject(SECRET, "", "1.2.3")


@pytest.mark.parametrize("setting", [Hashed(spelling=LOOSE), Sequential(spelling=LOOSE)])
def test_spellings_of_one_id_meet_in_one_subject(vault: Vault, setting: Hashed | Sequential) -> None:
    one = found(vault, setting, "PAT 1", " pat1")
    assert deliver(vault, one) == found(vault, setting, "00Pat1", uid="1.2.4").subject
    assert set(one.patients) == {"PAT 1", " pat1"}


def test_ids_that_differ_after_all_are_a_mismatch(vault: Vault) -> None:
    assert refused(found(vault, Hashed(), "PAT-1", "pat-1")) is Reason.PATIENT_MISMATCH
    assert refused(found(vault, Sequential(), "PAT-1", "PAT-2")) is Reason.PATIENT_MISMATCH
    assert found(vault, Sequential(), "PAT-3", uid="1.9").subject == "0001"  # no number was wasted


def test_numbers_are_given_in_order_and_never_again(vault: Vault, tmp_path: Path) -> None:
    setting = Sequential(prefix="LUNG-", digits=2, start=98)
    subjects = [found(vault, setting, f"PAT-{number}", uid=f"1.{number}").subject for number in range(4)]
    assert subjects == ["LUNG-98", "LUNG-99", "LUNG-100", "LUNG-101"]
    vault.close()
    again = Vault.open(tmp_path / "vault.db", KEYS)
    assert found(again, setting, "PAT-1", uid="1.77").subject == "LUNG-99"
    assert found(again, Sequential(prefix="LUNG-", digits=2), "PAT-9").subject == "LUNG-102"
    assert found(again, Sequential(start=7), "PAT-9", uid="1.8", name="heart").subject == "0007"


def test_a_study_without_an_id_is_a_patient_of_its_own(vault: Vault) -> None:
    setting = Sequential()
    assert [found(vault, setting, "", uid=uid).subject for uid in ("1.1", "1.2", "1.1")] == ["0001", "0002", "0001"]
    assert not found(vault, setting, "", uid="1.1").patients


def test_another_prefix_never_leads_to_a_subject_that_is_taken(vault: Vault) -> None:
    deliver(vault, found(vault, Sequential(prefix="A", digits=1, start=11), "PAT-1"))
    vault.record("lung", Kind.SUBJECT, {"PAT-2": "B12"}, NOW)
    assert found(vault, Sequential(prefix="B", digits=1), "PAT-3").subject == "B13"


def test_a_list_gives_subject_and_shift(vault: Vault) -> None:
    given = found(vault, listed(P1=Entry("LUNG-7", -42)), " P1")
    assert (given.subject, given.shift_days) == ("LUNG-7", -42)
    assert found(vault, listed(P2="LUNG-8"), "P2").shift_days is None


@pytest.mark.parametrize("patient", ["P2", "", "p1"])
def test_an_id_that_is_not_on_the_list_is_a_miss(vault: Vault, patient: str) -> None:
    assert refused(found(vault, listed(P1="LUNG-7"), patient)) is Reason.LOOKUP_MISS


def test_a_patient_who_was_taken_off_the_list_is_a_miss_again(vault: Vault) -> None:
    subject = deliver(vault, found(vault, listed(P1="LUNG-7"), "P1"))
    given = found(vault, listed(P2="LUNG-8"), "P1", delivered=subject)
    assert refused(given) is Reason.LOOKUP_MISS
    assert given.subject == subject


def test_the_shift_that_a_study_was_delivered_with_holds(vault: Vault) -> None:
    vault.record("lung", Kind.DATE_SHIFT, {"1.2.3": "-5"}, NOW)
    assert found(vault, listed(P1=Entry("LUNG-7", -42)), "P1").shift_days is None
    assert found(vault, listed(P1=Entry("LUNG-7", -42)), "P1", uid="1.2.4").shift_days == -42


def test_a_patient_keeps_the_subject_when_the_kind_is_changed(vault: Vault) -> None:
    subject = deliver(vault, found(vault, Hashed(), "PAT-1"))
    assert found(vault, Sequential(), "PAT-1", uid="1.9").subject == subject
    assert found(vault, Sequential(), "PAT 1", uid="1.10").subject == "0001"
    assert found(vault, Sequential(), " PAT-1 ", uid="1.9").subject == subject


def test_a_list_that_contradicts_what_was_delivered_is_refused_and_the_delivered_study_goes_on(vault: Vault) -> None:
    subject = deliver(vault, found(vault, listed(P1="LUNG-7"), "P1"))
    changed = listed(P1="LUNG-9")
    assert refused(found(vault, changed, "P1", uid="1.9")) is Reason.PATIENT_MISMATCH
    late = found(vault, changed, "P1", delivered=subject)
    assert (late.subject, late.verdict) == (subject, None)


def test_a_subject_is_never_given_to_a_second_patient(vault: Vault) -> None:
    deliver(vault, found(vault, listed(P1="LUNG-7"), "P1"))
    assert refused(found(vault, listed(P2="LUNG-7"), "P2", uid="1.9")) is Reason.PATIENT_MISMATCH


@pytest.mark.parametrize("setting", [Hashed(), Sequential(), listed(P1="A", P2="B")])
def test_another_patient_in_a_delivered_study_is_a_mismatch(
    vault: Vault, setting: Hashed | Sequential | Listed
) -> None:
    subject = deliver(vault, found(vault, setting, "P1"))
    given = found(vault, setting, "P2", delivered=subject)
    assert refused(given) is Reason.PATIENT_MISMATCH
    assert given.subject == subject
    assert found(vault, setting, "", delivered=subject).subject == subject
    if isinstance(setting, Sequential):
        assert found(vault, setting, "P3", uid="1.9").subject == "0002"  # no number was wasted


def test_spellings_that_were_delivered_apart_are_not_joined_later(vault: Vault) -> None:
    for number, patient in enumerate(("ab", "AB")):
        deliver(vault, found(vault, Hashed(), patient, uid=f"1.{number}"))
    setting = Hashed(spelling=LOOSE)
    upper = found(vault, setting, "AB", uid="1.7")
    assert upper.subject == pseudonyms.subject(SECRET, "AB", "")
    deliver(vault, upper)
    assert refused(found(vault, setting, "AB", "ab", uid="1.8")) is Reason.PATIENT_MISMATCH


def test_nothing_shows_an_id(vault: Vault) -> None:
    setting = listed(P1="LUNG-7")
    assert "P1" not in repr(found(vault, setting, "P1")) + repr(setting) + repr(project(setting))


@pytest.mark.parametrize(
    ("subject", "name", "told"),
    [
        *(("HABERMANN-1", "Habermann^Gerda", True), ("X7gerda", "Habermann^Gerda", True)),
        *(("MUELLER", "Müller^Eva", True), ("Muller2", "Müller^Eva", True)),
        *(("LUNG-7", "LUNG^7 follow-up", False), ("LUNG-7", "LUNG^Eva", True), ("LEE-7", "Lee^Ng", False)),
    ],
)
def test_a_name_is_found_in_a_subject_but_not_where_the_patient_is_called_by_it(
    subject: str, name: str, told: bool
) -> None:
    assert _names_somebody(subject, [name]) is told
