"""What people can put into the folders of a project, by mistake or on purpose, and what must not come of it."""

from __future__ import annotations

import os
import resource
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, descendants, tree, wait_until

AFTER_2262 = 10_413_792_000  # 2300-01-01 in seconds; in nanoseconds it does not fit 63 bits


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def own_folder(house: House) -> Path:
    """A folder in the inbox in which the service may read, but not rename."""
    house.bound_by_rights()
    house.drop("theirs/a", studies.instance(1, 1))
    folder = house.inbox / "theirs"
    folder.chmod(0o555)
    return folder


def test_a_file_may_be_of_any_year(house: House) -> None:
    for path, content in (("text", b"no DICOM"), ("image", studies.instance(1, 1))):
        os.utime(house.drop(path, content), (AFTER_2262, AFTER_2262))

    house.deliver(expect=3)

    assert set(house.set_aside()) == {"not-dicom/unassigned/text"}
    assert len(house.delivered()) == 1
    assert not list(house.inbox.iterdir())
    assert not house.unfinished()


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_mistake_over_one_study_is_a_fault_of_its_project_and_ends_nothing(tmp_path: Path, executor: str) -> None:
    house = House(tmp_path / "house", "lung", "other", executor=executor)
    house.drop("a", studies.instance(1, 1))
    house.drop("b", studies.instance(2, 1))
    house.drop("c", studies.instance(3, 1), project="other")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import coatcheck.job as job\n"
        "real = job.StudyJob._record\n"
        "def record(self):\n"
        f"    if self.study_uid == {studies.study_uid(1)!r}:\n"
        "        raise KeyError(self.study_uid)\n"
        "    return real(self)\n"
        "job.StudyJob._record = record\n"
    )
    path = os.pathsep.join(filter(None, [os.fspath(broken), os.environ.get("PYTHONPATH")]))

    done = house.once(PYTHONPATH=path)

    assert done.returncode == 1
    assert len(house.folders()) == 1
    assert len(tree(house.root / "other/archive")) == 1
    assert "unexpected KeyError in sitecustomize.py:5" in done.stderr
    assert studies.study_uid(1) not in done.stderr
    [fault] = house.rows("SELECT kind, what FROM errors WHERE cleared IS NULL")
    assert fault == ("work", "unexpected KeyError in sitecustomize.py:5")
    house.deliver()
    assert len(house.folders()) == 2
    assert not house.rows("SELECT what FROM errors WHERE cleared IS NULL")


