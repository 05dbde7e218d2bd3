"""What is delivered beside and around the results: layouts, DICOMDIR, zip, receipts, NIfTI, and a command after it."""

from __future__ import annotations

import copy
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.fileset import FileSet

from coatcheck.layout import SHIPPED
from tests.acceptance import studies
from tests.acceptance.house import House, alive, tree, wait_until
from tests.faults.crash import NEVER, killed, points, traced
from tests.faults.need import needs_strace
from tests.flow.test_archives import zipped

OWN = {"folder": "{subject}", "file": "{Modality}", "extension": "none"}
LAYOUTS: dict[str, Any] = {**{name: name for name in SHIPPED}, "own": OWN}
WITH: dict[str, dict[str, Any]] = {
    **{name: {"layout": layout} for name, layout in LAYOUTS.items()},
    "directory": {"dicomdir": True},
    "receipt": {"receipt": "checksums", "layout": "flat"},
    "zip": {"dicomdir": True, "receipt": "checksums", "zip": True},
    "zip-too": {"dicomdir": True, "receipt": "checksums", "zip": True},
    "nifti": {"nifti": True, "receipt": True},
}
GEOMETRY: dict[str, Any] = {
    "PixelSpacing": [1, 1],
    "SliceThickness": "2",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
}
RAW = "1.2.840.10008.5.1.4.1.1.66"
NO_IMAGE: dict[str, Any] = {"Rows": None, "Columns": None, "PixelData": None, "Modality": "OT"}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house")


def at(house: House, project: str) -> House:
    """The same house, seen from one of its projects."""
    found = copy.copy(house)
    found.project = project
    return found


def drop(house: House, *numbers: int, study: int = 1) -> None:
    for number in numbers:
        place = [0, 0, 2 * number]
        content = studies.instance(study, number, series=number % 2, ImagePositionPatient=place, **GEOMETRY)
        house.drop(f"Röntgen {study}/BILD{number}.IMA", content)


def visible(house: House) -> dict[str, bytes]:
    return {path: content for path, content in house.delivered().items() if not path.startswith(".")}


def folders(house: House) -> list[str]:
    sql = "SELECT folder FROM deliveries JOIN studies ON studies.id = study_id WHERE project = ? ORDER BY deliveries.id"
    return [folder for (folder,) in house.rows(sql, house.project)]


