from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.assembly import Assembly
from coatcheck.model import Arrival, Fingerprint, Instance, Study


def instance(path: str, study_uid: str = "1.2.3") -> Instance:
    return Instance(
        arrival=Arrival(project="lung", path=path, fingerprint=Fingerprint(1, 2, 3, 4, 5)),
        study_uid=study_uid,
        series_uid="1.2.3.1",
        sop_uid="1.2.3.1.1",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        patient_id="",
        own=frozenset(),
    )


def taken(assembly: Assembly, now: float) -> list[Study]:
    """All that is due, handed out."""
    return [assembly.take(uid) for uid in assembly.due(now)]


def test_a_study_is_due_when_no_instance_came_for_the_settle_time() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("b"), 0)
    assembly.add(instance("a"), 30)
    assert assembly.next_due() == 90
    assert taken(assembly, 89.9) == []
    (study,) = taken(assembly, 90)
    assert study.project == "lung"
    assert study.study_uid == "1.2.3"
    assert [one.arrival.path for one in study.instances] == ["a", "b"]
    assembly.complete_all()
    assert taken(assembly, 1000) == []
    assert assembly.next_due() is None


def test_a_study_that_never_ends_is_due_after_the_longest_wait() -> None:
    assembly = Assembly(60, 300)
    for second in range(0, 300, 10):
        assembly.add(instance(f"IM{second}"), second)
        assert taken(assembly, second) == []
    assert assembly.next_due() == 300
    assert len(taken(assembly, 300)[0].instances) == 30


def test_two_studies_that_arrive_interleaved_stay_two() -> None:
    assembly = Assembly(60, 3600)
    for number in range(10):
        assembly.add(instance(f"IM{number}", f"1.{number % 2}"), number)
    assert {study.study_uid: len(study.instances) for study in taken(assembly, 200)} == {"1.0": 5, "1.1": 5}


def test_the_study_that_was_due_first_comes_first() -> None:
    assembly = Assembly(60, 3600)
    for second, study_uid in enumerate(["1.3", "1.1", "1.2"]):
        assembly.add(instance(study_uid, study_uid), second)
    assembly.add(instance("late", "1.3"), 9)
    assert [study.study_uid for study in taken(assembly, 500)] == ["1.1", "1.2", "1.3"]


def test_instances_that_come_after_the_release_are_a_study_of_their_own() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a"), 0)
    (first,) = taken(assembly, 60)
    assembly.add(instance("b"), 61)
    assert taken(assembly, 120.9) == []
    (second,) = taken(assembly, 121)
    assert [one.arrival.path for one in first.instances] == ["a"]
    assert [one.arrival.path for one in second.instances] == ["b"]


def test_what_is_complete_is_due_at_once() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a"), 0)
    assembly.complete_all()
    assert len(taken(assembly, 0)) == 1


def test_instances_are_in_the_order_of_the_bytes_of_their_paths() -> None:
    paths = ["z", "\udcff", "\U0001f40b", "\ue000", "a/b", "a"]
    assembly = Assembly(0, 3600)
    for path in paths:
        assembly.add(instance(path), 0)
    (study,) = taken(assembly, 0)
    in_order = [one.arrival.path for one in study.instances]
    assert in_order == sorted(paths, key=os.fsencode)
    assert in_order != sorted(paths)


def test_a_discarded_instance_leaves_and_an_empty_study_disappears() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a"), 0)
    assembly.add(instance("b"), 0)
    assembly.add(instance("c", "1.9"), 0)
    for path in ["a", "c", "unknown", "a"]:
        assembly.discard(path)
    (study,) = taken(assembly, 60)
    assert [one.arrival.path for one in study.instances] == ["b"]


def test_a_file_that_came_again_with_another_study_is_in_that_one_only() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a", "1.1"), 0)
    assembly.add(instance("a", "1.2"), 10)
    assembly.add(instance("a", "1.2"), 20)
    (study,) = taken(assembly, 80)
    assert study.study_uid == "1.2"
    assert len(study.instances) == 1


def test_status_sees_how_many_instances_arrived_and_when_they_are_due() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a"), 0)
    assembly.add(instance("b"), 10)
    assert assembly.arriving(20) == [("1.2.3", 2, 50)]
    assert assembly.arriving(500) == [("1.2.3", 2, 0)]


STEP = st.tuples(
    st.sampled_from(["add", "add", "add", "discard", "due"]),
    st.integers(0, 30),
    st.sampled_from(["1.1", "1.2", "1.3"]),
    st.integers(0, 40),
)


@given(st.lists(STEP, max_size=60), st.integers(1, 50), st.integers(1, 120))
def test_each_instance_comes_out_once_in_its_own_study_and_never_early(
    steps: list[tuple[str, int, str, int]], settle: int, longest: int
) -> None:
    assembly = Assembly(settle, longest)
    held: dict[str, tuple[str, int]] = {}
    first: dict[str, int] = {}
    now, number = 0, 0
    for verb, pick, study_uid, seconds in steps:
        now += seconds
        if verb == "add":
            path, number = f"IM{number}", number + 1
            assembly.add(instance(path, study_uid), now)
            if study_uid not in {uid for uid, _ in held.values()}:
                first[study_uid] = now
            held[path] = (study_uid, now)
        elif verb == "discard":
            assembly.discard(f"IM{pick}")
            held.pop(f"IM{pick}", None)
        else:
            for study in taken(assembly, now):
                paths = {one.arrival.path for one in study.instances}
                assert len(paths) == len(study.instances) > 0
                assert paths == {path for path, (uid, _) in held.items() if uid == study.study_uid}
                last = max(held[path][1] for path in paths)
                assert now >= last + settle or now >= first[study.study_uid] + longest
                for path in paths:
                    del held[path]
    assembly.complete_all()
    rest = {one.arrival.path: study.study_uid for study in taken(assembly, now) for one in study.instances}
    assert rest == {path: uid for path, (uid, _) in held.items()}
    assert assembly.arriving(now) == []


def test_a_path_that_was_handed_out_is_not_held_any_more() -> None:
    assembly = Assembly(60, 3600)
    assembly.add(instance("a", "1.1"), 0)
    taken(assembly, 60)
    assembly.add(instance("b", "1.1"), 61)
    assembly.discard("a")
    assembly.add(instance("a", "1.2"), 62)
    assert {study.study_uid: len(study.instances) for study in taken(assembly, 200)} == {"1.1": 1, "1.2": 1}
