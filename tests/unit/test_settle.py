from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coatcheck.intake.settle import RETRY_LONGEST, RETRY_SECONDS, Settle
from coatcheck.model import Fingerprint

ONE = Fingerprint(1, 10, 100, 1000, 1000)
SETTLE = 5.0


def test_a_file_is_handed_out_once_when_nothing_changed_for_the_time() -> None:
    settle = Settle(SETTLE)
    assert settle.update({"a": ONE}, 100.0) == []
    assert settle.next_due(100.0) == 105.0
    assert settle.update({"a": ONE}, 104.9) == []
    assert settle.update({"a": ONE}, 105.0) == [("a", ONE)]
    assert settle.update({"a": ONE}, 200.0) == []
    assert settle.next_due(200.0) is None


@pytest.mark.parametrize("part", Fingerprint._fields)
def test_a_change_of_any_part_of_the_fingerprint_starts_the_wait_anew(part: str) -> None:
    settle = Settle(SETTLE)
    changed = ONE._replace(**{part: 7})
    settle.update({"a": ONE}, 0.0)
    assert settle.update({"a": changed}, 5.0) == []
    assert settle.update({"a": changed}, 9.9) == []
    assert settle.update({"a": changed}, 10.0) == [("a", changed)]
    assert settle.update({"a": ONE}, 11.0) == []
    assert settle.update({"a": ONE}, 16.0) == [("a", ONE)]


def test_an_empty_file_settles_like_any_other() -> None:
    settle = Settle(SETTLE)
    empty = ONE._replace(size=0)
    settle.update({"a": empty}, 0.0)
    assert settle.update({"a": empty}, 5.0) == [("a", empty)]


def test_a_file_that_keeps_growing_waits_however_long_and_is_seen_waiting() -> None:
    settle = Settle(SETTLE)
    for second in range(10_000):
        assert settle.update({"a": ONE._replace(size=second)}, float(second)) == []
    assert settle.waiting(10_000.0) == (1, 10_000.0)


def test_with_no_settle_time_a_file_is_handed_out_at_first_sight() -> None:
    settle = Settle(0.0)
    assert settle.update({"a": ONE}, 3.0) == [("a", ONE)]
    assert settle.update({"a": ONE}, 4.0) == []


def test_a_file_given_back_waits_anew_and_never_spins() -> None:
    settle = Settle(0.0)
    settle.update({"a": ONE}, 0.0)
    settle.give_back("a", 10.0)
    assert settle.next_due(10.0) == 10.0 + RETRY_SECONDS
    assert settle.update({"a": ONE}, 10.5) == []
    assert settle.update({"a": ONE}, 11.0) == [("a", ONE)]
    settle.give_back("unknown", 11.0)
    assert settle.next_due(11.0) is None


def test_a_file_given_back_again_and_again_waits_longer_and_its_age_is_seen_until_it_changes() -> None:
    settle = Settle(SETTLE)
    settle.update({"a": ONE}, 0.0)
    now, waits = SETTLE, []
    for _ in range(6):
        assert settle.update({"a": ONE}, now) == [("a", ONE)]
        settle.give_back("a", now)
        due = settle.next_due(now)
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits == [SETTLE, 2 * SETTLE, 4 * SETTLE, 8 * SETTLE, RETRY_LONGEST, RETRY_LONGEST]
    assert settle.waiting(now).oldest_seconds == now - SETTLE
    other = ONE._replace(size=2)
    settle.update({"a": other}, now)
    assert settle.next_due(now) == now + SETTLE
    settle.update({"a": other}, now + SETTLE)
    settle.give_back("a", now + SETTLE)
    assert settle.next_due(now) == now + 2 * SETTLE


def test_a_file_given_back_while_its_share_is_gone_is_handed_out_when_the_share_is_back() -> None:
    settle = Settle(0.0)
    share, below = (7, 2), (1, 99)
    settle.update({"a": ONE, "b": ONE}, 0.0, root=share)
    settle.update({"other": ONE}, 1.0, root=below)
    settle.give_back("a", 2.0)
    assert settle.update({"a": ONE, "b": ONE}, 3.0, root=share) == [("a", ONE)]


def test_only_a_new_or_changed_file_is_news() -> None:
    settle = Settle(SETTLE)
    told = []
    for now, listing in enumerate([{"a": ONE}, {"a": ONE}, {"a": ONE._replace(size=2)}, {}]):
        settle.update(listing, float(now))
        told.append(settle.news)
    assert told == [True, False, True, False]


def test_a_file_that_vanished_and_came_again_is_new() -> None:
    settle = Settle(0.0)
    settle.update({"a": ONE}, 0.0)
    settle.update({}, 1.0)
    assert settle.update({"a": ONE}, 2.0) == [("a", ONE)]


