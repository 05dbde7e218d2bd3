"""The story of one Study: every way to name it, every step in order, and no word of who it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def story(house: House, name: str) -> list[tuple[str, str]]:
    said: dict[str, Any] = json.loads(house.command("logs", name, "--json").stdout)
    [study] = said["studies"]
    assert [event["at"] for event in study["events"]] == sorted(event["at"] for event in study["events"])
    return [(event["what"], event["detail"]) for event in study["events"]]


def test_a_study_is_found_by_ticket_uid_and_folder_and_its_story_is_the_same(house: House) -> None:
    for number in (1, 2):
        house.drop(f"disc/{number}", studies.instance(1, number))
        house.deliver()
    [(ticket, uid)] = house.rows("SELECT ticket, study_uid FROM studies")
    [subject] = [one for one in house.outbox.iterdir() if not one.name.startswith(".")]

    told = story(house, ticket)

    assert [what for what, _ in told] == ["opened", "staged", "released", "originals away"] * 2
    assert told[6] == ("released", f"outbox/{subject.name}/{uid}.2")
    names = (ticket.lower(), uid, f"{uid}.2", f"{subject.name}/{uid}", f"{house.outbox}/{subject.name}/{uid}.2/")
    for name in names:
        assert story(house, name) == told, name
    assert house.command("logs", subject.name).returncode == 1
    assert house.command("logs", studies.study_uid(1)).returncode == 1, (
        "an original UID is nothing that the ledger knows"
    )


def test_many_files_set_aside_at_once_are_one_step_and_their_return_is_told(house: House) -> None:
    for number in (1, 2):
        house.drop(f"Doe^Jane/{number}", studies.instance(1, number, patient=f"P-{number}"))
    house.deliver(expect=3)
    [(ticket,)] = house.rows("SELECT ticket FROM studies")
    assert house.command("quarantine", "retry", "--project", "lung", "--all").returncode == 0

    told = story(house, ticket)
    text = house.command("logs", ticket).stdout

    assert [what for what, _ in told] == ["opened", "refused", "set aside", "in quarantine", "retried"]
    assert told[2][1] == "2 files as patient-mismatch (0010,0020)"
    assert "Doe" not in text
    assert "P-1" not in text
