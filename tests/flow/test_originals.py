"""What becomes of originals: each is kept, deleted or set aside exactly once, and nothing is written over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def test_originals_are_archived_under_their_ticket_as_they_were_dropped(house: House) -> None:
    content = studies.instance(1, 1)
    house.drop("disc 1/a/b.dcm", content)

    house.deliver()

    [(ticket,)] = house.rows("SELECT ticket FROM studies")
    assert house.kept() == {f"{ticket}/disc 1/a/b.dcm": content}


def test_originals_are_deleted_where_the_project_says_so_and_refused_ones_are_not(house: House) -> None:
    house.configure(originals="delete")
    house.drop("a", studies.instance(1, 1))
    house.drop("a again", studies.instance(1, 1))
    house.drop("bad", b"text")

    house.deliver(expect=3)

    assert not tree(house.inbox)
    assert not house.kept()
    assert len(house.delivered()) == 1
    assert house.set_aside() == {"not-dicom/unassigned/bad": b"text"}


def test_an_archive_and_a_quarantine_on_another_file_system_work(house: House, elsewhere: Path) -> None:
    (elsewhere / "archive").mkdir()
    (elsewhere / "quarantine").mkdir()
    house.configure(archive=elsewhere / "archive", quarantine=elsewhere / "quarantine")
    content = studies.instance(1, 1, side=512)
    source = house.drop("folder/a", content)
    source.chmod(0o640)
    modified = source.stat().st_mtime_ns
    house.drop("text", b"text")

    house.deliver(expect=3)

    [(path, kept)] = tree(elsewhere / "archive").items()
    assert kept == content
    assert path.endswith("/folder/a")
    assert (elsewhere / "archive" / path).stat().st_mtime_ns == modified
    assert (elsewhere / "archive" / path).stat().st_mode & 0o777 == 0o640
    assert tree(elsewhere / "quarantine")["not-dicom/unassigned/text"] == b"text"
    assert not tree(house.inbox)


def test_links_and_pipes_go_to_a_quarantine_on_another_file_system_and_hold_nothing_up(
    house: House, elsewhere: Path, tmp_path: Path
) -> None:
    import os

    house.configure(quarantine=elsewhere)
    os.mkfifo(house.inbox / "pipe")
    (house.inbox / "link").symlink_to(tmp_path / "target")
    house.drop("real", studies.instance(1, 1))

    house.deliver(expect=3)

    assert len(house.delivered()) == 1
    assert not list(house.inbox.iterdir())
    assert not house.unfinished()


def test_names_that_are_taken_in_the_archive_keep_both(house: House) -> None:
    first, second = studies.instance(1, 1), studies.instance(1, 2)
    house.drop("same", first)
    house.deliver()
    house.drop("same", second)
    house.deliver()

    assert sorted(house.kept().values()) == sorted([first, second])


def test_a_folder_where_the_archive_has_a_file_keeps_both(house: House) -> None:
    first, second, third = (studies.instance(1, number) for number in (1, 2, 3))
    house.drop("name", first)
    house.deliver()
    (house.inbox / "name").unlink(missing_ok=True)
    house.drop("name/name", second)
    house.deliver()
    shutil.rmtree(house.inbox / "name")
    house.drop("name", third)
    house.deliver()

    assert sorted(house.kept().values()) == sorted([first, second, third])
    assert len(house.delivered()) == 3
    assert not tree(house.inbox)


@pytest.mark.parametrize("name", ["REASON.txt", "REASON.txt/inside"])
def test_a_dropped_file_called_like_the_note_is_kept_beside_the_note(house: House, name: str) -> None:
    house.drop(name, b"just text")

    house.deliver(expect=3)

    aside = tree(house.quarantine)
    assert b"just text" in aside.values()
    assert aside["not-dicom/unassigned/REASON.txt"].startswith(b"not-dicom\n")
    assert not tree(house.inbox)


def test_refused_files_of_one_name_are_both_kept(house: House) -> None:
    for content in (b"first text", b"second text"):
        house.drop("notes.txt", content)
        house.deliver(expect=3)

    assert sorted(house.set_aside().values()) == [b"first text", b"second text"]
    assert dict(house.refusals()) == {"not-dicom": 2}


def test_a_missing_archive_is_a_fault_and_the_original_stays_until_it_is_mended(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.archive.rmdir()
    with house.service():
        house.wait_for_line(lambda line: line["fault"], "the fault is shown")
        assert len(tree(house.inbox)) == 1
        house.archive.mkdir()
        house.wait_until_done(studies=1)
        house.wait_for_line(lambda line: not line["fault"], "the fault is over")
    assert len(house.kept()) == 1
    assert len(house.delivered()) == 1


def test_a_pass_ends_with_1_when_originals_cannot_be_put_away(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.archive.rmdir()
    house.archive.write_text("a file is no folder")

    done = house.once()

    assert done.returncode == 1
    assert "originals cannot be put away now" in done.stderr
    assert len(tree(house.inbox)) == 1


def test_an_original_that_was_overwritten_after_its_delivery_began_is_not_removed(house: House) -> None:
    # The archive cannot be used, so the delivery stands between its release and the end of its originals.
    first, second = studies.instance(1, 1), studies.instance(1, 2)
    house.drop("a", first)
    house.archive.rmdir()
    house.archive.write_text("a file is no folder")
    with house.service():
        wait_until(lambda: house.folders() and house.line()["fault"], "the Study is out, its original is not put away")
        house.drop("a", second)
        house.archive.unlink()
        house.archive.mkdir()
        house.wait_until_done(studies=2, seconds=60)
    assert list(house.kept().values()) == [second]
    assert len(house.delivered()) == 2


def test_empty_folders_of_the_inbox_do_no_harm(house: House) -> None:
    (house.inbox / "empty/deeper").mkdir(parents=True)
    house.drop("full/a", studies.instance(1, 1))

    house.deliver()

    assert len(house.delivered()) == 1
