"""The knock: answered, silent, and answered again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError
from coatcheck.knock import Knock
from coatcheck.lane import Lane
from coatcheck.pool import Pool
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


@pytest.fixture
def lane() -> Lane:
    """A project's way into a pool."""
    return Lane(Pool("inline", 1, lambda: None))


def works(lane: Lane) -> bool:
    """Whether a batch of the project is begun."""
    done: list[object] = []
    lane.submit(lambda context, items: items, None, [1], done.extend, done.append)
    while lane._pool.busy:
        lane._pool.collect()
    return bool(done)


def test_folders_that_are_there_and_folders_that_are_not_answer(tmp_path: Path, lane: Lane) -> None:
    knock = Knock({"inbox": tmp_path, "outbox": tmp_path / "nowhere"}, lane)

    assert knock.answered(1.0)
    assert not knock.silent
    assert works(lane)


def test_a_folder_that_is_silent_is_waited_for_then_named_and_heard_when_it_answers(slow: Slow, lane: Lane) -> None:
    knock = Knock({"inbox": slow, "outbox": slow}, lane)
    before = threading.active_count()

    assert not knock.answered(100.0)
    assert knock.silent
    assert not knock.answered(109.9)
    assert works(lane)
    with pytest.raises(CoatcheckError, match=r"^inbox .*: it does not answer"):
        knock.answered(110.1)
    assert not works(lane)

    Slow.let.set()
    wait_until(lambda: threading.active_count() == before, "it has answered")
    assert knock.answered(111.0)
    assert works(lane)


def test_one_answer_is_asked_for_at_a_time(slow: Slow, lane: Lane) -> None:
    knock = Knock({"inbox": slow}, lane)
    before = threading.active_count()

    for now in range(5):
        assert not knock.answered(float(now))

    assert threading.active_count() == before + 1


def test_a_thread_that_cannot_start_is_tried_again(tmp_path: Path, lane: Lane, monkeypatch: pytest.MonkeyPatch) -> None:
    knock = Knock({"inbox": tmp_path}, lane)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(threading.Thread, "start", refuse)
        knock.answered(1.0)

    assert knock.answered(2.0)
