from __future__ import annotations

import pytest

from coatcheck.intake.names import is_left_alone, is_litter, is_temporary


@pytest.mark.parametrize(
    "name",
    [
        ".IM0001.x7Kq2", ".nfs000000000012", ".smbdeleteAAA1", "~$report.dcm", "IM1.part", "IM1.partial",
        "IM1.dcm.filepart", "IM1.tmp", "IM1.crdownload", "IM1.PART", "IM1.Tmp", "a\udcff.part",
    ],
)  # fmt: skip
def test_names_of_files_on_their_way_are_temporary(name: str) -> None:
    assert is_temporary(name)
    assert is_left_alone(name)


@pytest.mark.parametrize(
    "name", ["Thumbs.db", "THUMBS.DB", "desktop.ini", "Desktop.ini", ".DS_Store", "._IM1", "@eaDir", "__MACOSX"]
)
def test_what_operating_systems_leave_behind_is_litter(name: str) -> None:
    assert is_litter(name)
    assert is_left_alone(name)


@pytest.mark.parametrize(
    "name",
    [
        "IM1", "IM1.dcm", "DICOMDIR", "1.2.840.10008", "part", "tmp", "IM1.part.dcm", "department", "~IM1", "$IM1",
        "thumbs.db.dcm", "__macosx", "@EADIR", "x.nfs1", "\udcff\udcfe", "IM1.tmp2", "IM1.",
    ],
)  # fmt: skip
def test_other_names_are_taken(name: str) -> None:
    assert not is_left_alone(name)
