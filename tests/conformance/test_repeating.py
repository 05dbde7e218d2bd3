"""What is remembered from file to file changes nothing: each file gives what it would give alone.

The files of a Series are drawn from a tree of elements, in which values, lengths, items, character sets, encodings and
undefined lengths differ from one file to the next. COATCHECK_PROPERTIES sets how many examples are tried.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from struct import pack
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from coatcheck.deid.fact_reader import FactReader
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import IMPLICIT_VR_LITTLE_ENDIAN, new_meta
from coatcheck.deid.plan import Plan
from coatcheck.deid.repeats import Repeats, Shelf
from coatcheck.deid.rewrite import Rewriter
from coatcheck.deid.same import Known
from coatcheck.deid.scope import Made
from coatcheck.deid.shifts import Ids
from coatcheck.errors import Refused
from coatcheck.model import Identity
from tests.support import CT, EXPLICIT, SUBJECT, opened, profile, raw, raw_item, window_of
from tests.treated import Treatment

EXAMPLES = int(os.environ.get("COATCHECK_PROPERTIES", "40"))
SETTINGS = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
UNDEFINED = 0xFFFFFFFF
SEQUENCE_END = pack("<HHL", 0xFFFE, 0xE0DD, 0)
Tree = Sequence[tuple[int, str, Any]]  # tag, VR, and a value or the Data Sets of items

TEXTS = st.sampled_from([b"", b"AA", b"Mallory ", b"of Mallory, 2019-01-02 ", b"X" * 600])
UIDS = st.sampled_from([b"1.2.3.4.10", b"1.2.3.4.77", b"1.2.3.4.778 ", b"1.2.840.10008.5.1.4.1.1.2\0"])
DATES = st.sampled_from([b"20190102", b"20190203", b""])
LEAVES = st.one_of(
    st.tuples(st.just(0x00080005), st.just("CS"), st.sampled_from([b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 144"])),
    st.tuples(st.sampled_from([0x00080020, 0x00080022, 0x00080024]), st.just("DA"), DATES),
    st.tuples(st.sampled_from([0x00081030, 0x0008103E, 0x00080080]), st.just("LO"), TEXTS),
    st.tuples(st.sampled_from([0x00081150, 0x00081155, 0x0040A124]), st.just("UI"), UIDS),
    st.tuples(st.just(0x00080100), st.just("SH"), st.sampled_from([b"121012", b"113100", b"121198"])),
    st.tuples(
        st.sampled_from([0x00290010, 0x00290011]), st.just("LO"), st.sampled_from([b"SIEMENS CSA HEADER", b"ACME"])
    ),
    st.tuples(
        st.sampled_from([0x00291008, 0x00291108]), st.just("CS"), st.sampled_from([b"IMAGE NUM 4 ", b"SPEC NUM"])
    ),
    st.tuples(st.sampled_from([0x00280010, 0x00280011]), st.just("US"), st.binary(min_size=2, max_size=2)),
    st.tuples(st.just(0x00204000), st.just("LT"), TEXTS),
)
SEQUENCES = (0x00081140, 0x00081115, 0x00082218, 0x00400275, 0x00400555, 0x0040A043)


def once(elements: Tree) -> Tree:
    """In order, each tag once."""
    return sorted({one[0]: one for one in elements}.values(), key=lambda one: one[0])


TREES: st.SearchStrategy[Tree] = st.recursive(
    st.lists(LEAVES, max_size=5).map(once),
    lambda inner: st.lists(
        st.one_of(LEAVES, st.tuples(st.sampled_from(SEQUENCES), st.just("SQ"), st.lists(inner, max_size=6))), max_size=6
    ).map(once),
    max_leaves=20,
)


def encoded(tree: Tree, explicit: bool, undefined: bool) -> bytes:
    """A Data Set."""
    parts = []
    for tag, vr, value in tree:
        length = None
        if vr == "SQ":
            items = [raw_item(encoded(one, explicit, undefined), UNDEFINED if undefined else None) for one in value]
            value = b"".join(items) + (SEQUENCE_END if undefined else b"")
            length = UNDEFINED if undefined else None
        if explicit:
            parts.append(raw(tag, vr, value, length))
        else:
            head = pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length)
            parts.append(head + value)
    return b"".join(parts)


def file_with(tree: Tree, number: int, explicit: bool, undefined: bool) -> bytes:
    """An Instance of patient Mallory with these elements."""
    uid = f"1.2.3.4.{30 + number}"
    own = [
        (0x00080016, "UI", CT.encode() + b"\0"),
        (0x00080018, "UI", uid.encode() + b"\0" * (len(uid) % 2)),
        (0x00100010, "PN", b"Mallory^Eve "),
        (0x00100020, "LO", b"MRN-7755"),
        (0x0020000D, "UI", b"1.2.3.4.10"),
        (0x0020000E, "UI", b"1.2.3.4.20"),
    ]
    syntax = EXPLICIT if explicit else IMPLICIT_VR_LITTLE_ENDIAN
    return new_meta(CT, uid, syntax) + encoded(once([*tree, *own]), explicit, undefined)


class Series:
    """What works on the files of one Series, or on each of them alone. What identifies the patient is the Study's."""

    def __init__(self, name: str, identity: frozenset[Identity], *, together: bool) -> None:
        self._identity = identity
        self._treatment = Treatment(profile(name), -30)
        self._together = together
        self._known, self._made, self._gate = Known(), Shelf[Made](), self._new_gate()

    def _new_gate(self) -> Gate:
        return Gate([Identity("name", "Mallory^Eve"), Identity("date", "20190102")], SUBJECT)

    def outcome(self, data: bytes) -> tuple[object, ...]:
        """Facts, result, UIDs that were replaced, references; or at which step it was refused, and why."""
        known, made, gate = (
            (self._known, self._made, self._gate) if self._together else (Known(), Shelf[Made](), self._new_gate())
        )
        step = "read"
        try:
            source, window, head = opened(data)
            facts = FactReader(window, head, known).read()
            said = (facts.keys, facts.identity, facts.tags, facts.shape, facts.concern, facts.concern_detail)
            step = "rewritten"
            self._treatment.uids = {}
            context = self._treatment.context(self._identity, Ids(SUBJECT, "1", "2", "3"))
            plan = Plan(self._treatment.profile, CT)
            repeats: Repeats[Made] = made.of(0)
            rewriter = Rewriter(window, plan, context, repeats)
            pieces = rewriter.run(head.start, head.encoding)
            body = b"".join(source[slice(*one)] if isinstance(one, tuple) else one for one in pieces.parts)
            result = new_meta(CT, context.uid(facts.keys[0x00080018]), head.transfer_syntax)
            step = "searched"
            window = window_of(result + body)
            references = gate.check(window, len(result), head.encoding, rewriter.written, plan.permits)
        except Refused as refused:
            return step, refused.reason, refused.detail
        return said, result + body, frozenset(context.uids.items()), references


