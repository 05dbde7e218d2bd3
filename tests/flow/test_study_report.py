"""The de-identification report on a Study: complete, and without anything that names anybody."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House
from tests.tools.inside import Done, inside

PLANTED = ("Zwetschke", "Philomena", "PAT-0815", "Knee of somebody", "19300214")
PROFILE = """\
title: Mine <b>& yours</b>
extends: research
rules:
  - {at: StationName, do: keep, because: the physicist asked for it}
  - {at: SeriesDescription, do: remove, when: {PatientID: PAT-0815}}
  - {at: RequestAttributesSequence > RequestedProcedureID, do: remove}
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("report") / "house")
    (house.root / "mine.yaml").write_text(PROFILE)
    house.configure(profile="./mine.yaml")
    values: dict[str, Any] = {
        "PatientName": "Zwetschke^Philomena",
        "PatientBirthDate": "19300214",
        "StationName": "CT7",
    }
    house.drop("a", studies.instance(1, 1, StudyDescription="Knee of somebody", SeriesDescription="axial", **values))
    house.drop("b", studies.instance(1, 2, **values))
    house.deliver()
    return house


def ticket(house: House) -> str:
    (found,) = (path.name for path in (house.root / "lung" / "archive").iterdir())
    return found


def asked(house: House, *arguments: str) -> Done:
    return inside("--config", house.root / "coatcheck.yaml", "report", *arguments)


def told(house: House, *arguments: str) -> str:
    code, out, err = asked(house, *arguments)
    assert code == 0, err
    return out


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))


@pytest.mark.parametrize("form", ["text", "html", "json"])
def test_no_form_of_it_has_a_value_of_the_study(house: House, form: str) -> None:
    said = told(house, ticket(house), "--format", form)

    assert "StudyDescription" in said and "113108" in said
    assert not [value for value in (*PLANTED, "CT7") if value in said]


def test_the_page_stands_alone_and_escapes_what_people_wrote(house: House, tmp_path: Path) -> None:
    told(house, ticket(house), "--output", str(tmp_path / "report.html"))
    text = (tmp_path / "report.html").read_text()
    page = Page(text)

    assert {"script", "link", "img", "iframe", "form"}.isdisjoint(name for name, _ in page.elements)
    assert not [
        key for _, attributes in page.elements for key in attributes if key in ("src", "href") or key[:2] == "on"
    ]
    assert "Mine &lt;b&gt;&amp; yours&lt;/b&gt;" in text
    assert "size: A4" in text and "default-src 'none'" in text and "url(" not in text


def test_it_tells_what_was_done_to_each_attribute_and_why(house: House) -> None:
    report = json.loads(told(house, ticket(house), "--format", "json"))
    (work,) = report["profiles"]
    attributes = {one["name"]: one for one in work["attributes"]}

    assert work["at_hand"] and work["edition"] == "2026d" and len(work["digest"]) == 16
    assert {one["code"] for one in work["methods"]} == {"113100", "113105", "113107", "113108", "113111"}
    assert attributes["StudyDescription"]["outcome"] == "cleaned"
    assert attributes["PatientBirthDate"]["outcome"] == "emptied"
    assert attributes["StudyDate"]["outcome"] == "dates moved"
    assert attributes["PatientID"]["outcome"] == "replaced by a pseudonym"
    assert attributes["StationName"]["rule"] == "mine.yaml:4: keep (the physicist asked for it)"
    assert attributes["SeriesDescription"]["conditional"] == ["mine.yaml:5: remove, under a condition"]
    assert "mine.yaml:6: remove" in [one["rule"] for one in work["further_rules"]]
    (delivery,) = report["study"]["deliveries"]
    assert (delivery["instances"], delivery["refused"]) == (2, 0)
    assert report["study"]["sop_classes"][0]["instances"] == 2


def test_it_names_the_risks_that_remain(house: House) -> None:
    risks = " ".join(json.loads(told(house, ticket(house), "--format", "json"))["residual_risks"])

    for word in ("burned into", "a head", "Free text stays", "Private attributes of PS3.15", "moved by one number"):
        assert word in risks
    assert "StudyDescription" in risks


def test_a_study_is_found_by_its_new_uid_and_nothing_else(house: House) -> None:
    ds = studies.read(next(iter(house.delivered().values())))

    assert ticket(house) in told(house, ds.StudyInstanceUID)
    assert ticket(house) in told(house, ticket(house).lower(), "--project", "lung")
    for other in ("7F3K9Q2MXA", studies.study_uid(1), "PAT-0815", "' OR 1=1 --"):
        code, _, said = asked(house, other)
        assert code == 1
        assert "no such study" in said and other not in said


def test_a_profile_that_was_changed_since_is_not_asked(house: House, tmp_path: Path) -> None:
    old = tmp_path / "then" / "mine.yaml"
    old.parent.mkdir()
    old.write_text(PROFILE)
    mine = house.root / "mine.yaml"
    mine.write_text(PROFILE.replace("do: keep", "do: remove"))
    try:
        changed = json.loads(told(house, ticket(house), "--format", "json"))
        text = told(house, ticket(house))
        named = json.loads(told(house, ticket(house), "--format", "json", "--profile", str(old)))
    finally:
        mine.write_text(PROFILE)

    assert changed["profiles"][0]["attributes"] is None and not changed["profiles"][0]["at_hand"]
    assert "No profile with this digest is at hand" in re.sub(r"\s+", " ", text)
    assert any("not at hand" in one for one in changed["residual_risks"])
    assert named["profiles"][0]["at_hand"]


def test_a_file_that_cannot_be_written_is_an_error(house: House, tmp_path: Path) -> None:
    code, _, said = asked(house, ticket(house), "--output", str(tmp_path / "nowhere" / "report.html"))

    assert code == 1 and "cannot be written" in said
