"""Whose turn it is: shares are counted in files, and nobody who wants little waits for one who wants much."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.turns import Batch, Turns


def batch(project: Hashable, errand: Hashable, files: int) -> Batch:
    items = tuple(range(files))
    return Batch(
        function=lambda context, items: [], context=None, items=items, done=print, failed=print, turn=(project, errand)
    )


def order(turns: Turns) -> list[Hashable]:
    taken = []
    while turns:
        taken.append(turns.popleft().turn[1])
    return taken


def test_a_study_whose_steps_are_small_is_done_before_the_second_batch_of_a_large_one() -> None:
    turns = Turns()
    for _ in range(5):
        turns.append(batch("lung", "large", 64))
    turns.append(batch("lung", "small", 2))
    assert turns.popleft().turn[1] == "large"
    for step in (2, 1, 2):  # transformed, sealed, disposed of: each is handed in when the one before has ended
        assert turns.popleft().turn[1] == "small"
        turns.append(batch("lung", "small", step))
    assert turns.popleft().turn[1] == "small"
    assert order(turns) == ["large"] * 4


def test_who_comes_later_begins_where_the_others_are_and_saves_up_no_turns() -> None:
    turns = Turns()
    for _ in range(10):
        turns.append(batch("lung", "early", 10))
    for _ in range(5):
        turns.popleft()
    for _ in range(5):
        turns.append(batch("lung", "late", 10))
    assert order(turns)[:4] == ["late", "early", "late", "early"]


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
        found.setdefault(one.turn, []).append(len(one.items))
    assert found == expected
