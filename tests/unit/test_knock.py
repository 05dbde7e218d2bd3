"""The knock: answered, silent, and answered again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError
from coatcheck.knock import Knock
from tests.acceptance.house import wait_until


class Slow(type(Path())):  # type: ignore[misc]
    """A folder that answers when it is let."""

    let = threading.Event()

    def __truediv__(self, name: object) -> Path:
        self.let.wait()
        return Path(self) / str(name)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    Slow.let.clear()
    yield Slow(tmp_path)
    Slow.let.set()


def test_folders_that_are_there_and_folders_that_are_not_answer(tmp_path: Path) -> None:
    given_up: list[CoatcheckError] = []
    knock = Knock({"inbox": tmp_path, "outbox": tmp_path / "nowhere"}, given_up.append)

    assert knock.answered(1.0)
    assert not knock.silent
    assert not given_up


def test_a_folder_that_is_silent_is_waited_for_then_named_and_heard_when_it_answers(slow: Slow) -> None:
    given_up: list[CoatcheckError] = []
    knock = Knock({"inbox": slow, "outbox": slow}, given_up.append)
    before = threading.active_count()

    assert not knock.answered(100.0)
    assert knock.silent
    assert not knock.answered(109.9)
    with pytest.raises(CoatcheckError, match=r"^inbox .*: it does not answer"):
        knock.answered(110.1)
    assert len(given_up) == 1

    Slow.let.set()
    wait_until(lambda: threading.active_count() == before, "it has answered")
    assert knock.answered(111.0)
    assert not knock.silent


def test_one_answer_is_asked_for_at_a_time(slow: Slow) -> None:
    knock = Knock({"inbox": slow}, lambda error: None)
    before = threading.active_count()

    for now in range(5):
        assert not knock.answered(float(now))

    assert threading.active_count() == before + 1