def test_a_link_in_place_of_the_staging_folder_is_a_fault_and_nothing_behind_it_is_touched(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    (house.outbox / ".coatcheck").rmdir()
    (house.outbox / ".coatcheck").symlink_to(house.archive)
    kept = house.kept()
    house.drop("b", studies.instance(2, 1))

    said = house.deliver(expect=1)

    assert house.kept() == kept
    assert len(house.folders()) == 1
    assert ".coatcheck is a link or something else that coatcheck did not make" in said
    assert "move it away" in said
    (house.outbox / ".coatcheck").unlink()
    house.deliver()
    assert len(house.folders()) == 2


def test_only_what_an_interrupted_delivery_left_is_swept_from_staging(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    [(ticket,)] = house.rows("SELECT ticket FROM studies")
    staging = house.outbox / ".coatcheck"
    left = staging / f"{ticket}-7"
    with closing(sqlite3.connect(house.state / "ledger.db")) as db:
        db.execute(
            "INSERT INTO deliveries (id, study_id, state, profile, profile_digest, instances, opened, changed)"
            " SELECT 7, study_id, 'open', profile, profile_digest, 1, opened, changed FROM deliveries"
        )
        db.commit()
    strange = [staging / "notes", staging / f"{ticket}-8", staging / f"{ticket}-1"]
    for folder in (left, *strange):
        folder.mkdir()
        (folder / "file").write_bytes(b"x")

    house.deliver()

    assert not left.exists()
    assert all((folder / "file").exists() for folder in strange)


def test_a_subject_that_is_a_link_is_a_fault_of_its_study_alone_also_after_a_restart(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()
    [subject] = [path for path in house.outbox.iterdir() if path.name != ".coatcheck"]
    elsewhere = house.root / "elsewhere"
    subject.rename(elsewhere)
    subject.symlink_to(elsewhere)
    before = tree(elsewhere)
    house.drop("b", studies.instance(2, 1))
    house.drop("c", studies.instance(3, 1, patient="PAT-2"))

    for _ in range(2):
        said = house.deliver(expect=1)
        assert f"{subject} is a link or something else" in said
    house.drop("d", studies.instance(4, 1, patient="PAT-2"))
    house.deliver(expect=1)

    assert tree(elsewhere) == before
    assert len(house.kept()) == 3
    subject.unlink()
    house.deliver()
    assert len(house.folders()) == 3
    assert len(house.kept()) == 4
    assert not house.unfinished()


@pytest.mark.parametrize("kind", ["folder", "reason", "fifo", "link", "a folder for the note"])
def test_what_lies_in_place_of_the_quarantines_own_is_a_fault_and_holds_nothing_up(
    tmp_path: Path, house: House, kind: str
) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "words").write_bytes(b"words")
    place = house.quarantine / "not-dicom/unassigned"
    if kind == "folder":
        place.parent.mkdir()
        place.symlink_to(target)
    elif kind == "reason":
        place.parent.symlink_to(target)
    else:
        place.mkdir(parents=True)
        note = place / "REASON.txt"
        if kind == "fifo":
            os.mkfifo(note)
        elif kind == "link":
            note.symlink_to(target / "words")
        else:
            note.mkdir()
    house.drop("text", b"no DICOM")
    house.drop("a", studies.instance(1, 1))

    said = house.deliver(expect=1)

    assert "is a link or something else that coatcheck did not make" in said
    assert tree(target) == {"words": b"words"}
    assert [path.name for path in house.inbox.iterdir()] == ["text"]
    assert len(house.folders()) == 1


def test_a_folder_that_cannot_be_read_is_a_fault_of_the_inbox(house: House) -> None:
    house.bound_by_rights()
    house.drop("private name/a", studies.instance(1, 1))
    house.drop("b", studies.instance(2, 1))
    (house.inbox / "private name").chmod(0)
    try:
        said = house.deliver(expect=1)
        with house.service():
            house.wait_for_line(lambda line: line["fault"], "the fault is in the status")
            assert "folders or files in it cannot be looked at" in house.line()["fault"]
            assert house.said()["projects"]["lung"]["waiting_files"] == 0
    finally:
        (house.inbox / "private name").chmod(0o755)
    log = house.log.read_text()

    assert len(house.folders()) == 1
    assert "give the service the right to read" in said
    assert log.count("cannot be looked at") == 1
    assert "private name" not in said + log
    house.deliver()
    assert len(house.folders()) == 2
    assert not house.line()["faults"]


def test_an_original_that_cannot_be_moved_holds_up_no_other_study_before_and_after_a_restart(house: House) -> None:
    folder = own_folder(house)
    try:
        with house.service():
            wait_until(lambda: len(house.folders()) == 1, "the Study is out")
            house.wait_for_line(lambda line: line["fault"], "the fault is in the status")
            house.drop("b", studies.instance(2, 1))
            house.drop("c", studies.instance(1, 2))
            wait_until(lambda: len(house.folders()) == 3, "others go on, also of this Study", seconds=8)
        with house.service():
            house.drop("d", studies.instance(3, 1))
            wait_until(lambda: len(house.folders()) == 4, "others go on after a restart", seconds=8)
            house.wait_for_line(lambda line: "EACCES" in (line["fault"] or ""), "the fault is in the status")
        house.drop("e", studies.instance(4, 1))
        said = house.deliver(expect=1)
    finally:
        folder.chmod(0o755)

    assert "originals cannot be put away now (EACCES)" in said
    assert "theirs" not in said + house.log.read_text()
    assert len(house.folders()) == 5
    house.deliver()
    assert not list(folder.iterdir())
    assert len(house.kept()) == 5
    assert len(house.folders()) == 5
    assert not house.unfinished()


def test_a_path_that_is_too_long_for_the_archive_is_shortened(house: House) -> None:
    content = studies.instance(1, 1)
    deepest = os.open(house.inbox, os.O_RDONLY)
    for _ in range(20):
        os.mkdir("d" * 199, dir_fd=deepest)
        deeper = os.open("d" * 199, os.O_RDONLY, dir_fd=deepest)
        os.close(deepest)
        deepest = deeper
    file = os.open("a.dcm", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=deepest)
    os.write(file, content)
    os.close(file)
    os.close(deepest)

    house.deliver()

    [(path, kept)] = house.kept().items()
    assert kept == content
    assert path.split("/")[1].startswith("shortened~")
    assert path.endswith("/a.dcm")


def test_staging_is_closed_to_all_but_the_service_and_results_are_as_open_as_the_umask_says(house: House) -> None:
    staging = house.outbox / ".coatcheck"
    staging.mkdir(mode=0o777)
    staging.chmod(0o777)
    house.drop("a", studies.instance(1, 1))
    before = os.umask(0o027)
    try:
        house.deliver()
    finally:
        os.umask(before)

    assert stat.S_IMODE(staging.stat().st_mode) == 0o700
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in house.outbox.glob("[!.]*/**/*")}
    assert modes == {True: 0o750, False: 0o640}


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_no_process_of_the_service_may_leave_a_core_file(tmp_path: Path, executor: str) -> None:
    house = House(tmp_path / "house", executor=executor)
    with house.service() as service:
        house.drop("a", studies.instance(1, 1))
        wait_until(lambda: house.folders(), "the Study is out")
        family = [service.pid, *descendants(service.pid)]
        limits = [resource.prlimit(pid, resource.RLIMIT_CORE) for pid in family]

    assert set(limits) == {(0, 0)}
    assert len(limits) > (2 if executor == "processes" else 0)


def test_file_meta_alone_makes_no_dicomdir(house: House) -> None:
    house.configure(originals="delete")
    content = studies.instance(1, 1)
    meta = studies.CT.encode() + b"\0"
    claimed = b"1.2.840.10008.1.3.10".ljust(len(meta), b"\0")
    house.drop("a", content.replace(meta, claimed, 1))
    house.drop("b", studies.directory()[:-20])

    house.deliver(expect=3)

    assert len(house.delivered()) == 1
    assert list(house.set_aside()) == ["truncated/unassigned/b"]


def test_a_dicomdir_that_is_deleted_leaves_an_audit_row(house: House) -> None:
    house.configure(originals="delete")
    house.drop("DICOMDIR", studies.directory())

    house.deliver()

    assert not list(house.inbox.iterdir())
    with closing(sqlite3.connect(house.state / "vault.db")) as db:
        assert db.execute("SELECT who, action FROM audit").fetchall() == [("service", "delete dicomdir")]
        assert b"DICOMDIR" not in (house.state / "vault.db").read_bytes()