FILES = st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=2, max_size=8)


@pytest.mark.parametrize("name", ["research", "neuro-mr"])
@SETTINGS
@given(trees=st.tuples(TREES, TREES, TREES), files=FILES)
def test_each_file_of_a_series_gives_what_it_gives_alone(
    name: str, trees: tuple[Tree, Tree, Tree], files: list[tuple[int, bool, bool]]
) -> None:
    compare(
        name,
        [
            file_with(trees[which], number, explicit, undefined)
            for number, (which, explicit, undefined) in enumerate(files)
        ],
    )


@pytest.mark.parametrize("name", ["research", "neuro-mr"])
@SETTINGS
@given(tree=TREES, changes=st.lists(st.tuples(st.integers(0, 30), TEXTS, UIDS), min_size=3, max_size=10))
@example(
    tree=[
        (0x00400555, "SQ", [[(0x0040A043, "SQ", [[(0x00080100, "SH", b"121012")]]), (0x0040A124, "UI", b"1.2.3.4.77")]])
    ],
    changes=[],
)
def test_each_file_of_a_series_in_which_one_value_changes_gives_what_it_gives_alone(
    name: str, tree: Tree, changes: list[tuple[int, bytes, bytes]]
) -> None:
    files = [tree, tree]
    for place, text, uid in changes:
        files.append(changed(files[-1], [place], text, uid))
    compare(name, [file_with(one, number, True, False) for number, one in enumerate(files)])


def changed(tree: Tree, place: list[int], text: bytes, uid: bytes) -> Tree:
    """The tree with another value in the leaf at that place, counted through it."""
    made = []
    for tag, vr, value in tree:
        if vr == "SQ":
            value = [changed(one, place, text, uid) for one in value]
        else:
            place[0] -= 1
            if place[0] == 0 and vr in ("LO", "LT", "SH", "UI"):
                value = uid if vr == "UI" else text
        made.append((tag, vr, value))
    return made


def code(value: bytes) -> Tree:
    return [(0x0040A043, "SQ", [[(0x00080100, "SH", value)]]), (0x0040A124, "UI", b"1.2.3.4.77")]


def reference(sop_class: bytes) -> Tree:
    return [(0x00081150, "UI", sop_class), (0x00081155, "UI", b"1.2.3.4.77")]


def named(character_set: bytes) -> Tree:
    """The same bytes are another name in another character set; the number varies so that the item does."""
    return [(0x00080005, "CS", character_set), (0x00081030, "LO", b"Z\xc3\xa9")]


