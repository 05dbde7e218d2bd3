"""A worker answers one result for each file, in order, whatever the files are."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from coatcheck import worker
from coatcheck.files import fingerprint
from coatcheck.ledger.guard import is_detail
from coatcheck.limits import TimeLimit, time_limit
from coatcheck.model import Arrival, Directory, Instance, Job, Packed, Refusal, Staged, Unready
from coatcheck.passage import Passage
from coatcheck.reasons import Reason
from coatcheck.source import Changed, original
from coatcheck.transform import transform
from coatcheck.worker import Reading, Work, digest, examine
from tests.support import (
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    SECRET,
    SUBJECT,
    UIDS,
    file_of,
    instance,
    profile,
    raw,
    raw_file,
    raw_instance,
    raw_item,
    read,
)

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
PIXELS = raw(0x00280010, "US", b"\2\0") + raw(0x00280011, "US", b"\2\0") + raw(0x00280100, "US", b"\x08\0")


def drop(inbox: Path, name: str, content: bytes) -> Arrival:
    path = inbox / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Arrival(project="p", path=name, fingerprint=fingerprint(path.stat()))


def examined(inbox: Path, *arrivals: Arrival) -> list[Instance | Refusal | Directory | Packed | Unready]:
    return examine(Reading(inbox=inbox), arrivals)


def an_instance(inbox: Path, arrival: Arrival) -> Instance:
    (one,) = examined(inbox, arrival)
    assert isinstance(one, Instance)
    return one


def work_on(inbox: Path, *instances: Instance, name: str = "basic") -> Work:
    job = Job(
        delivery_id=1,
        project="p",
        ticket="7F3K9Q2MXA",
        subject=SUBJECT,
        shift_days=-10,
        identity=instances[0].identity.union(*(one.identity for one in instances)),
    )
    staging = inbox.parent / "staging"  # made by the service
    staging.mkdir(exist_ok=True)
    return Work(inbox=inbox, staging=staging, profile=profile(name), secret=SECRET, job=job)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_every_file_of_a_batch_has_its_verdict_in_order(inbox: Path) -> None:
    good = file_of(instance())
    arrivals = [
        drop(inbox, "a/good", good),
        drop(inbox, "text", b"hello, world and all who live there"),
        drop(inbox, "cut", good[:-5]),
        drop(inbox, "no-uid", raw_file(UIDS)),
        drop(inbox, "broken", raw_instance(raw(0x00082218, "SQ", b"no items"))),
        drop(inbox, "deep", raw_instance(nested(100))),
        drop(inbox, "DICOMDIR", (DATA / "dicomdirtests" / "DICOMDIR").read_bytes()),
        drop(inbox, "empty", b""),
        drop(inbox, os.fsdecode(b"\xff\xfe.dcm"), good),
    ]

    results = examined(inbox, *arrivals)

    assert [one.arrival for one in results] == arrivals
    assert [type(one) for one in results] == [Instance, *[Refusal] * 5, Directory, Refusal, Instance]
    assert [one.reason for one in results if isinstance(one, Refusal)] == [
        Reason.NOT_DICOM,
        Reason.TRUNCATED,
        Reason.MISSING_UID,
        Reason.MALFORMED,
        Reason.TOO_LARGE,
        Reason.NOT_DICOM,
    ]
    assert all(is_detail(one.detail) for one in results if isinstance(one, Refusal))


def nested(levels: int) -> bytes:
    content = b""
    for _ in range(levels):
        content = raw(0x00082218, "SQ", raw_item(content))
    return content


@pytest.mark.parametrize("change", ["grown", "gone", "another file", "folder gone"])
def test_a_file_that_changed_since_it_settled_settles_again(inbox: Path, change: str) -> None:
    arrival = drop(inbox, "a/f", file_of(instance()))
    one = an_instance(inbox, arrival)
    path = inbox / "a" / "f"
    if change == "grown":
        path.write_bytes(path.read_bytes() + b"x")
    elif change == "another file":
        path.rename(inbox / "other")
        path.write_bytes((inbox / "other").read_bytes())
    else:
        path.unlink()
        if change == "folder gone":
            path.parent.rmdir()

    work = work_on(inbox, one)

    for results in (examined(inbox, arrival), digest(work, [one]), transform(work, [one])):
        assert results == [Unready(arrival=arrival)]
    assert not list(work.staging.rglob("*.dcm"))


def test_a_file_that_changes_while_it_is_read_settles_again(inbox: Path) -> None:
    arrival = drop(inbox, "f", file_of(instance()))

    def read_slowly() -> None:
        with original(inbox, arrival):
            (inbox / "f").write_bytes(b"someone writes on")

    assert worker.judged(arrival, read_slowly, TimeLimit(60)) == Unready(arrival=arrival)


def test_a_deflated_file_waits_where_there_is_no_room_to_inflate_it(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrivals = [drop(inbox, "deflated", file_of(instance(), DEFLATED)), drop(inbox, "plain", file_of(instance()))]
    monkeypatch.setattr(tempfile, "tempdir", str(inbox / "nothing"))

    first, second = examined(inbox, *arrivals)

    assert first == Unready(arrival=arrivals[0])
    assert isinstance(second, Instance)


def test_a_link_is_no_file(inbox: Path) -> None:
    arrival = drop(inbox, "real", file_of(instance()))
    (inbox / "link").symlink_to("real")

    (one,) = examined(inbox, replace(arrival, path="link"))

    assert isinstance(one, Refusal)
    assert one.reason == Reason.NOT_A_FILE


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
@pytest.mark.parametrize("size", [4, 70_000, 3_000_000])
def test_a_result_lies_in_the_staging_folder_under_its_new_names(inbox: Path, size: int, syntax: str) -> None:
    ds = instance()
    ds.Columns = 500 if size > 500 else 1
    ds.Rows, ds.BitsAllocated = size // ds.Columns, 8
    ds.add_new(0x7FE00010, "OB", os.urandom(size))
    one = an_instance(inbox, drop(inbox, "f", file_of(ds, syntax)))
    work = work_on(inbox, one)

    (staged,) = transform(work, [one])

    assert isinstance(staged, Staged)
    path = work.staging / staged.series_uid / f"{staged.sop_uid}.dcm"
    after = read(path.read_bytes())
    assert staged.size == path.stat().st_size
    assert after.PixelData == ds.PixelData
    assert (after.PatientID, str(after.SOPInstanceUID), str(after.SeriesInstanceUID)) == (
        SUBJECT,
        staged.sop_uid,
        staged.series_uid,
    )
    assert dict(staged.uids)["1.2.3.4.30"] == staged.sop_uid
    assert staged.sop_class_uid == CT
    assert "1.2.3.4" not in repr(staged)


def test_a_second_run_gives_the_same_bytes_and_a_rest_of_the_first_is_overwritten(inbox: Path) -> None:
    one = an_instance(inbox, drop(inbox, "f", (DATA / "CT_small.dcm").read_bytes()))
    work = work_on(inbox, one, name="research")
    (first,) = transform(work, [one])
    (path,) = work.staging.rglob("*.dcm")
    content = path.read_bytes()
    path.write_bytes(content + b"rest of a killed run" * 100)

    (second,) = transform(work, [one])

    assert first == second
    assert path.read_bytes() == content


def test_each_new_uid_of_a_batch_is_told_once(inbox: Path) -> None:
    ds = instance()
    first = an_instance(inbox, drop(inbox, "1", file_of(ds)))
    ds.SOPInstanceUID = pydicom.uid.UID("1.2.3.4.31")
    second = an_instance(inbox, drop(inbox, "2", file_of(ds)))

    results = transform(work_on(inbox, first, second), [first, second])

    told = [old for staged in results if isinstance(staged, Staged) for old, _ in staged.uids]
    assert sorted(told) == ["1.2.3.4.10", "1.2.3.4.20", "1.2.3.4.30", "1.2.3.4.31"]


def variants() -> list[bytes]:
    """Instances of one Series that are alike but for one thing each, so that what repeats is tempting."""
    made = []
    for number in range(12):
        ds = instance()
        ds.SOPInstanceUID = pydicom.uid.UID(f"1.2.3.4.3{number}")
        ds.SpecificCharacterSet = "ISO_IR 192" if number == 7 else "ISO_IR 100"
        ds.StudyDate, ds.ContentDate = "20040101", f"200401{number + 1:02d}"
        ds.StudyDescription, ds.SeriesDescription, ds.ProtocolName = "Mallory", "Head", "Of Eve Mallory"
        ds.ManufacturerModelName = "Scanner of Trent" if number == 5 else "Scanner"
        ds.PatientName = "Trent^T" if number == 8 else "Mallory^Eve"
        if number != 4:
            ds.InstitutionName = "Saint Elsewhere"
        ds.Rows = number
        made.append(file_of(ds, IMPLICIT if number == 9 else EXPLICIT))
    return made


def whole(one: Instance) -> Instance:
    """Without the question which of its identities it has in common with others."""
    return replace(one, own=one.identity, common=frozenset())


@pytest.mark.parametrize("name", ["basic", "research"])
def test_a_batch_gives_for_each_file_what_the_file_alone_gives(inbox: Path, name: str) -> None:
    arrivals = [drop(inbox, f"{number:02d}", content) for number, content in enumerate(variants() * 2)]
    alone = []
    for arrival in arrivals:
        worker._known.cache_clear()
        alone.append(an_instance(inbox, arrival))
    work = work_on(inbox, *alone, name=name)

    assert [whole(one) for one in examined(inbox, *arrivals) if isinstance(one, Instance)] == [
        whole(one) for one in alone
    ]
    results = []
    for batches in ([alone], [[one] for one in alone]):
        verdicts = [verdict for batch in batches for verdict in transform(work, batch)]
        results.append(
            [
                (work.staging / one.series_uid / f"{one.sop_uid}.dcm").read_bytes()
                if isinstance(one, Staged)
                else (one.reason, one.detail)
                for one in verdicts
                if isinstance(one, Staged | Refusal)
            ]
        )

    assert results[0] == results[1]
    assert [index for index, one in enumerate(results[0]) if isinstance(one, tuple)] == [5, 17]


def test_the_gate_refuses_and_leaves_nothing_in_the_staging_folder(inbox: Path) -> None:
    leak = raw(0x00082218, "SQ", raw_item(raw(0x00080104, "LO", b"Mallory ")))
    one = an_instance(inbox, drop(inbox, "f", raw_instance(leak)))
    work = work_on(inbox, one)

    (refusal,) = transform(work, [one])

    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.detail) == (Reason.IDENTITY_FOUND, "(0008,2218)[0](0008,0104) name")
    assert not [path for path in work.staging.rglob("*") if path.is_file()]


def test_the_gate_knows_the_identity_of_the_whole_study(inbox: Path) -> None:
    ds = instance()
    ds.SOPInstanceUID, ds.ManufacturerModelName = pydicom.uid.UID("1.2.3.4.31"), "of Trent"
    first, second = (an_instance(inbox, drop(inbox, "1", file_of(ds))), instance())
    second.PatientName = "Trent^T"
    other = an_instance(inbox, drop(inbox, "2", file_of(second)))

    (alone,) = transform(work_on(inbox, first), [first])
    together, _ = transform(work_on(inbox, first, other), [first, other])

    assert isinstance(alone, Staged)
    assert isinstance(together, Refusal)
    assert together.reason == Reason.IDENTITY_FOUND


def test_an_unwritable_staging_folder_is_weather_and_no_verdict(inbox: Path) -> None:
    one = an_instance(inbox, drop(inbox, "f", file_of(instance())))
    work = work_on(inbox, one)
    work.staging.rmdir()

    with pytest.raises(OSError):
        transform(work, [one])


def test_a_digest_tells_whether_two_files_are_the_same(inbox: Path) -> None:
    ds = instance()
    names = {"a": file_of(ds), "b": file_of(ds), "c": file_of(ds) + b"\0\0"}
    instances = [an_instance(inbox, drop(inbox, name, content)) for name, content in names.items()]
    work = work_on(inbox, *instances)

    first, second, third = digest(work, instances)

    assert first == second != third
    assert digest(replace(work, secret=SECRET[::-1]), instances[:1]) != [first]
    (staged,) = transform(work, instances[:1])
    assert isinstance(staged, Staged)
    assert staged.digest == first


def test_an_unexpected_error_tells_its_place_and_never_a_value() -> None:
    arrival = Arrival(project="p", path="x", fingerprint=fingerprint(os.stat("/")))

    def fail() -> None:
        raise KeyError("Mallory")

    result = worker.judged(arrival, fail, TimeLimit(60))

    assert isinstance(result, Refusal)
    assert result.reason == Reason.FAILED
    assert result.detail.startswith("KeyError in test_worker:")
    assert is_detail(result.detail)


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_file_that_is_too_much_is_too_large(error: type[Exception]) -> None:
    arrival = Arrival(project="p", path="x", fingerprint=fingerprint(os.stat("/")))

    def fail() -> None:
        raise error

    assert worker.judged(arrival, fail, TimeLimit(60)) == Refusal(arrival=arrival, reason=Reason.TOO_LARGE)


def test_a_file_that_takes_too_long_is_timed_out() -> None:
    arrival = Arrival(project="p", path="x", fingerprint=fingerprint(os.stat("/")))
    before = signal.getsignal(signal.SIGPROF)

    def hang() -> None:
        while True:
            pass

    with time_limit(0.05) as limit:
        assert worker.judged(arrival, hang, limit) == Refusal(arrival=arrival, reason=Reason.TIMED_OUT)
    assert signal.getsignal(signal.SIGPROF) == before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_who_looks_how_long_a_file_takes_looks_again_when_its_time_is_up() -> None:
    """And not a third of its time later, when the kernel is about to end the process."""
    with time_limit(45) as limit, limit:
        limit._begun -= 44
        limit.tick(signal.SIGPROF, None)

        assert 0 < signal.getitimer(signal.ITIMER_PROF)[0] <= 1.1


def test_threads_take_little_of_the_memory_that_a_worker_may_map() -> None:
    code = """
