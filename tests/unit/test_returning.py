"""Files on their way out of the quarantine: whole, under a name that nothing had, or left where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coatcheck import returning
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.files import fingerprint
from coatcheck.returning import Ways, give_back
from tests.acceptance.house import tree


@pytest.fixture
def ways(tmp_path: Path) -> Ways:
    for name in ("inbox", "quarantine"):
        (tmp_path / name).mkdir()
    return Ways(inbox=tmp_path / "inbox", quarantine=tmp_path / "quarantine")


def planned(ways: Ways, place: str, destination: str, content: bytes = b"text", fate: Fate = Fate.RETRY) -> PlannedFile:
    path = ways.quarantine / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return PlannedFile(path=place, fingerprint=fingerprint(path.stat()), fate=fate, destination=destination)


def test_a_file_goes_to_its_path_and_again_is_no_fault(ways: Ways) -> None:
    files = [planned(ways, "r/t/a~2", "deep/er/a"), planned(ways, "r/t/b", "", fate=Fate.DROP)]
    assert give_back(ways, files) == [FateState.DONE, FateState.DONE]
    assert give_back(ways, files) == [FateState.DONE, FateState.DONE]
    assert tree(ways.inbox) == {"deep/er/a": b"text"}
    assert not tree(ways.quarantine)


@pytest.mark.parametrize("fate", [Fate.RETRY, Fate.DROP])
def test_a_file_that_changed_since_the_plan_is_left(ways: Ways, fate: Fate) -> None:
    file = planned(ways, "r/t/a", "a", fate=fate)
    (ways.quarantine / "r/t/a").write_bytes(b"other text")
    assert give_back(ways, [file]) == [FateState.SUPERSEDED]
    assert tree(ways.quarantine) == {"r/t/a": b"other text"}


def test_a_file_that_appears_in_the_last_moment_is_not_written_over(
    ways: Ways, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = planned(ways, "r/t/a", "a")
    (ways.inbox / "a").write_bytes(b"dropped now")
    monkeypatch.setattr(returning, "has_name", lambda folder, name: False)  # it came right after the look
    assert give_back(ways, [file]) == [FateState.DONE]
    assert tree(ways.inbox) == {"a": b"dropped now", "a~2": b"text"}


def test_no_link_in_the_inbox_is_followed(ways: Ways, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (ways.inbox / "folder").symlink_to(tmp_path / "outside")
    (ways.inbox / "name").symlink_to(tmp_path / "outside/name")
    files = [planned(ways, "r/t/folder/a", "folder/a"), planned(ways, "r/t/name", "name")]
    assert give_back(ways, files) == [FateState.DONE, FateState.DONE]
    assert not tree(tmp_path / "outside")
    assert (ways.inbox / "folder~2/a").read_bytes() == b"text"
    assert (ways.inbox / "name~2").read_bytes() == b"text"


def test_no_link_in_the_quarantine_is_followed(ways: Ways, tmp_path: Path) -> None:
    file = planned(ways, "r/t/a", "a")
    os.rename(ways.quarantine / "r", tmp_path / "moved")
    (ways.quarantine / "r").symlink_to(tmp_path / "moved")
    assert give_back(ways, [file]) == [FateState.DONE]
    assert tree(tmp_path / "moved") == {"t/a": b"text"}


def test_a_missing_inbox_is_weather_without_a_path_and_holds_up_no_drop(ways: Ways) -> None:
    files = [planned(ways, "r/t/a", "Doe/a"), planned(ways, "r/t/b", "", fate=Fate.DROP)]
    ways.inbox.rmdir()
    error, done = give_back(ways, files)
    assert isinstance(error, FileNotFoundError)
    assert "Doe" not in str(error)
    assert done is FateState.DONE
    assert (ways.quarantine / "r/t/a").exists()
