"""What holds for any Data Set under any profile: promises that no table and no example can make.

COATCHECK_PROPERTIES sets how many examples are tried, 40 by default.
"""

from __future__ import annotations

import datetime
import io
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from pydicom import DataElement, Dataset

from coatcheck.deid.attributes import attributes_of
from coatcheck.deid.elements import elements
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import AVAILABLE, MODIFIED_DATES, Profile
from coatcheck.deid.shifts import SCOPES
from coatcheck.deid.standard import is_registered
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.drawn import instances, profiles
from tests.support import CT, opened, read
from tests.tools.plant import lenient_pydicom
from tests.treated import Treatment, profile_of

EXAMPLES = int(os.environ.get("COATCHECK_PROPERTIES", "40"))
BOUNDED = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

# pydicom warns of values of its own writing where a profile asks for odd ones, such as a template in a CS.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

LISTED = profile_of("private: keep-listed\nrules:\n  - {at: ['(0029,\"ACME\",*)', '(0019,\"ACME\",*)'], do: keep}")


def passed(treatment: Treatment, data: bytes) -> bytes:
    """The result, where the gate lets it pass: what it refuses does not leave."""
    try:
        result = treatment.result(data)
    except Refused as refused:
        assert refused.reason in (Reason.IDENTITY_FOUND, Reason.TOO_LARGE)
        event("refused")
        assume(False)
        raise
    event("passed")
    return result


def every(ds: Dataset, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], DataElement]]:
    """Every element but sequences, with its path."""
    found = []
    for one in ds:
        here = (*path, int(one.tag))
        if one.VR == "SQ":
            for number, item in enumerate(one.value):
                found += every(item, (*here, number))
        else:
            found.append((here, one))
    return found


@BOUNDED
@given(instances(), profiles())
def test_no_known_identity_is_in_what_leaves(data: bytes, profile: Profile) -> None:
    """But where a rule of the profile keeps it, in writing, or an option keeps its kind."""
    result = passed(Treatment(profile), data)
    if any(rule.action in ("keep", "allow") for rule in profile.rules) or set(profile.options) & KEEPING:
        return

    folded = result.lower()
    assert b"mallory" not in folded
    assert b"mrn-7755" not in folded
    assert b"1.2.3.4.10" not in folded


KEEPING = {option for option in AVAILABLE if option.startswith("retain") and option not in (MODIFIED_DATES,)}


@BOUNDED
@given(instances(), profiles())
def test_what_comes_out_can_be_read_and_written_again(data: bytes, profile: Profile) -> None:
    result = Treatment(profile).result(data, gate=False)

    ds = read(result)
    out = io.BytesIO()
    with lenient_pydicom():
        elements = every(ds)  # which reads each value
        ds.save_as(out)
    again = read(out.getvalue())
    assert [path for path, _ in every(again)] == [path for path, _ in elements]
    tags = [int(one.tag) for one in ds]
    assert tags == sorted(set(tags))
    assert ds.PatientIdentityRemoved == "YES"


@BOUNDED
@given(instances(), profiles())
def test_uids_stay_apart_and_are_legal(data: bytes, profile: Profile) -> None:
    treatment = Treatment(profile)
    result = treatment.result(data, gate=False)

    news = list(treatment.uids.values())
    assert len(set(news)) == len(news)
    assert all(len(new) <= 64 and new.startswith("2.25.") for new in news)
    assert not any(is_registered(old) for old in treatment.uids)
    if "retain-uids" in profile.options:
        assert not treatment.uids
    before = {str(one.value) for _, one in every(read(data)) if one.VR == "UI"} | {"", None}
    for path, one in every(read(result)):
        text = str(one.value or "")
        if one.VR == "UI" and path[0] not in (0x00120064,) and "{" not in text:
            assert len(text) <= 64
            assert text in news or text in before


@BOUNDED
@given(instances(), st.sampled_from(SCOPES), st.booleans())
def test_intervals_are_kept_and_times_of_the_day(data: bytes, scope: str, weeks: bool) -> None:
    text = f"options: [{MODIFIED_DATES}]\ndates: {{scope: {scope}, whole_weeks: {'true' if weeks else 'false'}}}"
    result = Treatment(profile_of(text)).result(data, gate=False)

    before = dict(every(read(data)))
    days = set()
    for path, one in every(read(result)):
        if one.VR in ("DA", "DT") and path in before and one.value and not any(tag >> 16 & 1 for tag in path[::2]):
            days.add((day(before[path]) - day(one)).days)
            assert str(one.value)[8:] == str(before[path].value)[8:]
        if one.VR == "TM" and path in before:
            assert one.value == before[path].value
    assert len(days) <= 1
    assert all(1 <= number <= 365 and (not weeks or number % 7 == 0) for number in days)


def day(element: DataElement) -> datetime.date:
    return datetime.datetime.strptime(str(element.value)[:8], "%Y%m%d").date()


@BOUNDED
@given(instances(), profiles())
def test_a_second_run_gives_the_same_bytes(data: bytes, profile: Profile) -> None:
    assert Treatment(profile).result(data, gate=False) == Treatment(profile).result(data, gate=False)


@BOUNDED
@given(instances(), profiles())
def test_an_element_whose_rule_is_keep_is_the_same_bytes(data: bytes, profile: Profile) -> None:
    """Kept by the tables, an option or a rule; outside of sequences, whose lengths change with their inside."""
    result = Treatment(profile).result(data, gate=False)
    source, window, head = opened(data)
    holding = profile.holding(attributes_of(window, head.start, head.encoding, profile.reads))
    plan = Plan(profile, CT, holding)
    for one in elements(window, head.start, window.size, head.encoding, {}):
        if one.tag & 0x10000 or one.vr in ("SQ", "UN"):
            continue
        if plan.rule(one.tag, one.vr, ()).action == "keep":
            assert source[one.start : one.end] in result


@BOUNDED
@given(st.lists(instances(), min_size=1, max_size=3), st.just(LISTED) | profiles())
def test_files_that_share_what_repeats_come_out_as_if_alone(files: list[bytes], profile: Profile) -> None:
    shared = Treatment(profile, shared=True)

    for data in [*files, *files[::-1]]:
        other = data.replace(b"ACME", b"ECMA")  # another creator in its place
        for one in (data, other, data, other):
            assert shared.result(one, gate=False) == Treatment(profile).result(one, gate=False)