def test_a_file_that_was_dealt_with_and_lies_there_all_the_same_is_new() -> None:
    settle = Settle(0.0)
    share, below = (7, 2), (1, 99)
    settle.update({"a": ONE, "b": ONE}, 0.0, root=share)
    settle.forget("a", ONE)
    settle.forget("unknown", ONE)
    assert settle.update({"a": ONE, "b": ONE}, 1.0, root=share) == [("a", ONE)]
    settle.update({}, 2.0, root=below)
    settle.forget("b", ONE)
    assert settle.update({"a": ONE, "b": ONE}, 3.0, root=share) == [("b", ONE)]


def test_a_file_that_came_under_the_path_of_one_that_was_dealt_with_stays_handed_out() -> None:
    settle = Settle(0.0)
    other = ONE._replace(inode=11)
    settle.update({"a": ONE}, 0.0)
    settle.update({"a": other}, 1.0)
    settle.forget("a", ONE)
    assert settle.update({"a": other}, 2.0) == []


def test_files_below_a_place_that_could_not_be_seen_keep_their_state() -> None:
    settle = Settle(SETTLE)
    listing = {"x/a": ONE, "x/y/b": ONE, "xa": ONE}
    settle.update(listing, 0.0)
    settle.update(listing, 5.0)
    assert settle.update({}, 6.0, unseen={"x"}) == []
    settle.update(listing, 7.0)
    assert settle.update(listing, 12.0) == [("xa", ONE)]
    assert settle.update({}, 13.0, unseen={""}) == []
    assert settle.update(listing, 14.0) == []


def test_a_share_that_blinks_does_not_make_everything_new() -> None:
    settle = Settle(0.0)
    share, bare = (7, 2), (1, 99)
    settle.update({"a": ONE, "b": ONE}, 0.0, root=share)
    assert settle.update({}, 1.0, root=bare) == []
    assert settle.update({}, 2.0, root=bare) == []
    assert settle.update({"a": ONE, "b": ONE, "c": ONE}, 3.0, root=share) == [("c", ONE)]


def test_an_inbox_that_was_made_anew_starts_with_nothing_known() -> None:
    settle = Settle(0.0)
    settle.update({"a": ONE}, 0.0, root=(1, 1))
    again = ONE._replace(inode=11)
    assert settle.update({"a": again}, 1.0, root=(1, 2)) == [("a", again)]


PATHS = st.sampled_from(["a", "b", "x/a", "x/\udcff"])
MARKS = st.builds(Fingerprint, st.just(1), st.integers(0, 1), st.integers(0, 1), st.just(0), st.just(0))


class SettleAgreesWithAPlainModel(RuleBasedStateMachine):
    """The model keeps, for each path, since when its mark is the same, and whether it was handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.settle = Settle(SETTLE)
        self.now = 0.0
        self.files: dict[str, Fingerprint] = {}
        self.since: dict[str, tuple[Fingerprint, float]] = {}
        self.delay: dict[str, float] = {}
        self.out: set[str] = set()

    @rule(path=PATHS, mark=MARKS)
    def write(self, path: str, mark: Fingerprint) -> None:
        self.files[path] = mark

    @rule(path=PATHS)
    def remove(self, path: str) -> None:
        self.files.pop(path, None)

    @rule(path=PATHS)
    def give_back(self, path: str) -> None:
        self.settle.give_back(path, self.now)
        if path in self.out:
            self.out.discard(path)
            self.since[path] = (self.since[path][0], self.now)
            self.delay[path] = min(2 * self.delay[path], RETRY_LONGEST) if path in self.delay else SETTLE

    @rule(seconds=st.sampled_from([0.0, 1.0, 2.5, 5.0]))
    def look(self, seconds: float) -> None:
        self.now += seconds
        for path in [path for path in self.since if path not in self.files]:
            del self.since[path]
            self.delay.pop(path, None)
            self.out.discard(path)
        for path, mark in self.files.items():
            if self.since.get(path, (None, 0.0))[0] != mark:
                self.since[path] = (mark, self.now)
                self.delay.pop(path, None)
                self.out.discard(path)
        expected = {
            (path, mark)
            for path, (mark, since) in self.since.items()
            if self.now >= since + self.delay.get(path, SETTLE) and path not in self.out
        }
        handed_out = self.settle.update(dict(self.files), self.now)
        assert len(handed_out) == len(set(handed_out))
        assert set(handed_out) == expected
        self.out.update(path for path, _ in handed_out)

    @invariant()
    def waiting_agrees(self) -> None:
        waiting = [
            since + self.delay.get(path, SETTLE) for path, (_, since) in self.since.items() if path not in self.out
        ]
        assert self.settle.waiting(self.now).files == len(waiting)
        due = self.settle.next_due(self.now)
        assert due == (max(self.now, min(waiting)) if waiting else None)


TestSettleModel = SettleAgreesWithAPlainModel.TestCase
TestSettleModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(st.floats(0.1, 1e6), st.floats(0, 1e9))
def test_waking_when_a_file_is_due_always_hands_it_out(file_settle: float, start: float) -> None:
    settle = Settle(file_settle)
    settle.update({"a": ONE}, start)
    due = settle.next_due(start)
    assert due is not None
    assert settle.update({"a": ONE}, due) == [("a", ONE)]
