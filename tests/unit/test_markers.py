"""When a marker releases its folder."""

from __future__ import annotations

from math import inf

import pytest

from coatcheck.markers import Markers
from coatcheck.model import Arrival, Fingerprint
from coatcheck.paths import is_marker


def marker(path: str) -> Arrival:
    return Arrival(project="p", path=path, fingerprint=Fingerprint(1, 2, 0, 4, 5))


@pytest.mark.parametrize("path", ["DONE", "a/done", "a/b/Done.txt", "DONE.TXT"])
def test_a_marker_is_known_by_its_name_in_any_case(path: str) -> None:
    assert is_marker(path, "DONE")


@pytest.mark.parametrize(("path", "name"), [("DONE/a", "DONE"), ("NOT-DONE", "DONE"), ("DONE.dcm", "DONE"), ("", "")])
def test_other_files_are_none(path: str, name: str) -> None:
    assert not is_marker(path, name)


def test_a_marker_waits_for_what_still_changes_in_its_folder_and_below_and_for_nothing_else() -> None:
    markers = Markers()
    markers.add(marker("a/DONE"))
    assert markers.due(1, lambda: ["a/deep/IM1", "b/IM1"], inf) == []
    assert markers.due(2, lambda: ["ab/IM1", "b/IM1"], inf) == [marker("a/DONE")]
    assert markers.due(3, list, inf) == []


def test_a_marker_waits_until_what_settled_before_is_read() -> None:
    markers = Markers()
    markers.add(marker("a/DONE"))
    assert markers.due(5, list, 5) == []
    assert markers.due(6, list, 4) == []
    assert markers.due(7, lambda: ["a/late"], inf) == []
    assert markers.due(8, list, 7.5) == []
    assert markers.due(9, list, 8.5) == [marker("a/DONE")]  # What settled later does not hold it up.


def test_a_marker_in_the_inbox_itself_means_all_of_it() -> None:
    markers = Markers()
    markers.add(marker("DONE"))
    assert markers.due(1, lambda: ["any/where"], inf) == []
    assert markers.due(2, list, inf) == [marker("DONE")]
