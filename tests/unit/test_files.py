"""Files of other people are opened so that nothing can be swapped underneath, and copied whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from coatcheck.files import copy_span, fingerprint, make_durable, open_folder, open_original, sync_folder, write_all


def test_a_fingerprint_changes_with_content_and_with_another_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    first = fingerprint(path.stat())
    os.utime(path, ns=(0, 1))
    path.rename(tmp_path / "b")
    path.write_bytes(b"one")

    assert fingerprint((tmp_path / "b").stat()) != first
    assert fingerprint(path.stat()).inode != first.inode
    assert fingerprint(path.lstat()) == fingerprint(path.stat())


def test_a_regular_file_is_opened_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_bytes(b"content")

    with open_folder(tmp_path) as root, open_folder("a/b", beneath=root) as folder, open_original(folder, "c") as fd:
        assert os.read(fd, 100) == b"content"


def test_a_name_that_is_not_utf_8_is_opened(tmp_path: Path) -> None:
    name = os.fsdecode(b"\xffname")
    (tmp_path / name).write_bytes(b"x")

    with open_folder(tmp_path) as root, open_original(root, name) as fd:
        assert os.read(fd, 9) == b"x"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_what_is_no_regular_file_is_not_opened_and_nobody_waits(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    (tmp_path / "target").write_bytes(b"secret")
    if kind == "link":
        path.symlink_to(tmp_path / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()

    with open_folder(tmp_path) as root, pytest.raises(OSError) as error, open_original(root, "a"):
        pass
    assert error.value.errno == errno.ELOOP


@pytest.mark.parametrize("part", ["link", "link/inside", "real/link"])
def test_no_part_of_a_path_below_the_inbox_may_be_a_link(tmp_path: Path, part: str) -> None:
    (tmp_path / "outside" / "inside").mkdir(parents=True)
    (tmp_path / "inbox" / "real").mkdir(parents=True)
    for link in (tmp_path / "inbox" / "link", tmp_path / "inbox" / "real" / "link"):
        link.symlink_to(tmp_path / "outside")

    with open_folder(tmp_path / "inbox") as root, pytest.raises(OSError), open_folder(part, beneath=root):
        pass


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"")
    before = len(os.listdir("/proc/self/fd"))
    for name in ("f", "missing"):
        with open_folder(tmp_path) as root, open_folder("a", beneath=root) as folder:
            try:
                with open_original(folder, name):
                    pass
            except FileNotFoundError:
                assert name == "missing"
    with open_folder(tmp_path) as root:
        for path in ("missing/x", "a/f/x"):
            with pytest.raises(OSError), open_folder(path, beneath=root):
                pass

    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(("begin", "end"), [(0, 10), (3, 7), (5, 5), (0, 3_000_000), (1_000_001, 2_999_999)])
def test_a_span_is_appended_exactly(tmp_path: Path, begin: int, end: int) -> None:
    content = bytes(range(256)) * 11_719
    (tmp_path / "from").write_bytes(content)
    source, target = os.open(tmp_path / "from", os.O_RDONLY), os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT)
    try:
        write_all(target, b"before")
        copy_span(source, begin, end, target)
        write_all(target, b"after")
    finally:
        os.close(source)
        os.close(target)

    assert (tmp_path / "to").read_bytes() == b"before" + content[begin:end] + b"after"


def test_a_span_is_copied_between_file_systems_too(tmp_path: Path) -> None:
    """Where copy_file_range answers EXDEV, sendfile does it."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    content = os.urandom(300_000)
    (tmp_path / "from").write_bytes(content)
    elsewhere = shared / f"coatcheck-test-{os.getpid()}"
    source, target = os.open(tmp_path / "from", os.O_RDONLY), os.open(elsewhere, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        copy_span(source, 7, len(content), target)
        assert elsewhere.read_bytes() == content[7:]
    finally:
        elsewhere.unlink()
        os.close(source)
        os.close(target)


def test_a_source_that_became_shorter_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"short")
    source, target = os.open(tmp_path / "from", os.O_RDONLY), os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT)
    try:
        with pytest.raises(OSError) as error:
            copy_span(source, 0, 100, target)
    finally:
        os.close(source)
        os.close(target)
    assert error.value.errno == errno.EIO


@pytest.mark.parametrize("one_file_system", [True, False])
def test_a_tree_is_made_durable(tmp_path: Path, one_file_system: bool) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / os.fsdecode(b"\xff")).write_bytes(b"x")

    make_durable(tmp_path, one_file_system=one_file_system)
    sync_folder(tmp_path)


def test_what_cannot_be_made_durable_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_durable(tmp_path / "missing", one_file_system=True)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OSError):
        make_durable(tmp_path, one_file_system=False)
