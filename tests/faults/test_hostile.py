"""Whatever lies in the inbox: it is set aside with a reason or comes out clean, the rest goes on, nothing outside of
the inbox is read or moved, no identity gets out, and neither memory nor time goes without a bound.
"""

from __future__ import annotations

import os
import resource
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from coatcheck.batches import Again, Batches
from coatcheck.lane import Lane
from coatcheck.limits import ADDRESS_SPACE
from coatcheck.model import Refusal
from coatcheck.pool import Crashed, Pool
from coatcheck.reasons import Reason
from tests.acceptance import studies
from tests.acceptance.house import House, tree, wait_until
from tests.faults import limits
from tests.faults.conftest import Report
from tests.faults.hostile import CANARIES, OUT, Study, named, specimens
from tests.faults.rewriting import HOWS, LINK, SIDES, is_one_version

ROOT = Path(__file__).resolve().parents[2]
GOOD = 5
MEMORY = 600 << 20  # bytes, the peak of each process


def drop_good(house: House, name: str = "good") -> None:
    for number in range(GOOD):
        house.drop(f"{name}/{number}", studies.instance(900 + number, 1))


def leaks(house: House) -> list[str]:
    """Where a canary stands outside of the folders that hold originals."""
    found = []
    places = {"outbox": house.delivered(), "state": tree(house.state)}
    places["notes"] = {path: data for path, data in tree(house.quarantine).items() if path.endswith("REASON.txt")}
    places["log"] = {"": house.log.read_bytes() if house.log.exists() else b""}
    for place, files in places.items():
        for path, data in files.items():
            folded = (os.fsencode(path) + data).lower()
            if any(canary in form for canary in CANARIES for form in (folded, folded.replace(b"\0", b""))):
                found.append(f"{place}/{path}")
    return found


def peak(pid: int) -> int:
    """The most bytes of memory that a process had at a time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


@pytest.mark.parametrize(("executor", "profile"), [("processes", "research"), ("inline", "basic")])
def test_every_hostile_file_has_the_outcome_that_it_should_and_the_rest_goes_on(
    tmp_path: Path, executor: str, profile: str, sweep: bool, report: Report
) -> None:
    if executor == "inline" and not sweep:
        pytest.skip("the same in processes is enough: the sweep does both")
    house = House(tmp_path / "house", executor=executor, workers=2, profile=profile, study_settle="0s")
    drop_good(house)
    wanted = {}
    for number, (what, (content, outcome)) in enumerate(specimens(sweep)):
        name = f"halmar-in-a-name/{number:03d}.dcm"
        house.drop(name, content)
        wanted[name] = (what, outcome)

    with house.service() as service:
        house.wait_until_done(studies=GOOD, seconds=600)
        peaks = [peak(pid) for pid in (service.pid, *service.workers())]

    aside = {path.split("/", 2)[2]: path.split("/")[0] for path in house.set_aside()}
    kept = {path.split("/", 1)[1]: OUT for path in house.kept()}
    assert {what: (aside | kept).get(name) for name, (what, _) in wanted.items()} == dict(wanted.values())
    assert len(aside) + len(kept) == len(wanted) + GOOD
    assert len(house.folders()) == len(kept)
    assert not leaks(house)
    assert max(peaks) < (MEMORY if not sweep else 2 * MEMORY)
    report(f"a file that means harm ({executor})", fired=len(wanted))


NAMES = (
    *(b"a..", b"x..y", b"%2e%2e", b"~", b"REASON.txt", b"CON", b"NUL.dcm", b"\x01\x02\x7f", b"n" * 255, b"*?[a]"),
    *("\u202emcd.exe".encode(), "\u00c5".encode(), b"A\xcc\x8a", b"\xed\xa0\x80", b"$(touch x)`touch x`", b"'\""),
    *(b"\r\n\r\n", b"\t", b" ", b"x.dcm/x.dcm", b"x.dcm/" + b"d" * 255 + b"/x.dcm", b"not-dicom/unassigned/REASON.txt"),
)
LEFT = (b"...", b"..\\..\\up", b"..dcm")  # names that begin with a dot are still on their way


def test_names_lead_nowhere_but_to_their_files(tmp_path: Path, report: Report) -> None:
    house = House(tmp_path / "house")
    for number, name in enumerate(NAMES):
        house.drop(b"good/" + name, studies.instance(1, number))
        house.drop(b"bad/" + name, b"not DICOM, number %d" % number)
    house.drop("REASON.txt", b"not DICOM, and called like the note beside it")
    for name in LEFT:
        (house.inbox / os.fsdecode(name)).write_bytes(studies.instance(2, 1))
    before = set(tmp_path.iterdir())

    said = house.deliver(expect=3)

    aside = house.quarantine / "not-dicom/unassigned"
    assert {os.fsencode(path).split(b"/good/", 1)[1] for path in house.kept()} == set(NAMES)
    assert {os.fsencode(path) for path in tree(aside / "bad")} == set(NAMES)
    assert (aside / "REASON.txt~2").read_bytes().endswith(b"beside it")
    assert {os.fsencode(path) for path in tree(house.inbox)} == set(LEFT)
    assert len(house.delivered()) == len(NAMES)
    assert set(tmp_path.iterdir()) == before
    assert not any(os.fsdecode(name) in said for name in NAMES if len(name) > 3 and name != b"REASON.txt")
    report("a name that means harm", fired=2 * len(NAMES) + 1)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_what_is_no_file_is_set_aside_unread_and_nothing_outside_is_touched(
    tmp_path: Path, executor: str, report: Report
) -> None:
    house = House(tmp_path / "house", executor=executor)
    outside = tmp_path / "outside"
    (outside / "folder").mkdir(parents=True)
    (outside / "file.dcm").write_bytes(studies.instance(2, 1))
    (outside / "folder/inside.dcm").write_bytes(studies.instance(3, 1))
    os.utime(outside / "file.dcm", (1, 1))
    before = {path: path.stat() for path in outside.rglob("*")}
    odd = list(make_odd(house.inbox, outside))
    drop_good(house)

    house.deliver(expect=3)

    aside = house.quarantine / "not-a-file/unassigned"
    found = {path.relative_to(aside).as_posix() for path in aside.rglob("*") if path.is_symlink() or not path.is_dir()}
    assert found == {*odd, "REASON.txt"}
    assert {path: path.stat() for path in outside.rglob("*")} == before  # with the times at which they were read
    assert len(house.delivered()) == GOOD
    assert dict(house.refusals()) == {"not-a-file": len(odd)}
    report(f"a link, pipe, socket or device in the inbox ({executor})", fired=len(odd))


def make_odd(inbox: Path, outside: Path) -> Iterator[str]:
    """Everything but a file and a folder, each called like a file."""
    links = {
        "absolute.dcm": outside / "file.dcm",
        "relative.dcm": Path("../../../outside/file.dcm"),
        "folder.dcm": outside / "folder",
        "dangling.dcm": outside / "nothing",
        "itself.dcm": Path("itself.dcm"),
        "up.dcm": Path(".."),
        "here.dcm": Path("."),
        "sub/process.dcm": Path("/proc/self/environ"),
        "sub/device.dcm": Path("/dev/zero"),
    }
    (inbox / "sub").mkdir()
    for name, target in links.items():
        (inbox / name).symlink_to(target)
        yield name
    os.mkfifo(inbox / "pipe.dcm")
    yield "pipe.dcm"
    with socket.socket(socket.AF_UNIX) as listener, suppress_long_path():
        listener.bind(os.fspath(inbox / "socket.dcm"))
        yield "socket.dcm"
    for name, kind, number in (("zero.dcm", stat.S_IFCHR, (1, 5)), ("disk.dcm", stat.S_IFBLK, (7, 250))):
        with suppress(PermissionError):  # only root makes devices
            os.mknod(inbox / name, 0o666 | kind, os.makedev(*number))
            yield name


def suppress_long_path() -> suppress:
    """A socket's path may have 107 bytes only."""
    return suppress(OSError)


