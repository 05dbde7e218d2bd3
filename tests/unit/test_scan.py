from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from coatcheck.errors import InboxFault
from coatcheck.files import fingerprint
from coatcheck.intake.scan import Limits, prune_empty, scan

LATER = 3600.0


def put(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_at_any_depth_are_listed_with_what_the_file_system_says(tmp_path: Path) -> None:
    one, two = put(tmp_path / "IM1", b"abc"), put(tmp_path / "a b" / "c" / "IM2.dcm", b"")
    listing = scan(tmp_path)
    assert listing.files == {"IM1": fingerprint(one.lstat()), "a b/c/IM2.dcm": fingerprint(two.lstat())}
    assert listing.files["IM1"].size == 3
    assert listing.root == (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    assert (listing.left_alone, listing.unreadable, listing.unseen, listing.cut_short) == (0, 0, frozenset(), False)


def test_names_that_are_not_utf_8_lead_back_to_their_files(tmp_path: Path) -> None:
    names = [b"\xff\xfe\x80", b"new\nline", b"M\xfcller", "\u2028 \U0001f40b".encode(), b"\x01\x1b[31m"]
    for name in names:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb"):
            pass
    assert {os.fsencode(path) for path in scan(tmp_path).files} == set(names)


def test_temporary_names_and_litter_are_counted_and_left_alone_with_what_is_in_them(tmp_path: Path) -> None:
    for name in ["IM1.part", ".hidden", "Thumbs.db", "@eaDir/IM1/t.jpg", "__MACOSX/a", ".staging/x", "new.tmp/IM2"]:
        put(tmp_path / name)
    put(tmp_path / "IM1")
    listing = scan(tmp_path)
    assert list(listing.files) == ["IM1"]
    assert listing.left_alone == 7


def test_links_pipes_and_sockets_are_odd_and_never_followed_or_opened(tmp_path: Path) -> None:
    secret = put(tmp_path / "outside" / "IM1")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "to_file").symlink_to(secret)
    (inbox / "to_folder").symlink_to(secret.parent)
    (inbox / "dangling").symlink_to("nowhere")
    (inbox / "loop").symlink_to(".")
    os.mkfifo(inbox / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(inbox / "socket"))
        listing = scan(inbox)
    assert set(listing.odd) == {"to_file", "to_folder", "dangling", "loop", "pipe", "socket"}
    assert listing.odd["to_file"] == fingerprint((inbox / "to_file").lstat())
    assert listing.files == {}


def test_an_inbox_that_is_a_link_itself_is_listed(tmp_path: Path) -> None:
    put(tmp_path / "real" / "IM1")
    (tmp_path / "inbox").symlink_to("real")
    assert list(scan(tmp_path / "inbox").files) == ["IM1"]


@pytest.mark.parametrize("kind", ["absent", "file", "dangling"])
def test_an_inbox_that_is_no_folder_is_a_fault_and_not_an_empty_inbox(tmp_path: Path, kind: str) -> None:
    inbox = tmp_path / "inbox"
    if kind == "file":
        put(inbox)
    if kind == "dangling":
        inbox.symlink_to("nowhere")
    with pytest.raises(InboxFault, match="inbox"):
        scan(inbox)
    with pytest.raises(InboxFault, match="inbox"):
        prune_empty(inbox, 0, time.time())


def test_a_folder_that_cannot_be_opened_is_named_unseen_and_the_rest_is_listed(tmp_path: Path) -> None:
    # A path of more than 4,095 bytes cannot be opened by anyone, root included.
    put(tmp_path / "IM1")
    fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(45):
        os.mkdir("d" * 100, dir_fd=fd)
        below = os.open("d" * 100, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    listing = scan(tmp_path)
    assert list(listing.files) == ["IM1"]
    assert listing.unreadable == 1
    assert len(listing.unseen) == 1
    assert prune_empty(tmp_path, 0, time.time() + LATER) == 0
    subprocess.run(["rm", "-rf", "d" * 100], cwd=tmp_path, check=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_without_permission_is_unseen(tmp_path: Path) -> None:
    put(tmp_path / "closed" / "IM1")
    (tmp_path / "closed").chmod(0)
    try:
        listing = scan(tmp_path)
    finally:
        (tmp_path / "closed").chmod(0o700)
    assert listing.unseen == {"closed"}


def test_a_very_deep_tree_is_listed_without_recursion(tmp_path: Path) -> None:
    depth = 1500
    subprocess.run(
        ["sh", "-c", f"i=0; while [ $i -lt {depth} ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; : > IM1"],
        cwd=tmp_path,
        check=True,
    )
    assert list(scan(tmp_path).files) == ["d/" * depth + "IM1"]
    subprocess.run(["rm", "-rf", "d"], cwd=tmp_path, check=True)


def test_a_listing_ends_at_its_limit_and_says_what_it_did_not_see(tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"s{number % 4}" / f"IM{number}")
    listing = scan(tmp_path, Limits(entries=10))
    assert listing.cut_short
    assert len(listing.files) == 6  # four of the ten were folders
    assert listing.unseen
    everything = set(scan(tmp_path).files)
    missing = everything - set(listing.files)
    assert all(path.split("/")[0] in listing.unseen for path in missing)


def test_listing_while_others_create_and_remove_raises_nothing(tmp_path: Path) -> None:
    put(tmp_path / "IM1")
    busy = subprocess.Popen(
        ["sh", "-c", "while :; do mkdir -p x/y && : > x/y/IM && rm -r x; ln -s / x; rm x; done"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
    )
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            listing = scan(tmp_path)
            assert set(listing.files) <= {"IM1", "x/y/IM"}
            assert "IM1" in listing.files
            prune_empty(tmp_path, 0, time.time())
    finally:
        busy.kill()
        busy.wait()


def test_the_same_inbox_gives_the_same_fingerprints_and_a_touch_changes_them(tmp_path: Path) -> None:
    path = put(tmp_path / "IM1")
    before = scan(tmp_path)
    assert scan(tmp_path).files == before.files
    os.utime(path, ns=(1, 1))
    assert scan(tmp_path).files["IM1"] != before.files["IM1"]


def test_ten_thousand_files_are_listed_in_little_time(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).mkdir()
        for file in range(2000):
            os.close(os.open(tmp_path / str(number) / f"IM{file}", os.O_CREAT | os.O_WRONLY))
    started = time.process_time()
    assert len(scan(tmp_path).files) == 10_000
    assert time.process_time() - started < 1.0  # far above what is measured, 0.05 s


def test_empty_folders_left_behind_are_removed_from_the_bottom_up(tmp_path: Path) -> None:
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "d").mkdir()
    put(tmp_path / "e" / "IM1")
    assert prune_empty(tmp_path, 60, time.time() + LATER) == 4
    assert sorted(os.listdir(tmp_path)) == ["e"]


def test_a_folder_just_made_stays_and_so_do_those_above_it(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    os.utime(tmp_path / "a" / "b", (0, 0))  # what a client says of the age does not count
    assert prune_empty(tmp_path, 60, time.time()) == 0
    assert (tmp_path / "a" / "b").is_dir()


def test_folders_with_litter_or_with_a_temporary_name_stay_and_so_does_the_inbox(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    put(inbox / "a" / "Thumbs.db")
    (inbox / ".staging").mkdir()
    (inbox / "new.part").mkdir()
    assert prune_empty(inbox, 0, time.time() + LATER) == 0
    shutil.rmtree(inbox)
    inbox.mkdir()
    assert prune_empty(inbox, 0, time.time() + LATER) == 0
    assert inbox.is_dir()


def test_links_to_empty_folders_are_not_followed_by_the_clean_up(tmp_path: Path) -> None:
    (tmp_path / "outside" / "empty").mkdir(parents=True)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "link").symlink_to(tmp_path / "outside")
    assert prune_empty(tmp_path / "inbox", 0, time.time() + LATER) == 0
    assert (tmp_path / "outside" / "empty").is_dir()


def test_a_fingerprint_that_is_known_and_equal_stays_one_object(tmp_path: Path) -> None:
    for name in ("same", "changed"):
        (tmp_path / name).write_bytes(b"1")
    before = scan(tmp_path).files
    (tmp_path / "changed").write_bytes(b"12")
    after = scan(tmp_path, known=before).files
    assert after["same"] is before["same"]
    assert after["changed"].size == 2
