"""The note for those who drop: what stands in it, and what can never."""

from __future__ import annotations

import os
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.note import Note, Row, page, plain, shown, write
from coatcheck.reasons import EXPLANATIONS, Reason, for_people_who_drop

AT = "2026-11-22 10:00 UTC"
FULL = Note(
    project="lung",
    waiting=(Row(name="disc 4", files=120, when="waits for more until 2026-11-22 10:01 UTC"),),
    delivered=(Row(name="disc 2", files=1, when="2026-11-22 09:58 UTC"),),
    refused=(Row(name="disc 3", files=3, when="2026-11-22 09:59 UTC", reason=Reason.PIXEL_RISK),),
    left_alone=2,
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.names.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    return tags


@pytest.mark.parametrize("text", [plain(FULL, AT), parsed(page(FULL, AT)).text])
def test_the_note_says_what_waits_what_left_and_what_to_do_about_the_rest(text: str) -> None:
    for said in ("disc 4", "120 files", "until 2026-11-22 10:01 UTC", "disc 2", "1 file", "disc 3", "3 files", AT):
        assert said in text
    assert "pixel-risk" in text
    assert EXPLANATIONS[Reason.PIXEL_RISK].what in text
    assert for_people_who_drop(Reason.PIXEL_RISK) in text
    assert "2 files in the inbox are not taken" in text


@pytest.mark.parametrize("reason", list(Reason))
def test_what_to_do_takes_no_more_than_a_share(reason: Reason) -> None:
    said = for_people_who_drop(reason)
    assert "`" not in said  # neither a command nor a setting
    assert "quarantine" not in said and not said.startswith("Retry")


@given(st.text(st.characters(codec=None)))
def test_no_name_gets_out_of_its_line_or_its_cell(name: str) -> None:
    name = name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")
    note = Note(project="p", waiting=(Row(name=name, files=1, when="now"),), delivered=(), refused=())
    harmless = Note(project="p", waiting=(Row(name="x", files=1, when="now"),), delivered=(), refused=())
    assert parsed(page(note, AT)).names == parsed(page(harmless, AT)).names
    assert len(plain(note, AT).splitlines()) == len(plain(harmless, AT).splitlines())
    assert shown(name) in parsed(page(note, AT)).text


def test_a_note_has_an_end_however_much_there_is_to_say() -> None:
    rows = tuple(Row(name=f"{number:05}" * 50, files=1, when="now", reason=Reason.FAILED) for number in range(9999))
    note = Note(project="p", waiting=rows, delivered=rows, refused=rows)
    assert "and 9949 more" in plain(note, AT)
    assert len(page(note, AT)) < 50_000


def test_it_is_written_by_a_rename_and_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "outside").write_text("mine")
    for name in ("n.txt", ".n.txt.tmp"):
        (tmp_path / "folder" / name).symlink_to(tmp_path / "outside")
    write(tmp_path / "folder", [("n.txt", "first")])
    write(tmp_path / "folder", [("n.txt", "second")])
    assert os.listdir(tmp_path / "folder") == ["n.txt"]
    assert (tmp_path / "folder/n.txt").read_text() == "second"
    assert (tmp_path / "outside").read_text() == "mine"
