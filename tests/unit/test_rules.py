"""One rule for each Data Element, composed as PS3.15 E.1 does; what no rule allows is removed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.actions import ACTIONS
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.elements import VRS as ALL_VRS
from coatcheck.deid.plan import Plan
from coatcheck.deid.rules import Rule
from tests.support import CT, profile

BASIC, RESEARCH = Plan(profile("basic"), CT), Plan(profile("research"), CT)
VRS = sorted(vr.decode() for vr in ALL_VRS)


@pytest.mark.parametrize(
    ("tag", "vr", "basic", "research"),
    [
        (0x00100010, "PN", "subject", "subject"),
        (0x00100020, "LO", "subject", "subject"),
        (0x00080020, "DA", "empty", "shift-date"),
        (0x00080030, "TM", "empty", "keep-time"),
        (0x00080201, "SH", "remove", "keep-time"),
        (0x00100040, "CS", "empty", "keep"),
        (0x00101010, "AS", "remove", "cap-age"),
        (0x0020000D, "UI", "uid", "uid"),
        (0x00280010, "US", "keep", "keep"),
        (0x00080016, "UI", "keep", "keep"),
        (0x00140104, "PN", "dummy", "dummy"),
        (0x00140102, "DA", "dummy", "shift-date"),
        (0x00140103, "TM", "dummy", "keep-time"),
        (0x0008041F, "DT", "dummy", "shift-date"),
        (0x00189074, "DT", "dummy", "shift-date"),
        (0x00090010, "LO", "remove", "remove"),
        (0x60003000, "OW", "remove", "remove"),
        (0x00280999, "LO", "remove", "remove"),
        (0x00080000, "UL", "remove", "remove"),
        (0x00041130, "CS", "remove", "remove"),
        (0x00120063, "LO", "remove", "remove"),
    ],
)
def test_the_action_for(tag: int, vr: str, basic: str, research: str) -> None:
    assert (BASIC.rule(tag, vr, ()).action, RESEARCH.rule(tag, vr, ()).action) == (basic, research)


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(VRS))
def test_every_tag_has_a_rule_that_says_what_decided(tag: int, vr: str) -> None:
    for plan in (BASIC, RESEARCH):
        rule = plan.rule(tag, vr, ())
        assert rule.action in {*ACTIONS, "keep"}
        assert rule.fallback in {*ACTIONS, "keep"}
        assert rule.origin
        if not vrs_of(tag) and tag not in plan._tables._rows:
            assert rule.action == "remove"


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(VRS))
def test_a_rule_is_the_same_each_time_and_for_each_plan(tag: int, vr: str) -> None:
    first: Rule = BASIC.rule(tag, vr, ())
    assert BASIC.rule(tag, vr, ()) == first == Plan(profile("basic"), CT).rule(tag, vr, ())


@pytest.mark.parametrize(("vr", "action"), [("LO", "keep"), ("SH", "keep"), ("UN", "keep"), ("OB", "remove")])
def test_a_text_may_have_another_text_vr_and_no_other(vr: str, action: str) -> None:
    assert BASIC.rule(0x00081090, vr, ()).action in (action, BASIC.rule(0x00081090, "LO", ()).action)
    assert BASIC.rule(0x00080104, vr, ()).action == action


def test_a_kept_row_with_another_kind_of_vr_falls_back_to_the_basic_profile() -> None:
    assert RESEARCH.rule(0x00101020, "DS", ()).action == "keep"
    assert RESEARCH.rule(0x00101020, "OB", ()).action == "remove"


def test_the_type_depends_on_the_path() -> None:
    """Institution Name is X/Z/D: in an unknown place it is optional."""
    plan = Plan(profile("basic"), "1.2.840.10008.5.1.4.1.1.2")
    unknown = Plan(profile("basic"), "1.2.840.10008.5.1.1.27")
    assert unknown._tables.iod is None
    assert unknown.rule(0x00080080, "LO", ()).action == "dummy"
    assert plan.rule(0x00080080, "LO", (0x00082218,)).action == "remove"
