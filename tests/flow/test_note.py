"""The note beside the inbox, as the service keeps it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, wait_until
from tests.flow.test_archives import zipped


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", note="beside")


def text(house: House) -> str:
    path = house.inbox.parent / "coatcheck-lung.txt"
    return path.read_text() if path.exists() else ""


def test_it_tells_what_left_and_what_did_not_by_the_names_that_were_dropped(house: House) -> None:
    house.drop("disc 1/deep/Meier.dcm", studies.instance(1, 1))
    house.drop("from Leeds.zip", zipped({"a/1": studies.instance(2, 1), "a/letter": b"text"}))
    house.drop("bad", b"text")
    house.drop("disc 1/Thumbs.db", b"litter")

    said = house.deliver(expect=3)

    note = text(house)
    refused, _, delivered = note.partition("Delivered")
    assert "disc 1  (1 file)" in delivered
    assert "from Leeds.zip  (1 file)" in delivered
    assert "bad  (1 file)" in refused
    assert "from Leeds.zip  (1 file)" in refused
    assert "What to do: Nothing to do if a viewer, a text or the like came along" in note
    assert "1 file in the inbox is not taken" in note
    for secret in ("Meier", "deep", "letter", "Vandermeulen", "PAT-0815", "1.2.826"):
        assert secret not in note + said
    assert "<td>disc 1</td>" in (house.inbox.parent / "coatcheck-lung.html").read_text()

    (house.inbox.parent / "coatcheck-lung.txt").unlink()
    retried = house.command("quarantine", "drop", "--project", "lung", "--reason", "not-dicom", "--yes")
    assert retried.returncode == 0, retried.stderr
    house.once()
    assert "disc 1  (1 file)" in text(house)  # of another run
    assert "not-dicom" not in text(house)


def test_nobody_waits_for_a_note_though_there_is_much_to_tell(house: House) -> None:
    for number in range(100):
        house.drop(f"bad/{number}", b"text %d" % number)
    house.deliver(expect=3)
    assert "bad  (100 files)" in text(house)

    began = time.monotonic()
    house.deliver()
    assert time.monotonic() - began < 5  # twenty pauses would make it 10


def test_it_tells_until_when_what_is_gathered_waits(house: House) -> None:
    house.configure(study_settle="50s")
    house.drop("disc 7/1", studies.instance(1, 1))
    house.drop("disc 7/2", studies.instance(1, 2))
    with house.service():
        wait_until(lambda: "disc 7  (2 files)  waits for more until 20" in text(house), "the note tells")


def test_without_a_wish_there_is_no_note_and_none_may_lie_in_the_inbox(house: House) -> None:
    house.configure(note=False)
    house.drop("disc/1", studies.instance(1, 1))
    house.deliver()
    assert not text(house)
    house.configure(note=house.inbox / "notes")
    assert "lies inside projects.lung.inbox" in house.command("check").stdout
