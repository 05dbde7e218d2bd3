"""Whose turn it is: projects share in files, and who has the least left goes before one who has much."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.turns import Batch, Turn, Turns


def batch(project: Hashable, errand: Hashable, files: int, left: int = 0) -> Batch:
    turn = Turn(project, errand, left or files)
    items = tuple(range(files))
    return Batch(function=lambda context, items: [], context=None, items=items, done=print, failed=print, turn=turn)


def order(turns: Turns) -> list[Hashable]:
    taken = []
    while turns:
        taken.append(turns.popleft().turn.errand)
    return taken


def test_a_study_whose_steps_are_small_is_done_before_the_second_batch_of_a_large_one() -> None:
    turns = Turns()
    for left in (320, 256, 192, 128, 64):
        turns.append(batch("lung", "large", 64, left))
    assert turns.popleft().turn.errand == "large"
    turns.append(batch("lung", "small", 2))
    for step in (2, 1, 2):  # transformed, sealed, disposed of: each is handed in when the one before has ended
        assert turns.popleft().turn.errand == "small"
        turns.append(batch("lung", "small", step))
    assert turns.popleft().turn.errand == "small"
    assert order(turns) == ["large"] * 4


def test_of_equal_studies_the_one_that_is_begun_is_finished() -> None:
    turns = Turns()
    for errand in ("first", "second", "third"):
        for left in (128, 64):
            turns.append(batch("lung", errand, 64, left))
    assert order(turns) == ["first", "first", "second", "second", "third", "third"]


def test_a_large_study_comes_to_its_end_however_many_small_ones_come() -> None:
    turns, taken = Turns(), list[Hashable]()
    for left in (192, 128, 64):
        turns.append(batch("lung", "large", 64, left))
    for number in range(45):
        turns.append(batch("lung", number, 32))
        taken.append(turns.popleft().turn.errand)
    assert [place for place, errand in enumerate(taken) if errand == "large"] == [14, 29, 44]


def test_who_comes_later_begins_where_the_others_are_and_saves_up_no_turns() -> None:
    turns = Turns()
    for _ in range(10):
        turns.append(batch("early", "study", 10))
    for _ in range(5):
        turns.popleft()
    for _ in range(5):
        turns.append(batch("late", "study", 10))
    assert [turns.popleft().turn.project for _ in range(4)] == ["late", "early", "late", "early"]


def test_projects_have_equal_shares_of_files_not_of_batches() -> None:
    turns = Turns()
    for _ in range(4):
        turns.append(batch("a", "a", 100))
    for _ in range(16):
        turns.append(batch("b", "b", 25))
    first = order(turns)[:5]
    assert (first.count("a"), first.count("b")) == (1, 4)


def test_a_project_that_stands_still_gets_its_turns_afterwards() -> None:
    turns = Turns()
    turns.append(batch("a", "a", 1))
    turns.append(batch("b", "b", 1))
    turns.stand_still("a")
    turns.append(batch("a", "a", 1))
    assert (turns.next(), turns.stands_still("a")) == ("b", True)
    assert order(turns) == ["b"]
    turns.go_on("a")
    assert order(turns) == ["a", "a"]


sizes = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(1, 100)), max_size=40)


@given(sizes)
def test_every_batch_gets_its_turn_and_those_of_an_errand_in_their_order(handed: list[tuple[str, str, int]]) -> None:
    turns, expected = Turns(), dict[Hashable, list[int]]()
    for project, errand, files in handed:
        turns.append(batch(project, errand, files))
        expected.setdefault((project, errand), []).append(files)
    found = dict[Hashable, list[int]]()
    while turns:
        one = turns.popleft()
        found.setdefault(one.turn[:2], []).append(len(one.items))
    assert found == expected
