"""What lies in an inbox, and what becomes of it in one pass of the real program."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck

LONGEST_NAME = "n" * 255
ODD_NAMES = {
    "a blank": b"a blank.dcm",
    "not UTF-8": b"\xff\xfe\x80.dcm",
    "a folder that is not UTF-8": b"\xc3\x28/\xa0\xa1",
    "a newline": b"one\ntwo.dcm",
    "an escape sequence": b"\x1b[31mred\x1b[0m",
    "255 bytes": LONGEST_NAME.encode(),
    "255 bytes of many-byte letters": ("ü" * 127 + "x").encode(),
    "a backslash": b"back\\slash.dcm",
    "a percent sign and braces": b"100%s{0}.dcm",
    "a leading dash": b"-rf",
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def test_files_that_were_there_before_the_start_come_out_of_any_folder_under_any_name(house: House) -> None:
    house.drop("CT.dcm", studies.instance(1, 1))
    house.drop("deep/deeper/IM0001", studies.instance(1, 2))
    house.drop("deep/no-extension", studies.instance(1, 3))
    house.drop("letter.pdf", studies.instance(1, 4))

    house.deliver()

    assert len(house.delivered()) == 4
    assert {Path(path).parts[1:] for path in house.kept()} == {
        ("CT.dcm",),
        ("deep", "deeper", "IM0001"),
        ("deep", "no-extension"),
        ("letter.pdf",),
    }
    assert not [path for path in house.inbox.rglob("*") if path.is_file()]


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_name_may_hold_any_bytes(tmp_path: Path, executor: str) -> None:
    house = House(tmp_path / "house", executor=executor)
    for number, name in enumerate(ODD_NAMES.values()):
        house.drop(name, studies.instance(1, number))
        house.drop(b"text/" + name, b"not DICOM at all, number %d" % number)

    said = house.deliver(expect=3)

    assert len(house.delivered()) == len(ODD_NAMES)
    assert {os.fsencode(path).split(b"/", 1)[1] for path in house.kept()} == set(ODD_NAMES.values())
    assert {os.fsencode(path) for path in house.set_aside()} == {
        b"not-dicom/unassigned/text/" + name for name in ODD_NAMES.values()
    }
    assert "\x1b" not in said
    assert "n" * 20 not in said
    assert coatcheck("--config", house.config, "status").returncode == 0
    assert coatcheck("--config", house.config, "quarantine", "list", "--json").returncode == 0


def test_temporary_names_and_litter_are_left_alone(house: House) -> None:
    names = [
        *(
            "a.part",
            "a.partial",
            "a.filepart",
            "a.TMP",
            "a.crdownload",
            ".hidden",
            "~$a.dcm",
            ".nfs0001",
            ".smbdelete1",
        ),
        *("Thumbs.db", "desktop.ini", ".DS_Store", "._a.dcm", "@eaDir/a.dcm", "__MACOSX/a.dcm", ".folder/a.dcm"),
    ]
    for number, name in enumerate(names):
        house.drop(name, studies.instance(1, number))
    house.drop("real", studies.instance(1, 100))

    house.deliver()

    assert len(house.delivered()) == 1
    assert not house.set_aside()
    left = {os.path.relpath(path, house.inbox) for path in house.inbox.rglob("*") if path.is_file()}
    assert left == set(names)


def test_dicom_is_known_by_its_content_with_and_without_preamble_and_meta(house: House) -> None:
    house.drop("with", studies.instance(1, 1))
    house.drop("without", studies.instance(1, 2, whole=False))

    house.deliver()

    delivered = list(house.delivered().values())
    assert len(delivered) == 2
    assert all(content[:132] == b"\0" * 128 + b"DICM" for content in delivered)
    assert {studies.read(content).file_meta.TransferSyntaxUID for content in delivered} == {
        "1.2.840.10008.1.2.1",
        "1.2.840.10008.1.2",
    }


def test_what_cannot_be_delivered_lies_in_quarantine_under_its_reason_with_a_note(house: House) -> None:
    whole = studies.instance(1, 1)
    broken = {
        "not-dicom": {"notes.txt": b"Dear colleague,\n", "empty": b"", "zeros": bytes(4096)},
        "truncated": {"cut/half.dcm": whole[: len(whole) - 20], "cut/header.dcm": whole[:400]},
        "missing-uid": {
            "no-study.dcm": studies.instance(2, 1, StudyInstanceUID=None),
            "no-series.dcm": studies.instance(2, 2, SeriesInstanceUID=None),
            "no-sop-class.dcm": studies.instance(2, 3, SOPClassUID=None),
        },
    }
    for files in broken.values():
        for name, content in files.items():
            house.drop(name, content)

    house.deliver(expect=3)

    assert not house.delivered()
    assert house.set_aside() == {
        f"{reason}/unassigned/{name}": content for reason, files in broken.items() for name, content in files.items()
    }
    for reason in broken:
        note = (house.quarantine / reason / "unassigned" / "REASON.txt").read_text()
        assert note.startswith(f"{reason}\n")
        assert "What to do: " in note
    assert dict(house.refusals()) == {reason: len(files) for reason, files in broken.items()}


def test_a_dicomdir_goes_to_the_originals_and_nobody_is_alarmed(house: House) -> None:
    content = studies.directory()
    house.drop("cd/DICOMDIR", content)
    house.drop("cd/IM1", studies.instance(1, 1))

    house.deliver(expect=0)

    assert len(house.delivered()) == 1
    assert not house.set_aside()
    assert [path for path, kept in house.kept().items() if kept == content] == ["dicomdir/cd/DICOMDIR"]
    assert not house.refusals()


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_links_pipes_and_sockets_are_set_aside_untouched_and_nothing_hangs(tmp_path: Path, executor: str) -> None:
    house = House(tmp_path / "house", executor=executor)
    target = tmp_path / "elsewhere.dcm"
    target.write_bytes(studies.instance(2, 1))
    before = target.stat()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/inside.dcm").write_bytes(studies.instance(3, 1))
    (house.inbox / "link.dcm").symlink_to(target)
    (house.inbox / "dangling").symlink_to(tmp_path / "nothing")
    (house.inbox / "folder-link").symlink_to(tmp_path / "folder")
    os.mkfifo(house.inbox / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(house.inbox / "sock"))
    house.drop("real", studies.instance(1, 1))

    house.deliver(expect=3)

    assert len(house.delivered()) == 1
    assert not os.listdir(house.inbox)
    aside = house.quarantine / "not-a-file" / "unassigned"
    assert set(os.listdir(aside)) == {"link.dcm", "dangling", "folder-link", "pipe", "sock", "REASON.txt"}
    assert (aside / "link.dcm").readlink() == target
    after = target.stat()
    assert (after.st_mtime_ns, after.st_ctime_ns, after.st_size) == (
        before.st_mtime_ns,
        before.st_ctime_ns,
        before.st_size,
    )
    assert (tmp_path / "folder/inside.dcm").exists()
    assert dict(house.refusals()) == {"not-a-file": 5}


def test_a_pass_leaves_and_names_files_that_are_still_changing(house: House) -> None:
    house.configure(file_settle="300ms")
    house.drop("whole", studies.instance(1, 1))
    growing, over = house.inbox / "growing", threading.Event()

    def grow() -> None:
        content = studies.instance(2, 1, side=600)
        with growing.open("wb") as out:
            for start in range(0, len(content), 1000):
                out.write(content[start : start + 1000])
                out.flush()
                if over.wait(0.05):
                    return

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        said = house.deliver(expect=0)
    finally:
        over.set()
        writer.join()

    assert "still changing" in said
    assert "growing" in said
    assert growing.exists()
    assert len(house.delivered()) == 1


def test_hard_links_into_the_inbox_are_delivered_and_the_other_name_stays(house: House, tmp_path: Path) -> None:
    other = tmp_path / "other.dcm"
    other.write_bytes(studies.instance(1, 1))
    os.link(other, house.inbox / "linked.dcm")

    house.deliver()

    assert len(house.delivered()) == 1
    assert other.read_bytes() == studies.instance(1, 1)


def test_a_folder_and_a_file_that_cannot_be_read_keep_nothing_else_from_being_delivered(house: House) -> None:
    house.bound_by_rights()
    house.drop("closed/a", studies.instance(1, 1))
    house.drop("b", studies.instance(2, 1))
    house.drop("secret", studies.instance(3, 1)).chmod(0)
    (house.inbox / "closed").chmod(0)
    try:
        said = house.deliver(expect=1)
    finally:
        (house.inbox / "closed").chmod(0o755)

    assert len(house.delivered()) == 1
    assert said.count("folders or files in it cannot be looked at") == 2  # in the log, and at the end
