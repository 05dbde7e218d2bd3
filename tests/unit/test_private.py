"""Private elements stay where a rule or the standard says so, whatever block they are in, and with their creators."""

from __future__ import annotations

import pytest
from pydicom._private_dict import private_dictionaries

from coatcheck.deid import standard
from coatcheck.deid.plan import Plan
from coatcheck.deid.selectors import Path, PrivateTag
from tests.support import (
    CT,
    DAYS,
    MR,
    PATIENT,
    STUDY,
    UIDS,
    file_of,
    instance,
    raw,
    raw_file,
    raw_instance,
    raw_item,
    read,
)
from tests.treated import Treatment, profile_of, treated

AROUND = 0x00082218
CSA = "SIEMENS CSA HEADER"


def plan(text: str, sop_class: str = CT, holding: frozenset[int] = frozenset()) -> Plan:
    return Plan(profile_of(text), sop_class, holding)


def private_part(block: int, creator: str = CSA, value: bytes = b"CSA\0") -> bytes:
    """A creator in a block and two of its elements: 10, in the dictionary as OB, and FF, which it does not know."""
    name = creator.encode() + b" " * (len(creator) % 2)
    inside = raw(0x00290000 | block << 8 | 0x10, "OB", value) + raw(0x00290000 | block << 8 | 0xFF, "LO", b"x ")
    return raw(0x00290000 | block, "LO", name) + inside


def private_instance(part: bytes) -> bytes:
    return raw_file(UIDS, PATIENT, STUDY, part)


def privates(data: bytes) -> dict[int, object]:
    return {int(one.tag): one.value for one in read(data).iterall() if one.tag.is_private}


LISTED = """private: keep-listed\nrules:\n  - {at: '(0029,"SIEMENS CSA HEADER",10)', do: keep}\n"""


@pytest.mark.parametrize("block", [0x10, 0x11, 0xFF])
def test_a_listed_private_element_stays_in_any_block_with_its_creator(block: int) -> None:
    found = privates(treated(private_instance(private_part(block)), profile_of(LISTED)))

    assert found == {0x00290000 | block: CSA, 0x00290000 | block << 8 | 0x10: b"CSA\0"}


def test_all_elements_of_a_creator_stay_by_a_star() -> None:
    found = privates(treated(private_instance(private_part(0x10)), profile_of(LISTED.replace(",10)", ",*)"))))

    assert sorted(found) == [0x00290010, 0x00291010, 0x002910FF]


@pytest.mark.parametrize(
    "part",
    [
        private_part(0x10, "SIEMENS CSA HEADER2"),
        private_part(0x10, "siemens csa header"),
        private_part(0x10)[len(raw(0x00290010, "LO", b"SIEMENS CSA HEADER")) :],
        raw(0x00290011, "LO", b"SIEMENS CSA HEADER") + raw(0x00291010, "OB", b"CSA\0"),
        raw(0x00310010, "LO", b"SIEMENS CSA HEADER") + raw(0x00311010, "OB", b"CSA\0"),
        raw(0x00291010, "OB", b"CSA\0") + raw(0x00290010, "LO", b"OTHER ") + raw(0x00291110, "OB", b"CSA\0"),
    ],
    ids=["other-creator", "other-case", "no-creator", "other-block", "other-group", "creator-afterwards"],
)
def test_private_elements_that_are_nobodys_or_anothers_go(part: bytes) -> None:
    assert b"CSA\0" not in treated(private_instance(part), profile_of(LISTED))


def test_creators_stay_only_where_something_of_theirs_may() -> None:
    part = private_part(0x10) + raw(0x00310010, "LO", b"OTHER ") + raw(0x00311001, "LO", b"x ")
    removed = LISTED.replace("do: keep", "do: remove")

    assert 0x00310010 not in privates(treated(private_instance(part), profile_of(LISTED)))
    assert not privates(treated(private_instance(part), profile_of(removed)))
    conditional = LISTED.replace("do: keep", "do: keep, when: {Modality: MR}")
    assert not privates(treated(private_instance(part), profile_of(conditional)))


def test_safe_keeps_what_the_standard_lists_treated_by_its_vr_and_rules_come_over_it() -> None:
    creator = raw(0x00190010, "LO", b"SIEMENS MR HEADER ")
    part = creator + raw(0x00191008, "CS", b"IMAGE ") + raw(0x0019100C, "IS", b"800 ") + raw(0x001910F0, "LO", b"x ")
    safe = "options: [retain-safe-private]\n"

    listed = privates(treated(private_instance(part), profile_of(safe)))
    over = privates(
        treated(
            private_instance(part),
            profile_of(safe + """rules:\n  - {at: '(0019,"SIEMENS MR HEADER",0C)', do: remove}"""),
        )
    )

    assert 0x0019100C in listed
    assert 0x001910F0 not in listed
    assert set(listed) - set(over) == {0x0019100C}
    assert not privates(treated(private_instance(part), profile_of("rules: []")))


def test_text_that_is_safe_is_cleaned_and_dates_and_names_by_their_vr() -> None:
    safe = profile_of("options: [retain-safe-private]")
    rows = {one.vr: one for one in standard.safe_private()}
    known = Plan(safe, MR)

    for vr, action in (("LO", "clean-text"), ("UI", "uid"), ("DS", "keep"), ("SQ", "keep")):
        row = rows[vr]
        assert known.rule(row.group << 16 | row.element, vr, (), row.creator).action == action, vr