@pytest.mark.parametrize("originals", ["archive", "delete"])
def test_a_hard_link_never_takes_the_other_name_of_the_file(tmp_path: Path, originals: str, report: Report) -> None:
    house = House(tmp_path / "house", originals=originals)
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(studies.instance(1, 1))
    bad = tmp_path / "bad.dcm"
    bad.write_bytes(b"not DICOM")
    for number in range(3):
        os.link(outside, house.inbox / f"{number}.dcm")
        os.link(bad, house.inbox / f"bad-{number}.dcm")

    house.deliver(expect=3)

    assert (outside.read_bytes(), bad.read_bytes()) == (studies.instance(1, 1), b"not DICOM")
    assert not list(house.inbox.iterdir())
    assert len(house.delivered()) == 1
    assert house.deliveries()[0]["duplicates"] == 2
    assert len(house.set_aside()) == 3
    report(f"a hard link in the inbox (originals: {originals})", fired=6)


@contextmanager
def rewriting(path: Path, how: str, count: Path, *elsewhere: Path) -> Iterator[Callable[[], int]]:
    """A process that writes a file again and again; gives how often it did."""
    command: list[str | Path] = [sys.executable, "-m", "tests.faults.rewriting", path, how, count, *elsewhere]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield lambda: int(count.read_text() or "0") if count.exists() else 0
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("how", HOWS)
def test_a_file_that_changes_while_it_is_read_comes_out_as_one_version_or_waits(
    tmp_path: Path, how: str, sweep: bool, report: Report
) -> None:
    if how in HOWS[2:] and not sweep:
        pytest.skip("two ways to change a file are enough: the sweep does all four")
    house = House(tmp_path / "house", executor="processes", workers=2, file_settle="0s", study_settle="0s")
    with house.service():
        with rewriting(house.inbox / "changing.dcm", how, tmp_path / "count") as written:
            drop_good(house)
            wait_until(lambda: written() > (300 if sweep else 8), "the file was written often", seconds=120)
        house.wait_until_done(seconds=60)

    results = [content for content in house.delivered().values() if studies.read(content).Rows > 8]
    assert results
    assert all(map(is_one_version, results))
    originals = {**house.kept(), **house.set_aside()}
    changing = {path: content for path, content in originals.items() if "changing.dcm" in path}
    assert changing
    assert all(map(is_one_version, changing.values()))
    assert len(originals) - len(changing) == GOOD
    assert not house.refusals()
    assert not house.unfinished()
    report(f"a file changed while it is read ({how})", fired=written())


