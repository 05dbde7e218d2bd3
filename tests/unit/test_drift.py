"""Drift tells what a profile treats otherwise since an edition, and which Studies left before."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import drift
from coatcheck.deid import editions, standard
from coatcheck.errors import CoatcheckError, StateError
from coatcheck.ledger import Ledger
from coatcheck.model import Arrival, Fingerprint, Staged

EDITIONS = st.sampled_from(editions.known())
OPTIONS = st.lists(st.sampled_from([name for name in standard.options() if name != "basic"]), unique=True)
NOW = "2026-11-21T10:00:00.000Z"
TICKETS = ("7F3K9Q2MXA", "8G4M0R3NYB", "9H5N1S4PZC")


def by_keyword(options: list[str], old: str, new: str = standard.EDITION) -> dict[str, drift.Drift]:
    return {one.keyword: one for one in drift.drifted(options, old, new)}


# What is treated otherwise


def test_without_options_only_the_basic_codes_count() -> None:
    found = by_keyword([], "2024b")
    assert len(found) == 36
    assert "RequestingService" not in found  # X in both; only Clean Descriptors says otherwise
    assert found["PrincipalDiagnosisCodeSequence"].as_record() == {
        "tag": "0008,1301",
        "keyword": "PrincipalDiagnosisCodeSequence",
        "name": "Principal Diagnosis Code Sequence",
        "before": "",
        "before_by": "",
        "after": "X",
        "after_by": "basic",
    }


def test_an_option_changes_what_has_drifted() -> None:
    found = by_keyword(["clean-descriptors"], "2024b")["RequestingService"]
    assert (found.before, found.before_by) == ("X", "basic")
    assert (found.after, found.after_by) == ("C", "clean-descriptors")


def test_an_option_can_hide_a_changed_basic_code() -> None:
    assert by_keyword([], "2018d")["SourceSerialNumber"].after == "X/Z"
    assert "SourceSerialNumber" not in by_keyword(["retain-device-identity"], "2018d")


def test_the_later_option_wins() -> None:
    device, dates = "retain-device-identity", "retain-longitudinal-modified-dates"
    assert by_keyword([device, dates], "2013")["DateOfLastCalibration"].after_by == dates
    assert by_keyword([dates, device], "2013")["DateOfLastCalibration"].after_by == device


def test_what_is_listed_no_more_has_no_code_now() -> None:
    found = by_keyword([], "2017c")["ModifyingDeviceManufacturer"]
    assert (found.before, found.after, found.after_by) == ("X", "", "")


def test_two_old_editions_can_be_compared() -> None:
    found = by_keyword([], "2024a", "2024b")
    assert found
    assert set(found) <= {row.keyword for row in editions.rows_of("2024b").values()}


@given(OPTIONS, EDITIONS, EDITIONS)
def test_drift_is_found_among_the_differences_and_only_where_codes_differ(
    options: list[str], old: str, new: str
) -> None:
    found = drift.drifted(options, old, new)
    assert {one.tag for one in found} <= {one.tag for one in editions.differences(old, new)}
    assert all(one.before != one.after for one in found)
    assert json.loads(json.dumps([one.as_record() for one in found])) == [one.as_record() for one in found]


@given(OPTIONS, EDITIONS)
def test_nothing_drifts_from_an_edition_to_itself(options: list[str], edition: str) -> None:
    assert drift.drifted(options, edition, edition) == []


def test_an_unknown_edition_is_refused() -> None:
    with pytest.raises(CoatcheckError):
        drift.drifted([], "1999z")


# Which Studies left before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with two Studies of one project that were delivered, and one of another that is only open."""
    path = tmp_path / "ledger.db"
    with closing(Ledger.open(path)) as ledger:
        for number, ticket in enumerate(TICKETS[:2], 1):
            delivery = _opened(ledger, "lung", ticket, number)
            ledger.stage(delivery, number=1, folder=f"S-1/2.25.{number}", staged=[_staged(number)], now=NOW)
            ledger.release(delivery, NOW)
        ledger.done(delivery, NOW)
        _opened(ledger, "heart", TICKETS[2], 3)
    return path


def _opened(ledger: Ledger, project: str, ticket: str, number: int) -> int:
    return ledger.open_delivery(
        project=project,
        ticket=ticket,
        study_uid=f"2.25.{number}",
        subject="S-1",
        profile="research",
        profile_digest="abc",
        edition="2026d",
        tags={0x00100010},
        instances=1,
        now=NOW,
    )


def _staged(number: int) -> Staged:
    return Staged(
        arrival=Arrival(project="lung", path="a", fingerprint=Fingerprint(1, 2, 3, 4, 5)),
        sop_uid=f"2.25.{number}.1",
        series_uid=f"2.25.{number}.2",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        digest=b"digest",
        size=100,
    )


def _made_with(path: Path, ticket: str, edition: str) -> None:
    """Make a delivery one of an older edition."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "UPDATE deliveries SET edition = ? WHERE study_id = (SELECT id FROM studies WHERE ticket = ?)",
            (edition, ticket),
        )
        connection.commit()


def test_a_study_is_concerned_by_what_it_had(path: Path) -> None:
    first, second = drift.delivered_by(path, "2026d")
    both = [_drift("0010,0010"), _drift("60xx,3000")]

    assert first.had(both) == [both[0]]
    assert replace(first, tags=frozenset({0x60123000})).had(both) == [both[1]]
    assert replace(second, tags=None).had(both) is None, "it may have had any"


def _drift(tag: str) -> drift.Drift:
    return drift.Drift(tag=tag, keyword="", name="", before="", before_by="", after="X", after_by="basic")


def test_a_ledger_tells_the_editions_that_it_worked_by(path: Path) -> None:
    assert drift.editions_in(path) == ["2026d"]
    assert [study.ticket for study in drift.delivered_by(path, "2026d")] == list(TICKETS[:2])


def test_studies_are_found_by_the_edition_that_they_were_made_with(path: Path) -> None:
    _made_with(path, TICKETS[0], "2024b")
    assert drift.editions_in(path) == ["2024b", "2026d"]
    [study] = drift.delivered_by(path, "2024b")
    assert study.as_record() == {
        "project": "lung",
        "ticket": TICKETS[0],
        "subject": "S-1",
        "study_uid": "2.25.1",
        "folder": "S-1/2.25.1",
        "edition": "2024b",
        "profile": "research",
        "delivered": NOW,
    }


def test_only_what_is_out_counts_and_only_of_the_project_that_is_asked_for(path: Path) -> None:
    _made_with(path, TICKETS[2], "2024b")
    assert drift.delivered_by(path, "2024b") == []  # it is open
    assert drift.delivered_by(path, "2026d", "heart") == []
    assert len(drift.delivered_by(path, "2026d", "lung")) == 2
    assert drift.editions_in(path, "heart") == []


def test_a_ledger_that_is_not_there_is_a_state_error(tmp_path: Path) -> None:
    with pytest.raises(StateError):
        drift.delivered_by(tmp_path / "ledger.db", "2024b")