def test_a_private_sequence_is_treated_inside_public_and_private() -> None:
    """With elements of its own creator, of another one, and public ones, two levels deep."""
    creator = raw(0x00290010, "LO", b"ACME 1")
    deep = raw(0x00080104, "LO", b"Brain ") + raw(0x00101005, "PN", b"Mallory ")
    deep += raw(0x00290012, "LO", b"ACME 1") + raw(0x00291202, "LO", b"deep") + raw(0x00291203, "LO", b"gone")
    inner = raw(0x00101005, "PN", b"Mallory^Eve ") + creator + raw(0x00291001, "SQ", raw_item(deep))
    inner += raw(0x00310010, "LO", b"OTHER ") + raw(0x00311001, "LO", b"MRN-7755")
    data = private_instance(creator + raw(0x00291001, "SQ", raw_item(inner)) + raw(0x00291003, "LO", b"gone"))
    text = """private: keep-listed
rules:
  - {at: ['(0029,"ACME 1",01)', '(0029,"ACME 1",02)'], do: keep}
  - {at: '(0029,"ACME 1",01) > CodeMeaning', do: replace, with: Head}
"""

    result = treated(data, profile_of(text))

    first = read(result)[0x00291001][0]
    second = first[0x00291001][0]
    assert sorted(int(one.tag) for one in first) == [0x00290010, 0x00291001]
    assert {int(one.tag): one.value for one in second} == {
        0x00080104: "Head",
        0x00290012: "ACME 1",
        0x00291202: "deep",
    }
    assert b"Mallory" not in result
    assert b"gone" not in result


def test_a_path_through_a_private_sequence_is_told_from_others() -> None:
    text = """private: keep-listed
rules:
  - {at: '(0029,"ACME 1",01)', do: keep}
  - {at: '(0029,"ACME 1",01) > CodeMeaning', do: remove}
"""
    found = plan(text)
    mine: Path = (PrivateTag(0x0029, 0x01, "ACME 1"),)

    assert found.rule(0x00080104, "LO", mine).action == "remove"
    assert found.rule(0x00080104, "LO", (PrivateTag(0x0029, 0x01, "ACME 2"),)).action == "keep"
    assert found.rule(0x00080104, "LO", (AROUND,)).action == "keep"
    assert found.rule(0x00080104, "LO", (*mine, AROUND)).action == "keep"


def test_a_private_vr_that_the_dictionary_does_not_know_or_that_is_one_of_two_is_the_files() -> None:
    """pydicom writes UN where nobody knows, and two VRs in one text."""
    listed = "private: keep-listed\nrules:\n  - {at: ['(%s,\"%s\",*)'], do: keep}"

    def first(vr: str) -> tuple[int, str]:
        for creator, entries in sorted(private_dictionaries.items()):
            for text, entry in sorted(entries.items()):
                if entry[0] == vr and "x" not in text[:4] and text[4:6] == "xx":
                    return int(text[:4] + "00" + text[6:], 16), creator
        raise LookupError(vr)

    for found, allowed in (("UN", "LO"), ("US or SS", "SS"), ("US or SS", "US")):
        tag, creator = first(found)
        known = plan(listed % (f"{tag >> 16:04X}", creator))
        assert known.rule(tag, allowed, (), creator).action == "keep"


def test_what_differs_from_file_to_file_gives_what_a_fresh_run_gives() -> None:
    """The creators of private blocks change places, come and go, while runs that repeat are used again."""
    text = LISTED + """  - {at: '(0029,"ACME",10)', do: remove}\n  - {at: '(0029,"ACME",FF)', do: keep}\n"""
    profile = profile_of(text)
    parts = [
        private_part(0x10),
        private_part(0x10),
        private_part(0x10, "ACME"),
        private_part(0x10, "ACME") + private_part(0x11),
        private_part(0x10) + private_part(0x11, "ACME"),
        private_part(0x10) + private_part(0x11, "ACME"),
        private_part(0x11, "ACME"),
        b"",
        private_part(0x10, "NOBODY"),
        private_part(0x10),
        raw(0x00290010, "LO", b"ACME") + raw(0x00291010, "OB", b"CSA\0"),
        raw(0x00290010, "LO", CSA.encode()) + raw(0x00291010, "OB", b"CSA\0"),
    ]
    shared = Treatment(profile, DAYS, shared=True)

    for number, part in enumerate([*parts, *parts[::-1]]):
        data = raw_file(UIDS, PATIENT, STUDY, raw(0x00200013, "IS", f"{number:02}".encode()), part)
        assert shared.result(data) == treated(data, profile, DAYS), number


def test_conditions_and_templates_are_not_mixed_up_by_what_repeats() -> None:
    profile = profile_of(
        "rules:\n"
        "  - {at: BodyPartExamined, do: remove, when: {Modality: MR}}\n"
        "  - {at: StudyDescription, do: replace, with: 'S{InstanceNumber|format:03d}'}\n"
        "  - {at: AcquisitionDate, do: shift-dates, scope: instance, days: [-300, -1]}\n"
    )
    assert profile.varies == {"attributes", "instance"}
    shared = Treatment(profile, DAYS, shared=True)

    for number in range(12):
        ds = instance()
        ds.Modality, ds.InstanceNumber = ("MR", "CT")[number // 2 % 2], number // 3
        ds.SOPInstanceUID = f"1.2.3.4.{number % 5}"
        ds.BodyPartExamined, ds.StudyDescription, ds.AcquisitionDate = "BRAIN", "x", "20040201"
        data = file_of(ds)
        assert shared.result(data) == treated(data, profile, DAYS), number


def test_an_instance_without_private_rules_is_the_same_whatever_its_blocks() -> None:
    basic = profile_of("rules: []")

    assert treated(private_instance(private_part(0x10)), basic) == treated(raw_instance(), basic)