TEMPTING: dict[str, list[Tree]] = {
    "what a code says of the UID behind it": [
        [(0x00400555, "SQ", [[*code(value), (0x0040A160, "UT", text)]])]
        for text, value in ((b"a ", b"121012"), (b"b ", b"121012"), (b"c ", b"113100"), (b"d ", b"121012"))
    ],
    "what a code says of UIDs that vary": [
        [(0x00400555, "SQ", [[(0x0040A043, "SQ", [[(0x00080100, "SH", b"121012")]]), (0x0040A124, "UI", uid)]])]
        for uid in (b"1.2.3.4.77", b"1.2.3.4.78", b"1.2.3.4.79", b"1.2.3.4.80")
    ],
    "what a character set says of the names behind it": [
        [
            (0x00080005, "CS", character_set),
            (0x00400275, "SQ", [[(0x00081050, "PN", b"\xc4\xd6"), (0x00400009, "SH", number)]]),
        ]
        for character_set, number in (
            (b"ISO_IR 100", b"1 "),
            (b"ISO_IR 100", b"2 "),
            (b"ISO_IR 144", b"3 "),
            (b"ISO_IR 144", b"4 "),
        )
    ],
    "what a class says of the UID behind it": [
        [(0x00081199, "SQ", [reference(sop_class)])]
        for sop_class in (
            CT.encode() + b"\0",
            b"1.2.840.10008.3.1.2.1.1\0",
            CT.encode() + b"\0",
            b"1.2.840.10008.3.1.2.3.3\0",
        )
    ],
    "what a character set says of the items behind it": [
        [
            (0x00080005, "CS", character_set),
            (0x00400275, "SQ", [[(0x00400007, "LO", b"Mallory \xc4\xd6 "), (0x00400009, "SH", number)]]),
        ]
        for character_set, number in (
            (b"ISO_IR 100", b"1 "),
            (b"ISO_IR 100", b"2 "),
            (b"ISO_IR 144", b"3 "),
            (b"ISO_IR 100", b"4 "),
        )
    ],
    "what a character set of an item says": [
        [(0x00400275, "SQ", [named(character_set)])]
        for character_set in (b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 100", b"ISO_IR 192")
    ],
    "an item that becomes shorter than what was remembered of it": [
        [(0x00400275, "SQ", [[(0x00400007, "LO", b"ABCD"), *more], [(0x00400009, "SH", b"12")]])]
        for more in ([(0x00400009, "SH", b"1 ")], [(0x00400009, "SH", b"2 ")], [], [(0x00400009, "SH", b"1 ")])
    ],
    "runs that stay while one of their items goes": [
        [(0x00081115, "SQ", [[(0x00081150, "UI", b"1.2.3.4.778 "), (0x0020000E, "UI", uid)] for uid in uids])]
        for uids in ((b"1.2.3.5 ", b"1.2.3.6 "), (b"1.2.3.5 ", b"1.2.3.7 "), (b"1.2.3.5 ",), (b"1.2.3.5 ", b"1.2.3.6 "))
    ],
}


@pytest.mark.parametrize("name", ["research", "neuro-mr", "basic"])
@pytest.mark.parametrize("what", TEMPTING)
def test_what_is_tempting_to_remember_is_not_taken_for_another_file(name: str, what: str) -> None:
    trees = TEMPTING[what]
    compare(name, [file_with(tree, number, True, False) for number, tree in enumerate([*trees, *trees[::-1]])])


@pytest.mark.parametrize("lie", [b"SH\4\0", b"SH\x40\0", b"SH\0\0"])
def test_a_length_that_lies_is_found_in_what_is_known_too(lie: bytes) -> None:
    numbers = (b"11", b"12", b"13", b"14", b"15", b"16")
    trees: list[Tree] = [
        [(0x00400275, "SQ", [[(0x00400009, "SH", one)]]), (0x00400280, "ST", b"XY" * 20)] for one in numbers
    ]
    files = [file_with(tree, number, True, False) for number, tree in enumerate(trees)]
    files[-1] = files[-1].replace(b"SH\2\0", lie)
    compare("research", [*files, files[0], files[-1]])


def identity_of(data: bytes) -> frozenset[Identity]:
    """What a file says of the patient; nothing where it cannot be read."""
    try:
        _, window, head = opened(data)
        return frozenset(FactReader(window, head, Known()).read().identity)
    except Refused:
        return frozenset()


def compare(name: str, files: list[bytes]) -> None:
    identity = frozenset[Identity]().union(*map(identity_of, files))
    together, alone = Series(name, identity, together=True), Series(name, identity, together=False)
    for data in files:
        assert together.outcome(data) == alone.outcome(data)


def test_a_sequence_that_cannot_be_read_takes_nothing_along_of_what_is_recorded() -> None:
    broken = pack("<HHL", 0x0008, 0x2228, 8) + b"no items"

    def tree(number: int) -> Tree:
        inside = pack("<HHL8s", 0x0008, 0x0100, 8, b"CODE%04d" % number) + broken
        return [
            (0x00080020, "DA", b"20190102"),
            (0x00081155, "UI", b"1.2.3.4.66"),
            (0x00082218, "UN", raw_item(inside)),
            (0x00200052, "UI", b"1.2.3.4.77%02d" % number),
        ]

    compare("research", [file_with(tree(number), number, True, False) for number in range(4)])
