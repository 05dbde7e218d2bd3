"""Requests to the running service: whole, private, answered or taken back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coatcheck.errors import CoatcheckError
from coatcheck.request_box import VERSION, RequestBox, ask
from coatcheck.service_lock import hold_lock


class Clock:
    """Time that passes when somebody sleeps; ``at_sleep`` is what the others do meanwhile."""

    def __init__(self, at_sleep: object = None) -> None:
        self.now = 0.0
        self._at_sleep = at_sleep

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if callable(self._at_sleep):
            self._at_sleep()


def test_a_folder_that_cannot_be_written_to_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "requests").touch()

    with pytest.raises(CoatcheckError, match=r"cannot be written to .*: make room there"):
        ask(tmp_path, {})


def test_a_request_is_taken_once_and_its_answer_comes_back(tmp_path: Path) -> None:
    box = RequestBox(tmp_path)
    taken: list[dict[str, object]] = []

    def serve() -> None:
        for name, content in box.take():
            mode = os.stat(tmp_path / "requests").st_mode & 0o777
            taken.append(content)
            box.answer(name, {"said": mode})

    clock = Clock(serve)
    with hold_lock(tmp_path):
        said = ask(tmp_path, {"action": "retry"}, clock=clock, sleep=clock.sleep)
    assert said == {"said": 0o700}
    assert taken == [{"action": "retry", "version": VERSION}]
    assert not list((tmp_path / "requests").iterdir())


def test_a_request_is_private_from_its_first_byte(tmp_path: Path) -> None:
    RequestBox(tmp_path)
    before = os.umask(0)
    try:
        clock = Clock(lambda: modes.extend(one.stat().st_mode & 0o777 for one in (tmp_path / "requests").iterdir()))
        modes: list[int] = []
        with hold_lock(tmp_path), pytest.raises(CoatcheckError):
            ask(tmp_path, {}, timeout=0.1, clock=clock, sleep=clock.sleep)
    finally:
        os.umask(before)
    assert set(modes) == {0o600}


def test_a_request_that_nobody_takes_is_taken_back(tmp_path: Path) -> None:
    box, clock = RequestBox(tmp_path), Clock()
    with hold_lock(tmp_path), pytest.raises(CoatcheckError, match="did not take"):
        ask(tmp_path, {}, timeout=1, clock=clock, sleep=clock.sleep)
    assert not list(box.take())


def test_a_request_that_is_taken_and_not_answered_is_told_so(tmp_path: Path) -> None:
    box = RequestBox(tmp_path)
    clock = Clock(lambda: list(box.take()))
    with hold_lock(tmp_path), pytest.raises(CoatcheckError, match="did not answer within 1 s"):
        ask(tmp_path, {}, timeout=1, clock=clock, sleep=clock.sleep)


def test_a_service_that_ends_over_a_request_is_told(tmp_path: Path) -> None:
    box = RequestBox(tmp_path)

    def take_and_end() -> None:
        list(box.take())
        os.rename(tmp_path / "lock", tmp_path / "gone")  # as if nobody held it

    clock = Clock(take_and_end)
    with hold_lock(tmp_path), pytest.raises(CoatcheckError, match="took the request and ended"):
        ask(tmp_path, {}, clock=clock, sleep=clock.sleep)


def test_without_a_service_the_request_is_taken_back_and_there_is_no_answer(tmp_path: Path) -> None:
    box = RequestBox(tmp_path)
    assert ask(tmp_path, {}) is None
    assert not list(box.take())


def test_a_service_that_takes_no_requests_is_told(tmp_path: Path) -> None:
    with pytest.raises(CoatcheckError, match="takes no requests"):
        ask(tmp_path, {})


def test_what_lies_there_at_the_start_and_what_is_no_request_is_cleared_away(tmp_path: Path) -> None:
    RequestBox(tmp_path)
    folder = tmp_path / "requests"
    (folder / "old.request").write_text("{}")
    box = RequestBox(tmp_path)
    assert not list(box.take())
    (folder / "a.request").write_text("no JSON")
    (folder / "b.request").write_text("[]")
    (tmp_path / "elsewhere").write_text("{}")
    (folder / "c.request").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "d.request")
    assert not list(box.take())
    assert not list(folder.iterdir())


def test_an_answer_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    box = RequestBox(tmp_path)
    (tmp_path / "requests").rmdir()
    box.answer("x", {})
    assert not list(box.take())