def receipts(house: House) -> dict[str, Any]:
    return {path: json.loads(content) for path, content in tree(house.outbox / ".receipts").items()}


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A project for each layout and each output, after two runs: two Studies, and then a late part of the first."""
    whole = House(tmp_path_factory.mktemp("houses") / "house", *WITH)
    for project, settings in WITH.items():
        whole.configure(project, **settings)
        if project not in LAYOUTS and project != "nifti":
            whole.configure(project, profile="research")
        drop(at(whole, project), 1, 2, 3)
        drop(at(whole, project), 1, study=2)
    odd = at(whole, "receipt")
    odd.drop("again", studies.instance(1, 4, series=0, ImagePositionPatient=[0, 0, 8], **GEOMETRY))
    odd.drop("and again", studies.instance(1, 4, series=0, ImagePositionPatient=[0, 0, 8], **GEOMETRY))
    odd.drop("risk", studies.instance(1, 5, BurnedInAnnotation="YES"))
    at(whole, "nifti").drop("raw", studies.instance(1, 9, series=9, sop_class=RAW, **NO_IMAGE))
    whole.deliver(expect=3)
    for project in LAYOUTS:
        drop(at(whole, project), 4)
    whole.deliver()
    return whole


def said(house: House, text: str) -> list[str]:
    return [line for line in house.command("doctor").stdout.splitlines() if text in line]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_has_one_folder_for_each_delivery_and_the_same_bytes_in_it(houses: House, layout: str) -> None:
    house, plain = at(houses, layout), at(houses, "subject-study")

    found = visible(house)

    assert len(set(folders(house))) == len(folders(house)) == 3
    assert any(folders(house)[2].startswith(folder.removesuffix(".2")) for folder in folders(house)[:2])
    assert all(any(path.startswith(f"{folder}/") for path in found) for folder in folders(house))
    assert all(sum(path.startswith(f"{folder}/") for folder in folders(house)) == 1 for path in found)
    assert len(found) == len(visible(plain)) == 5
    mapped = {studies.read(content).SOPInstanceUID for content in found.values()}
    assert len(mapped) == 5


def test_the_doctor_finds_every_delivery_whole_in_every_layout(houses: House) -> None:
    lines = said(houses, "deliveries lie whole in the outbox, 0 were collected")

    assert sorted(line.split(": ")[1] for line in lines) == sorted(WITH)
    assert [line for line in lines if " 3 deliveries" in line or " 2 deliveries" in line] == lines


def test_results_are_the_same_to_the_byte_whatever_their_names_are(tmp_path: Path) -> None:
    plain = House(tmp_path / "plain")
    other = plain.twin(tmp_path / "other", layout=OWN, receipt=True)
    for one in (plain, other):
        drop(one, 1, 2, 3)

    logs = [one.deliver() for one in (plain, other)]

    assert sorted(plain.delivered().values()) == sorted(visible(other).values())
    assert "2 names were taken already in this delivery and got a number" in logs[1]
    assert "names were taken" not in logs[0]
    [receipt] = receipts(other).values()
    assert receipt["names"] == {"numbered": 2, "replaced": 0}


def test_the_original_names_are_called_a_leak_and_those_that_name_the_patient_do_not_get_out(house: House) -> None:
    house.configure(layout="original")
    house.drop("CD/harmless.IMA", studies.instance(1, 1, PatientName="Habermann^Gerda"))
    house.drop("Habermann/2.IMA", studies.instance(1, 2, PatientName="Habermann^Gerda"))

    checked = house.command("check")
    log = house.deliver()

    assert checked.returncode == 0
    assert "layout: puts the names that were dropped into the outbox: a leak" in checked.stdout + checked.stderr
    names = sorted(path.split("/", 2)[2] for path in visible(house))
    assert "CD/harmless.IMA" in names
    assert re.fullmatch(r"2\.25\.\d+/2\.25\.\d+\.IMA", next(name for name in names if "CD" not in name))
    assert "1 names were not fit for the outbox" in log
    assert "Habermann" not in log + "".join(names)


def test_the_original_names_are_those_that_people_dropped_wherever_the_originals_lie_now(house: House) -> None:
    house.configure(layout="original", profile="research")
    house.drop("disc.zip", zipped({"DICOM/1.IMA": studies.instance(1, 1)}))
    house.drop("CD 2/1.IMA", studies.instance(2, 1))
    house.deliver()
    (ticket,) = (one for (one,) in house.rows("SELECT ticket FROM studies") if list(house.archive.glob(f"{one}/CD 2")))

    assert house.command("reprocess", ticket, "--profile", "basic").returncode == 0

    names = sorted(path.split("/", 2)[2] for path in visible(house))
    assert names == ["CD_2/1.IMA", "CD_2/1.IMA", "disc.zip/DICOM/1.IMA"]


def test_folders_of_deliveries_are_never_taken_twice_nor_lie_in_one_another(house: House) -> None:
    house.configure(layout={"folder": "{subject}", "file": "{SOPInstanceUID}"})
    drop(house, 1)
    house.deliver()
    shutil.rmtree(house.outbox / folders(house)[0])  # it was collected
    drop(house, 1, study=2)
    house.deliver()
    house.configure(layout="flat")
    drop(house, 1, study=3)

    house.deliver()

    one, two, three = folders(house)
    assert two == f"{one}.2"
    assert three.startswith(f"{one}_/")


def test_a_dicomdir_refers_to_the_files_where_they_are(houses: House) -> None:
    house = at(houses, "directory")
    root = house.outbox / next(
        folder for folder in folders(house) if len(list((house.outbox / folder).rglob("IM*"))) == 3
    )

    files = FileSet(root / "DICOMDIR")

    assert sorted(Path(one.path).relative_to(root).as_posix() for one in files) == [
        "SE000001/IM000001",
        "SE000002/IM000001",
        "SE000002/IM000002",
    ]
    for one in files:
        assert one.load().SOPInstanceUID == one.SOPInstanceUID
    files._stage["t"].cleanup()
    tool = shutil.which("dciodvfy", path=str(Path(sys.executable).parent))
    if tool is not None:
        judged = subprocess.run([tool, root / "DICOMDIR"], capture_output=True, text=True, check=False)
        assert "Error" not in judged.stdout + judged.stderr


def test_a_receipt_counts_and_names_nobody(houses: House) -> None:
    house = at(houses, "receipt")
    receipt = next(one for one in receipts(house).values() if one["refused"])
    folder = next(folder for folder in folders(house) if receipt["study_instance_uid"] in folder)

    assert f"{folder}.json" in receipts(house)
    assert receipt["instances"] == {"received": 6, "delivered": 4, "duplicates": 1, "refused": 1}
    assert receipt["refused"] == {"pixel-risk": 1}
    assert receipt["methods"][0] == {"code": "113100", "meaning": "Basic Application Confidentiality Profile"}
    for file in receipt["files"]:
        content = (house.outbox / folder / file["path"]).read_bytes()
        assert (file["size"], file["sha256"]) == (len(content), sha256(content).hexdigest())
    text = json.dumps(receipt)
    original = studies.read(studies.instance(1, 1))
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SOPInstanceUID", "StudyDate", "AccessionNumber"):
        assert str(original[keyword].value) not in text
    assert "ntgen" not in text and "BILD" not in text


def test_a_zip_has_the_same_bytes_each_time_and_the_doctor_looks_into_it(houses: House) -> None:
    house, other = at(houses, "zip"), at(houses, "zip-too")

    files = [[zipfile.ZipFile(io.BytesIO(one)) for one in visible(two).values()] for two in (house, other)]

    assert [len(one) for one in files] == [2, 2]
    for archive in files[0]:
        assert archive.namelist()[:2] == ["DICOMDIR", "SE000001/IM000001"]
        assert {(entry.date_time, entry.compress_type) for entry in archive.infolist()} == {((1980, 1, 1, 0, 0, 0), 0)}
        assert pydicom.dcmread(io.BytesIO(archive.read("SE000001/IM000001"))).Modality == "CT"
    path, content = next(iter(visible(house).items()))
    (house.outbox / path).write_bytes(content[: len(content) // 2])
    assert said(house, "problem: zip: 1 deliveries lack files in the outbox")
    (house.outbox / path).write_bytes(content)


def test_series_become_nifti_and_what_cannot_be_converted_holds_up_nothing(houses: House) -> None:
    pytest.importorskip("dcm2niix")
    house = at(houses, "nifti")
    folder, receipt = next((path[:-5], one) for path, one in receipts(house).items() if one["nifti"]["not_converted"])
    subject = folder.split("/")[0]

    made = sorted(path for path in visible(house) if path.startswith(f"{folder}/nifti/"))

    assert {Path(one).parent.as_posix() for one in made} == {f"{folder}/nifti/sub-{subject}/ses-{receipt['ticket']}"}
    assert {"".join(Path(one).suffixes) for one in made} == {".nii.gz", ".json"}
    assert receipt["nifti"] == {"series": 2, "not_converted": 1}
    assert len([path for path in visible(house) if path.endswith(".dcm")]) == 5


def script(house: House, text: str) -> Path:
    """A program that is run after delivery; it speaks to its own folder alone."""
    path = house.root / "told.sh"
    path.write_text(f"#!/bin/sh\necho a name that must not be logged; echo this neither >&2\n{text}\n")
    path.chmod(0o755)
    return path


def commands(house: House) -> list[tuple[Any, ...]]:
    return house.rows("SELECT state, tries, exit_code FROM commands ORDER BY delivery_id")


def test_a_command_is_run_after_each_delivery_with_what_it_asks_for_and_nothing_else(house: House) -> None:
    path = script(house, f'printf "%s\\n" "$@" >> {house.root}/told; env >> {house.root}/environment')
    house.configure(after_delivery=[str(path), "{ticket} of {project}", "{folder}", "{subject}/{study_uid}/{number}"])
    drop(house, 1)
    drop(house, 1, study=2)

    log = house.deliver()

    told = (house.root / "told").read_text().splitlines()
    assert told[1::3] == [str(house.outbox / folder) for folder in folders(house)]
    assert told[2::3] == [f"{folder}/1" for folder in folders(house)]
    assert all(re.fullmatch(r"[0-9A-Z]{10} of lung", line) for line in told[::3])
    assert commands(house) == [("done", 1, 0)] * 2
    names = {line.split("=")[0] for line in (house.root / "environment").read_text().splitlines()}
    assert names <= {"PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_"}
    assert log.count("the command after delivery ended with exit code 0") == 2
    assert "a name that must not" not in log and "this neither" not in log


def test_a_command_that_fails_is_a_fault_and_undoes_nothing_and_the_next_start_tries_anew(house: House) -> None:
    path = script(house, "exit 7")
    house.configure(after_delivery={"command": [str(path)], "tries": 1})
    drop(house, 1)

    house.deliver(expect=1)

    assert commands(house) == [("failed", 1, 7)]
    assert len(visible(house)) == 1 and house.kept()
    assert [fault["what"] for fault in house.line()["faults"]] == ["the command after delivery ended with exit code 7"]
    script(house, "exit 0")
    house.deliver()
    assert commands(house) == [("done", 2, 0)]
    assert house.line()["faults"] == []


def test_a_command_that_hangs_is_ended_with_all_that_it_began_and_holds_up_no_study(house: House) -> None:
    path = script(house, f"sleep 300 & echo $! > {house.root}/child; wait")
    house.configure(after_delivery={"command": [str(path)], "time_limit": "1s", "tries": 1})
    drop(house, 1)

    house.deliver(expect=1)

    assert commands(house)[0][:2] == ("failed", 1)
    assert house.line()["faults"][0]["what"] == "the command after delivery ran longer than its time limit"
    wait_until(lambda: not alive(int((house.root / "child").read_text())), "its child is gone")


def test_a_command_that_ran_when_the_service_died_is_run_again(house: House) -> None:
    path = script(house, f"echo x >> {house.root}/told; [ -e {house.root}/go ] || sleep 300")
    house.configure(after_delivery=[str(path)])
    drop(house, 1)
    service = house.start()
    wait_until((house.root / "told").exists, "the command runs")
    drop(house, 1, study=2)
    wait_until(lambda: len(folders(house)) == 2 and not house.unfinished(), "another Study goes its way meanwhile")
    service.kill()
    assert commands(house) == [("waiting", 0, None)] * 2
    (house.root / "go").touch()

    house.deliver()

    assert commands(house) == [("done", 1, 0)] * 2
    assert (house.root / "told").read_text() == "x\n" * 3


UNDYING = """#!{python}
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.prctl(0x59616D61, ctypes.c_ulong(-1 & 0xFFFFFFFFFFFFFFFF), 0, 0, 0)  # whoever wants to may trace it
me = os.getpid()
if os.fork():
    time.sleep(300)