import concurrent.futures, re, threading
from pathlib import Path
from coatcheck.limits import ADDRESS_SPACE, bind_memory

def mapped():
    return int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10

bind_memory(ADDRESS_SPACE)
before, together = mapped(), threading.Barrier(8)
with concurrent.futures.ThreadPoolExecutor(8) as threads:
    list(threads.map(lambda _: (together.wait(), bytes(100_000)), range(8)))
print(mapped() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 8 * 8 + 100  # MiB: the stacks of the threads, and little else


def test_a_slow_disk_is_no_fault_of_a_file() -> None:
    arrival = Arrival(project="p", path="x", fingerprint=fingerprint(os.stat("/")))

    def wait() -> Refusal:
        threading.Event().wait(0.2)
        return Refusal(arrival=arrival, reason=Reason.MALFORMED)

    with time_limit(0.05) as limit:
        assert worker.judged(arrival, wait, limit) == Refusal(arrival=arrival, reason=Reason.MALFORMED)


def test_a_source_that_cannot_be_read_is_no_weather_of_the_outbox(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"abc")
    with (tmp_path / "short").open("rb") as source, (tmp_path / "out").open("wb") as out, pytest.raises(Changed):
        Passage(source.fileno()).copy(0, 100_000, out.fileno())


def test_a_worker_in_a_thread_does_its_work_without_signals(inbox: Path) -> None:
    arrival = drop(inbox, "f", file_of(instance()))
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.extend(examined(inbox, arrival)))
    thread.start()
    thread.join()

    assert [type(one) for one in results] == [Instance]


def test_what_goes_to_and_from_a_worker_can_be_pickled(inbox: Path) -> None:
    one = an_instance(inbox, drop(inbox, "f", file_of(instance())))
    work = work_on(inbox, one)

    results = transform(pickle.loads(pickle.dumps(work)), pickle.loads(pickle.dumps([one])))

    assert pickle.loads(pickle.dumps(results)) == results
    assert "Mallory" not in repr((one, work, results))
