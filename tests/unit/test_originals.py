from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from coatcheck import originals, resting_names
from coatcheck.errors import CoatcheckError, Mistake
from coatcheck.fates import Fate, FateState, PlannedFile
from coatcheck.files import copy_span, fingerprint
from coatcheck.originals import Places, carry_out
from coatcheck.resting_names import cut


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("inbox", "archive", "quarantine"):
        (tmp_path / name).mkdir()
    return Places(inbox=tmp_path / "inbox", archive=tmp_path / "archive", quarantine=tmp_path / "quarantine")


def planned(places: Places, path: str, destination: str, fate: Fate = Fate.ARCHIVE) -> PlannedFile:
    mark = fingerprint(os.lstat(places.inbox / path))
    return PlannedFile(path=path, fingerprint=mark, fate=fate, destination=destination)


def archive(places: Places) -> Path:
    assert places.archive is not None
    return places.archive


def test_what_is_sent_again_during_the_copy_to_another_file_system_stays_in_the_inbox(
    places: Places, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = places.inbox / "a"
    file.write_bytes(b"old")

    def slow(source: int, begin: int, end: int, target: int) -> None:
        copy_span(source, begin, end, target)
        (places.inbox / ".new").write_bytes(b"corrected")
        (places.inbox / ".new").rename(file)

    monkeypatch.setattr(originals, "copy_span", slow)
    context = Places(inbox=places.inbox, archive=elsewhere, quarantine=places.quarantine)

    assert carry_out(context, [planned(context, "a", "T/a")]) == [FateState.SUPERSEDED]
    assert file.read_bytes() == b"corrected"
    assert not list((elsewhere / "T").iterdir())


def test_what_is_sent_again_right_before_the_rename_goes_back_to_the_inbox(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = places.inbox / "a"
    file.write_bytes(b"old")
    plan = planned(places, "a", "T/a")
    real = originals._free_name

    def late(*arguments: object) -> str | None:
        free = real(*arguments)  # type: ignore[arg-type]
        (places.inbox / ".new").write_bytes(b"corrected")
        (places.inbox / ".new").rename(file)
        return free

    monkeypatch.setattr(originals, "_free_name", late)

    assert carry_out(places, [plan]) == [FateState.SUPERSEDED]
    assert file.read_bytes() == b"corrected"


@pytest.mark.parametrize("fate", [Fate.ARCHIVE, Fate.QUARANTINE])
def test_a_file_that_was_moved_before_a_crash_is_done_with_though_its_name_was_taken_again(
    places: Places, fate: Fate
) -> None:
    (places.inbox / "sub").mkdir()
    (places.inbox / "sub/a").write_bytes(b"first")
    plan = planned(places, "sub/a", "R/T/sub/a", fate)
    assert carry_out(places, [plan]) == [FateState.DONE]
    (places.inbox / "sub/a").write_bytes(b"again")

    assert carry_out(places, [plan]) == [FateState.DONE]

    assert (places.inbox / "sub/a").read_bytes() == b"again"
    (places.inbox / "sub/b").write_bytes(b"never moved")
    plan = planned(places, "sub/b", "R/T/sub/b", fate)
    (places.inbox / "new").write_bytes(b"another one")
    (places.inbox / "new").rename(places.inbox / "sub/b")
    assert carry_out(places, [plan]) == [FateState.SUPERSEDED]


def test_one_file_that_cannot_be_moved_does_not_hold_up_the_batch(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (places.inbox / name).write_bytes(name.encode())
    plans = [planned(places, name, f"T/{name}") for name in "abc"]
    real = originals._free_name

    def broken(original: originals._Original, target: int, name: str) -> str | None:
        if name == "a":
            raise PermissionError(13, "Permission denied", "/secret/name")
        if name == "b":
            raise KeyError("secret")
        return real(original, target, name)

    monkeypatch.setattr(originals, "_free_name", broken)

    first, second, third = carry_out(places, plans)

    assert isinstance(first, OSError)
    assert isinstance(second, Mistake)
    assert third is FateState.DONE
    assert "secret" not in f"{first}{second}"


@pytest.mark.parametrize("started", [0, 3])
def test_many_are_deleted_where_no_more_threads_can_be_started(
    places: Places, monkeypatch: pytest.MonkeyPatch, started: int
) -> None:
    names = [str(number) for number in range(originals._FEW * originals._SIDE_BY_SIDE)]
    for name in names:
        (places.inbox / name).touch()
    real, left = threading.Thread.start, iter(range(started))

    def start(thread: threading.Thread) -> None:
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    plans = [planned(places, name, "", Fate.DELETE) for name in names]

    assert carry_out(places, plans) == [FateState.DONE] * len(names)
    assert not list(places.inbox.iterdir())


def test_sockets_and_files_of_one_name_are_kept_side_by_side_however_many(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resting_names, "_NUMBERED", 3)
    for _ in range(6):
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.fspath(places.inbox / "x"))
        plan = planned(places, "x", "not-a-file/unassigned/x", Fate.QUARANTINE)
        assert carry_out(places, [plan]) == [FateState.DONE]

    assert len(list((places.quarantine / "not-a-file/unassigned").iterdir())) == 6


@pytest.mark.parametrize("link", ["not-dicom", "not-dicom/unassigned"])
def test_the_quarantines_own_folders_are_never_links(places: Places, tmp_path: Path, link: str) -> None:
    (tmp_path / "target").mkdir()
    (places.quarantine / link).parent.mkdir(exist_ok=True)
    (places.quarantine / link).symlink_to(tmp_path / "target")
    (places.inbox / "a").write_bytes(b"a")

    [result] = carry_out(places, [planned(places, "a", "not-dicom/unassigned/a", Fate.QUARANTINE)])

    assert isinstance(result, CoatcheckError)
    assert (places.inbox / "a").exists()
    assert not list((tmp_path / "target").rglob("*"))


def test_a_link_in_the_archive_is_passed_by(places: Places, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (archive(places) / "T").symlink_to(tmp_path / "target")
    (places.inbox / "a").write_bytes(b"a")

    assert carry_out(places, [planned(places, "a", "T/a")]) == [FateState.DONE]
    assert (archive(places) / "T~2/a").read_bytes() == b"a"


def test_a_path_that_no_program_could_open_is_shortened_and_its_like_is_not_confused(places: Places) -> None:
    long = "/".join(["d" * 200] * 25)
    for number, content in enumerate((b"one", b"two")):
        (places.inbox / "a").write_bytes(content)
        assert carry_out(places, [planned(places, "a", f"T/{long}{number}/a")]) == [FateState.DONE]

    kept = {path.read_bytes(): path for path in archive(places).rglob("a")}
    assert set(kept) == {b"one", b"two"}
    assert all(path.relative_to(archive(places)).parts[0] == "T" for path in kept.values())


def test_a_name_that_is_too_long_for_the_file_system_ends_with_a_digest() -> None:
    short = cut("n" * 200, 143)

    assert len(short) == 143
    assert short != cut("n" * 201, 143)
    assert cut("n" * 143, 143) == "n" * 143


def test_of_many_that_are_deleted_side_by_side_each_is_judged_alone(places: Places) -> None:
    for number in range(300):
        path = places.inbox / f"{number % 3}" / f"{number}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"old")
    plans = [planned(places, f"{number % 3}/{number}", "", Fate.DELETE) for number in range(300)]
    (places.inbox / "1/4").write_bytes(b"corrected")
    (places.inbox / "2/5").unlink()
    (places.inbox / "0/300").write_bytes(b"of somebody else")

    results = carry_out(places, plans)

    assert [number for number, result in enumerate(results) if result is not FateState.DONE] == [4]
    assert results[4] is FateState.SUPERSEDED
    left = sorted(os.fspath(path.relative_to(places.inbox)) for path in places.inbox.glob("*/*"))
    assert left == ["0/300", "1/4"]