os.setsid()
made = libc.ptrace(0x4206, me, None, None)  # PTRACE_SEIZE: nobody hears of its end before this process lets go
with open("{root}/tracer.tmp", "w") as out:
    out.write(str(-1 if made else os.getpid()))
os.rename("{root}/tracer.tmp", "{root}/tracer")
time.sleep(300)
"""


def test_a_command_that_does_not_even_die_does_not_hold_up_the_end(house: House) -> None:
    path = script(house, "")
    path.write_text(UNDYING.format(python=sys.executable, root=house.root))
    house.configure(after_delivery=[str(path)])
    drop(house, 1)
    service = house.start()
    wait_until((house.root / "tracer").exists, "the command runs")
    tracer = int((house.root / "tracer").read_text())
    try:
        service.stop()
    finally:
        if tracer > 0:
            os.kill(tracer, signal.SIGKILL)
    if tracer < 0:
        pytest.skip("nobody may trace here")
    assert commands(house) == [("waiting", 0, None)]


def test_check_names_what_is_not_there(house: House) -> None:
    house.configure(after_delivery=["/not/there"], dicomdir=True, layout="flat")

    wrong = house.command("check")

    assert wrong.returncode == 78
    assert "dicomdir: a DICOMDIR can only name files of the layout `media`" in wrong.stdout + wrong.stderr
    house.configure(layout="media")
    wrong = house.command("check")
    assert "after_delivery: the command is not there or cannot be run" in wrong.stdout + wrong.stderr


def test_a_kill_while_all_of_it_is_made_or_released_gives_the_same_names_and_bytes(tmp_path: Path) -> None:
    needs_strace()
    wanted: dict[str, Any] = {"dicomdir": True, "receipt": "checksums", "zip": True, "after_delivery": ["/bin/true"]}
    peace = House(tmp_path / "peace", **wanted)
    drop(peace, 1, 2)
    assert traced(peace, NEVER, tmp_path / "record").returncode == 0
    made = [point for point in points(tmp_path / "record") if point.call in ("rename", "renameat")]
    for point in (made[0], *made[-3:]):
        house = peace.twin(tmp_path / f"{point.call}-{point.number}")
        drop(house, 1, 2)

        assert killed(house, point, tmp_path / "died").returncode == -9
        house.deliver()

        assert house.delivered() == peace.delivered()
        assert not house.unfinished() and not house.staging()
        assert [state for state, *_ in commands(house)] == ["done"]
