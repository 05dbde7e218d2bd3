"""Archives that are dropped: what is in them comes out like anything else, and the archive is their original."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Mapping[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def disc() -> dict[str, bytes]:
    return {
        "DICOMDIR": studies.directory(),
        "DICOM/A/IM1": studies.instance(1, 1),
        "DICOM/A/IM2": studies.instance(1, 2),
        "DICOM/B/IM3": studies.instance(2, 1),
    }


PACKED = {
    "disc.zip": zipped(disc()),
    "Disc.TAR": tarred(disc()),
    "disc.tar.gz": tarred(disc(), "w:gz"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> House:
    """The disc itself, not packed."""
    house = House(tmp_path_factory.mktemp("folder") / "house")
    for path, content in disc().items():
        house.drop(path, content)
    house.deliver()
    return house


@pytest.mark.parametrize(
    ("name", "executor"), [("disc.zip", "processes"), ("Disc.TAR", "inline"), ("disc.tar.gz", "inline")]
)
def test_an_archive_comes_out_like_the_folder_that_it_was_made_of(
    tmp_path: Path, folder: House, name: str, executor: str
) -> None:
    house = folder.twin(tmp_path / "house", executor=executor)
    house.drop(f"from Leeds/{name}", PACKED[name])

    said = house.deliver()

    assert len(folder.delivered()) == 3
    assert house.delivered() == folder.delivered()
    [(path, kept)] = house.kept().items()
    assert path.startswith("unpacked/")
    assert path.endswith(f"/from Leeds/{name}")
    assert kept == PACKED[name]
    assert not list(house.inbox.rglob(".*"))
    assert not tree(house.inbox)
    assert not house.refusals()
    assert "Leeds" not in said + str(house.rows("SELECT * FROM deliveries")) + str(house.rows("SELECT * FROM events"))


def test_what_is_refused_of_an_archive_lies_in_quarantine_below_its_name_and_can_be_retried(house: House) -> None:
    inner = zipped({"IM9": studies.instance(9, 1)})
    content = zipped({"a/IM1": studies.instance(1, 1), "a/letter.txt": b"a letter", "inner.zip": inner})
    house.drop("disc.zip", content)

    house.deliver(expect=3)

    assert house.set_aside() == {
        "not-dicom/unassigned/disc.zip/a/letter.txt": b"a letter",
        "nested-archive/unassigned/disc.zip/inner.zip": inner,
    }
    assert list(house.kept().values()) == [content]
    assert len(house.delivered()) == 1
    done = house.command("quarantine", "retry", "--project", "lung", "--reason", "nested-archive")
    assert done.returncode == 0, done.stderr
    assert list(tree(house.inbox)) == ["disc.zip/inner.zip"]
    house.deliver()
    assert len(house.delivered()) == 2
    assert house.command("doctor", "--only-look").returncode == 0


def test_an_archive_is_deleted_where_originals_are_after_all_that_was_in_it(house: House) -> None:
    house.configure(originals="delete")
    house.drop("disc.zip", PACKED["disc.zip"])

    house.deliver()

    assert len(house.delivered()) == 3
    assert not house.kept()
    assert not list(house.inbox.iterdir())


def test_the_archive_stays_until_every_study_in_it_has_left(house: House) -> None:
    house.configure(study_settle="40s")
    with house.service():
        house.drop("disc.zip", PACKED["disc.zip"])
        house.wait_for_line(lambda line: len(line["studies_arriving"]) == 2, "both Studies are gathered")
        assert (house.inbox / "disc.zip").read_bytes() == PACKED["disc.zip"]
        house.drop("DONE", b"")
        wait_until(lambda: not tree(house.inbox), "all has gone its way")
    assert len(house.delivered()) == 3
    assert any(path.startswith("unpacked/") for path in house.kept())


def test_a_marker_waits_for_the_archives_of_its_folder(house: House) -> None:
    house.configure(study_settle="40s")
    house.drop("mine/disc.zip", PACKED["disc.zip"])
    house.drop("mine/DONE", b"")
    with house.service():
        wait_until(lambda: len(house.delivered()) == 3 and not tree(house.inbox), "all has gone its way")
    assert len(house.folders()) == 2


def test_several_archives_give_one_study(house: House) -> None:
    for number in range(1, 11):
        house.drop(f"{number}.zip", zipped({"IM": studies.instance(1, number)}))

    house.deliver()

    assert (len(house.delivered()), len(house.folders()), len(house.kept())) == (10, 1, 10)


def test_an_archive_for_which_there_is_no_room_holds_up_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(house, "_before", ["sh", "-c", 'ulimit -f 16384; exec "$@"', "sh"])  # no file beyond 8 MiB
    with house.service():
        house.drop("1.zip", zipped({"IM1": studies.instance(1, 1), "large": bytes(9 << 20)}))
        wait_until(lambda: "EFBIG" in str(house.line()["faults"]), "the first has no room")
        house.drop("2.zip", zipped({"IM2": studies.instance(2, 1)}))
        house.drop("3.zip", zipped({"IM3": studies.instance(3, 1)}))
        wait_until(lambda: list(tree(house.inbox)) == ["1.zip"], "the others have gone their way")
        assert "EFBIG" in str(house.line()["faults"])
    assert len(house.delivered()) == 2
    monkeypatch.undo()
    house.deliver(expect=3)
    assert len(house.delivered()) == 3


def test_an_archive_that_a_person_takes_back_leaves_nothing_behind(house: House) -> None:
    house.configure(study_settle="40s", watch="polling")
    with house.service():
        archive = house.drop("disc.zip", PACKED["disc.zip"])
        house.wait_for_line(lambda line: len(line["studies_arriving"]) == 2, "both Studies are gathered")
        archive.unlink()
        wait_until(lambda: not list(house.inbox.iterdir()), "the spool is swept")
    assert not house.delivered()


def test_a_spool_that_somebody_removed_is_made_again(house: House) -> None:
    house.configure(study_settle="40s", watch="polling")
    with house.service():
        house.drop("disc.zip", PACKED["disc.zip"])
        house.wait_for_line(lambda line: len(line["studies_arriving"]) == 2, "both Studies are gathered")
        [before] = (house.inbox / ".coatcheck").iterdir()
        made = before.stat().st_ino
        before.rename(house.root / "taken")
        wait_until(lambda: before.exists() and before.stat().st_ino != made, "it is unpacked again")
        house.drop("DONE", b"")
        wait_until(lambda: not tree(house.inbox), "all has gone its way")
    assert len(house.delivered()) == 3
    assert list(house.kept().values()).count(PACKED["disc.zip"]) == 1


def test_a_spool_that_a_killed_process_left_empty_goes_at_the_next_start(house: House) -> None:
    (house.inbox / ".coatcheck").mkdir(mode=0o700)

    house.once()

    assert not (house.inbox / ".coatcheck").exists()


def test_an_archive_that_somebody_emptied_is_unpacked_again_before_it_goes(house: House) -> None:
    house.configure(study_settle="40s", watch="polling", originals="delete")
    with house.service():
        house.drop("disc.zip", PACKED["disc.zip"])
        house.wait_for_line(lambda line: len(line["studies_arriving"]) == 2, "both Studies are gathered")
        for name in ("IM1", "IM2", "IM3"):
            next((house.inbox / ".coatcheck").rglob(name)).unlink()
        wait_until(lambda: len(tree(house.inbox / ".coatcheck")) == 3, "it is unpacked again")
        house.drop("DONE", b"")
        wait_until(lambda: not tree(house.inbox), "all has gone its way")
    assert len(house.delivered()) == 3


def test_a_rule_is_for_what_is_in_an_archive_by_its_path_below_the_archives_name(house: House) -> None:
    house.configure(include=["disc.zip/DICOM/A/*"])
    house.drop("disc.zip", PACKED["disc.zip"])

    house.deliver()

    assert len(house.delivered()) == 2
    assert house.refusals() == {"excluded": 2}


def test_a_dicom_file_that_is_called_like_an_archive_is_a_file_like_others(house: House) -> None:
    house.drop("IM1.zip", studies.instance(1, 1))

    house.deliver()

    assert len(house.delivered()) == 1
