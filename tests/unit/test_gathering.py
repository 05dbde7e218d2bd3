"""Instances wait for their Study in little room, and nothing of what identifies a patient is lost meanwhile."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck import gathering, stack
from coatcheck.assembly import Assembly
from coatcheck.gathering import Gathering
from coatcheck.model import Arrival, Fingerprint, Identity, Instance

STUDIES = ("1.1", "1.2", "1.3")
IDENTITIES = [frozenset(Identity("name", f"N{number}") for number in range(few)) for few in range(5)]
FOUND = st.frozensets(st.builds(Identity, st.just("uid"), st.sampled_from("abcdefgh")), max_size=4)
CAME = st.tuples(st.integers(0, 30), st.sampled_from(STUDIES), FOUND, st.sampled_from(IDENTITIES))


def instance(number: int, study_uid: str, own: frozenset[Identity], common: frozenset[Identity]) -> Instance:
    return Instance(
        arrival=Arrival(project="lung", path=f"IM{number}", fingerprint=Fingerprint(1, number, 3, 4, 5)),
        study_uid=study_uid,
        series_uid=f"{study_uid}.1",
        sop_uid=f"{study_uid}.1.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
        patient_id="P",
        own=own,
        common=common,
    )


@pytest.mark.parametrize(("loose", "most"), [(1, 10_000), (1, 8), (7, 6), (30_000, 6), (30_000, 10_000)])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(came=st.lists(CAME, min_size=1, max_size=60), few=st.integers(1, 9))
def test_what_comes_out_is_what_came_in_however_it_waited(
    monkeypatch: pytest.MonkeyPatch,
    loose: int,
    most: int,
    came: list[tuple[int, str, frozenset[Identity], frozenset[Identity]]],
    few: int,
) -> None:
    monkeypatch.setattr(gathering, "_LOOSE", loose)
    monkeypatch.setattr(stack, "_FEW", few)
    monkeypatch.setattr(gathering, "MOST", most)
    waiting = Gathering(held := Assembly(60, 3600))
    last: dict[str, Instance] = {}
    known: dict[str, set[Identity]] = {}
    for number, study_uid, own, common in came:
        one = instance(number, study_uid, own, common)
        waiting.add(one.arrival, one, 0)
        last[one.arrival.path] = one
        known.setdefault(study_uid, set()).update(own, common)
        known = {uid: found for uid, found in known.items() if uid in {one.study_uid for one in last.values()}}
    held.complete_all()
    out = list(waiting.due(0, lambda uid, instances: True))
    bare = {path: replace(one, own=frozenset(), common=frozenset()) for path, one in last.items()}
    assert {one.arrival.path: one for study, _ in out for one in study.instances} == bare
    assert held.arriving(0) == []
    assert waiting._known == {}
    for study, identity in out:
        assert identity <= known[study.study_uid]
        assert identity == known[study.study_uid] or len(identity) > most


def test_a_study_that_is_worked_on_comes_out_later_with_all_that_identifies_its_patient() -> None:
    waiting = Gathering(held := Assembly(60, 3600))
    one = instance(1, "1.1", IDENTITIES[1], IDENTITIES[3])
    waiting.add(one.arrival, one, 0)
    assert list(waiting.due(60, lambda uid, instances: uid != "1.1")) == []
    assert held.next_due() == 60
    [(study, identity)] = waiting.due(60, lambda uid, instances: True)
    assert (study.instances[0].arrival, identity) == (one.arrival, one.identity)


def test_a_study_for_which_there_is_no_room_waits_and_lets_others_go_before_it() -> None:
    held = Assembly(60, 3600)
    for number in range(3):
        held.add(instance(number, "1.1", frozenset(), frozenset()), 0)
    held.add(instance(3, "1.2", frozenset(), frozenset()), 1)
    assert [held.take(uid).study_uid for uid in held.due(100, lambda uid, instances: instances < 3)] == ["1.2"]
    assert held.next_due() == 60
    assert [held.take(uid).study_uid for uid in held.due(100)] == ["1.1"]


@pytest.mark.parametrize("fails_at", [3, 4])  # what identifies the second patient; the second Study's Instances
def test_a_study_that_memory_does_not_suffice_for_stays_with_those_behind_it(
    monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    monkeypatch.setattr(stack, "_FEW", 1)
    waiting = Gathering(held := Assembly(60, 3600))
    for number, uid in enumerate(STUDIES):
        one = instance(number, uid, IDENTITIES[2], IDENTITIES[3])
        waiting.add(one.arrival, one, number)
    waiting._pack()
    unpacked = count(1)

    def loads(data: bytes) -> object:
        if next(unpacked) == fails_at:
            raise MemoryError
        return pickle.loads(data)

    out = waiting.due(100, lambda uid, instances: True)
    with monkeypatch.context() as short, pytest.raises(MemoryError):
        short.setattr(stack, "pickle", SimpleNamespace(loads=loads))
        assert next(out)[0].study_uid == STUDIES[0]
        next(out)
    assert [one.study_uid for one in held.arriving(100)] == list(STUDIES[1:])
    rest = {study.study_uid: identity for study, identity in waiting.due(100, lambda uid, instances: True)}
    assert rest == dict.fromkeys(STUDIES[1:], IDENTITIES[2] | IDENTITIES[3])