def test_a_file_that_is_a_link_at_times_is_never_read_through_the_link(
    tmp_path: Path, sweep: bool, report: Report
) -> None:
    house = House(tmp_path / "house", file_settle="0s", study_settle="0s")
    elsewhere = tmp_path / "elsewhere.dcm"
    elsewhere.write_bytes(studies.instance(7, 7, side=16))
    os.utime(elsewhere, (1, 1))
    before = elsewhere.stat()
    with house.service():
        with rewriting(house.inbox / "changing.dcm", LINK, tmp_path / "count", elsewhere) as written:
            wait_until(lambda: written() > (300 if sweep else 20), "the file was replaced often", seconds=120)
        house.wait_until_done(seconds=60)

    assert elsewhere.stat() == before
    assert all(studies.read(content).Rows in SIDES for content in house.delivered().values())
    assert set(house.refusals()) <= {"not-a-file"}
    assert house.refusals()["not-a-file"] + len(house.kept()) > 0
    report("a file and a link take turns under one name", fired=written())


def test_a_study_of_more_names_than_anybody_has_is_refused_and_others_go_on(tmp_path: Path, report: Report) -> None:
    house = House(tmp_path / "house")
    drop_good(house)
    for number in range(8):
        house.drop(f"names/{number}", Study(1, number + 1).file(named(300, first=300 * number)))

    house.deliver(expect=3)

    assert dict(house.refusals()) == {"too-large": 8}
    assert len(house.delivered()) == GOOD
    report("a Study of more names than anybody has", fired=8)


def done(pool: Pool, seconds: float, kinds: list[str]) -> list[Any]:
    """What comes of pieces of work in a pool, in their order."""
    lane, results = Lane(pool), list[Any]()
    errand = Batches(lane)

    def take(items: object, found: list[Any]) -> Again | None:
        results.extend(found)
        return None

    errand.add(limits.work, seconds, kinds, take, size=len(kinds))
    errand.step()
    begun = time.monotonic()
    while pool.busy:
        pool.collect()
        time.sleep(0.01)  # the pace of looking
        assert time.monotonic() - begun < 300, "it never ends"
    assert errand.step()
    return [one.reason if isinstance(one, Refusal) else one for one in results]


@pytest.fixture
def bound() -> Iterator[Pool]:
    pool = Pool("processes", 2, lambda: None, address_space=1 << 30)
    yield pool
    pool.stop()


def test_work_that_needs_too_much_memory_is_refused_and_the_rest_goes_on(bound: Pool, report: Report) -> None:
    kinds = [limits.FINE, limits.BYTES, limits.FINE, limits.BYTES, limits.FINE]

    found = done(bound, 60, kinds)

    assert found == ["fine", Reason.TOO_LARGE, "fine", Reason.TOO_LARGE, "fine"]
    report("work that needs more memory than a worker may have", fired=2)


def test_an_answer_that_needs_too_much_memory_costs_its_file_and_no_other(bound: Pool, report: Report) -> None:
    found = done(bound, 60, [limits.FINE, limits.LATE_BYTES, limits.FINE])

    assert [type(one) for one in found] == [str, Crashed, str]
    report("an answer that needs more memory than a worker may have", fired=1)


def test_work_that_takes_too_long_is_ended_and_the_rest_goes_on(bound: Pool, report: Report) -> None:
    found = done(bound, 0.2, [limits.FINE, limits.LOOP, limits.FINE])

    assert found == ["fine", Reason.TIMED_OUT, "fine"]
    report("work that takes longer than a file may", fired=1)


def test_work_that_hears_no_signal_is_ended_by_the_kernel_and_the_rest_goes_on(bound: Pool, report: Report) -> None:
    found = done(bound, 0.2, [limits.FINE, limits.DEAF, limits.FINE])

    assert [type(one) for one in found] == [str, Crashed, str]
    report("work that cannot be interrupted", fired=1)


def test_the_workers_of_the_service_are_bound(tmp_path: Path) -> None:
    house = House(tmp_path / "house", executor="processes", workers=2)
    with house.service() as service:
        drop_good(house)
        house.wait_until_done(studies=GOOD)
        spaces = {resource.prlimit(pid, resource.RLIMIT_AS)[0] for pid in service.workers()}

    assert spaces == {ADDRESS_SPACE}
