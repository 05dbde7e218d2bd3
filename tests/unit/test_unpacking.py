"""Archives of an enemy: nothing leaves their folder, nothing grows without end, and no half of one is left."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.files import fingerprint
from coatcheck.ledger import is_detail
from coatcheck.model import Arrival, Refusal, Unready
from coatcheck.reasons import Reason
from coatcheck.unpacking import Caps, Unpacked, Unpacking, sweep, unpack
from tests.acceptance.house import tree
from tests.flow.test_archives import tarred, zipped

FILES = {"a/IM1": b"one" * 500, "a/IM2": b"two" * 900, "b": b"three"}
KINDS = {"x.zip": zipped(FILES), "x.tar": tarred(FILES), "x.tar.gz": tarred(FILES, "w:gz")}


def unpacked(
    inbox: Path, content: bytes, name: str = "x.zip", caps: Caps | None = None
) -> Unpacked | Refusal | Unready:
    path = inbox / name
    path.write_bytes(content)
    arrival = Arrival(project="p", path=name, fingerprint=fingerprint(path.stat()))
    context = Unpacking(inbox=inbox, caps=caps or Caps())
    [result] = unpack(context, [("ID", arrival)])
    spool = sorted(os.listdir(inbox / ".coatcheck"))
    assert spool == (["ID"] if isinstance(result, Unpacked) else [])
    return result


def refused(inbox: Path, content: bytes, name: str = "x.zip", caps: Caps | None = None) -> tuple[Reason, str]:
    result = unpacked(inbox, content, name, caps)
    assert isinstance(result, Refusal), result
    assert is_detail(result.detail)
    return result.reason, result.detail


def contents(inbox: Path, name: str = "x.zip") -> dict[str, bytes]:
    return tree(inbox / ".coatcheck" / "ID" / name)


@pytest.mark.parametrize("name", KINDS)
def test_what_was_packed_comes_out(tmp_path: Path, name: str) -> None:
    assert unpacked(tmp_path, KINDS[name], name) == Unpacked(3)
    assert contents(tmp_path, name) == FILES
    sweep(tmp_path, [["ID"]])
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["../out", "a/../../out", "a/.."])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_leads_out_of_the_archive_refuses_all_of_it(tmp_path: Path, name: str, pack: object) -> None:
    (tmp_path / "inbox").mkdir()
    content = pack({"good": b"x", name: b"evil"})  # type: ignore[operator]
    assert refused(tmp_path / "inbox", content) == (Reason.BAD_ARCHIVE, "name invalid")
    assert os.listdir(tmp_path) == ["inbox"]


def test_an_absolute_name_and_one_of_windows_stay_in_the_archive(tmp_path: Path) -> None:
    unpacked(tmp_path, zipped({"/etc/passwd": b"1", "C:\\DICOM\\IM1": b"2"}))
    assert contents(tmp_path) == {"etc/passwd": b"1", "C:/DICOM/IM1": b"2"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_or_a_device_is_never_made_nor_gone_through(tmp_path: Path, kind: bytes) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "outside").mkdir()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("way")
        link.type, link.linkname = kind, str(tmp_path / "outside")
        archive.addfile(link)
        file = tarfile.TarInfo("way/in")
        file.size = 4
        archive.addfile(file, io.BytesIO(b"evil"))
    unpacked(tmp_path / "inbox", out.getvalue(), "x.tar")
    assert contents(tmp_path / "inbox", "x.tar")["way~2/in"] == b"evil"
    assert (tmp_path / "inbox/.coatcheck/ID/x.tar/way").lstat().st_mode & 0o170777 == 0o100600
    assert not os.listdir(tmp_path / "outside")


def test_names_that_come_twice_are_both_kept_and_litter_is_not(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for number, name in enumerate(["a", "a", "a/b", "__MACOSX/._a", "Thumbs.db", ".hidden.tmp"]):
            archive.writestr(name, str(number))
    unpacked(tmp_path, out.getvalue())
    assert contents(tmp_path) == {"a": b"0", "a~2": b"1", "a~3/b": b"2", ".hidden.tmp": b"5"}


def test_what_grows_too_much_or_into_too_many_files_is_refused(tmp_path: Path) -> None:
    bomb = zipped({"IM": bytes(3_000_000)})
    too_large = (Reason.BAD_ARCHIVE, "data larger than the limit")
    assert refused(tmp_path, bomb, caps=Caps(small=1_000_000)) == too_large
    assert refused(tmp_path, tarred({"IM": bytes(3_000_000)}, "w:gz"), "x.tgz", Caps(small=1_000_000)) == too_large
    assert refused(tmp_path, bomb, caps=Caps(size=2_000_000)) == too_large
    assert refused(tmp_path, KINDS["x.zip"], caps=Caps(files=2)) == (Reason.BAD_ARCHIVE, "more files than the limit")
    assert unpacked(tmp_path, bomb, caps=Caps(small=3_000_000)) == Unpacked(1)


def test_where_room_is_short_it_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(KINDS["x.zip"])
    arrival = Arrival(project="p", path="x.zip", fingerprint=fingerprint((tmp_path / "x.zip").stat()))
    with pytest.raises(OSError, match="No space"):
        unpack(Unpacking(inbox=tmp_path, caps=Caps(spare=1 << 60, part=1)), [("ID", arrival)])
    assert os.listdir(tmp_path / ".coatcheck") == []


def test_a_password_is_told_apart_from_damage(tmp_path: Path) -> None:
    locked = bytearray(KINDS["x.zip"])
    for magic, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = locked.find(magic)
        locked[at + flags] |= 1
    assert refused(tmp_path, bytes(locked)) == (Reason.ENCRYPTED, "")


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_that_is_not_whole_is_refused_wherever_it_ends(tmp_path: Path, name: str) -> None:
    content = KINDS[name]
    last = len(content.rstrip(b"\0")) if name == "x.tar" else len(content) - 1
    for end in {*range(0, last, max(1, last // 40)), *range(0, last, 512), last}:
        assert refused(tmp_path, content[:end], name)[0] is Reason.BAD_ARCHIVE, end


def test_a_tar_that_is_damaged_in_the_middle_or_followed_by_another_is_refused_whole(tmp_path: Path) -> None:
    content = bytearray(KINDS["x.tar"])
    content[content.find(b"a/IM2")] ^= 0x55
    assert refused(tmp_path, bytes(content), "x.tar") == (Reason.BAD_ARCHIVE, "invalid")
    assert refused(tmp_path, 2 * KINDS["x.tar"], "x.tar") == (Reason.BAD_ARCHIVE, "invalid")


def test_one_that_changes_meanwhile_is_no_verdict(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"PK")
    arrival = Arrival(project="p", path="x.zip", fingerprint=fingerprint((tmp_path / "x.zip").stat()))
    (tmp_path / "x.zip").write_bytes(KINDS["x.zip"])
    assert unpack(Unpacking(inbox=tmp_path), [("ID", arrival)]) == [Unready(arrival=arrival)]


def test_a_link_in_place_of_the_spool_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inbox/.coatcheck").symlink_to(tmp_path / "outside")
    (tmp_path / "inbox/x.zip").write_bytes(KINDS["x.zip"])
    arrival = Arrival(project="p", path="x.zip", fingerprint=fingerprint((tmp_path / "inbox/x.zip").stat()))
    with pytest.raises(Exception, match="is a link"):
        unpack(Unpacking(inbox=tmp_path / "inbox"), [("ID", arrival)])
    assert not os.listdir(tmp_path / "outside")


@given(data=st.data(), name=st.sampled_from(sorted(KINDS)))
def test_no_damage_gets_past_the_verdicts(data: st.DataObject, name: str) -> None:
    content = bytearray(KINDS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        result = unpacked(Path(folder), bytes(content), name)
        assert not isinstance(result, Unready)
        assert isinstance(result, Unpacked) or result.reason in (Reason.BAD_ARCHIVE, Reason.ENCRYPTED)
        assert os.listdir(folder) in ([".coatcheck", name], [name, ".coatcheck"])
