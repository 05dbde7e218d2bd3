"""The corpus for measurements is what its description says, small or large."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import ImplicitVRLittleEndian


@pytest.fixture(scope="module")
def corpus(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    script = repository / "scripts" / "make_corpus.py"
    subprocess.run([sys.executable, str(script), str(folder), "--scale", "0.002", "--only", "ct,mr,mf"], check=True)
    return folder


def test_each_part_is_one_study_in_four_series(corpus: Path) -> None:
    for part in ("ct", "mr"):
        headers = [dcmread(path, stop_before_pixels=True) for path in sorted((corpus / part).rglob("*.dcm"))]
        assert len(headers) == 4
        assert len({header.StudyInstanceUID for header in headers}) == 1
        assert len({header.SeriesInstanceUID for header in headers}) == 4
        assert len({header.SOPInstanceUID for header in headers}) == 4


def test_every_second_mr_is_implicit_and_the_sizes_are_as_described(corpus: Path) -> None:
    paths = sorted((corpus / "mr").rglob("*.dcm"))
    assert [dcmread(path).file_meta.TransferSyntaxUID == ImplicitVRLittleEndian for path in paths] == [
        *(False, True, False, True),
    ]
    assert all(530_000 < path.stat().st_size < 540_000 for path in (corpus / "ct").rglob("*.dcm"))


def test_the_multi_frame_file_has_a_functional_group_for_each_frame(corpus: Path) -> None:
    ds = dcmread(corpus / "mf" / "enhanced.dcm")
    assert len(ds.PerFrameFunctionalGroupsSequence) == ds.NumberOfFrames == 500
    assert len(ds.PixelData) == ds.Rows * ds.Columns * 2 * 500
