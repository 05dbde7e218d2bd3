"""One made-up object, and what each profile makes of it: the table of ``profiles/README.md``.

``python -m tests.tools.showcase`` prints the table as it should stand there.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread

from coatcheck.profile_file import built_in, load_profile
from tests.support import MR, file_of, instance
from tests.tools.delivering import deliver

ATTRIBUTES: dict[str, str] = {
    "PatientName": "Miller^Anna",
    "PatientBirthDate": "19300214",
    "PatientAge": "093Y",
    "PatientSex": "F",
    "PatientWeight": "71.5",
    "StudyDate": "20230612",
    "StudyTime": "101530",
    "StudyDescription": "Follow-up Miller brain",
    "SeriesDescription": "T1 MPRAGE sag",
    "ImageComments": "see 2023-06-12, Dr Smith",
    "SequenceName": "*tfl3d1",
    "RepetitionTime": "2300",
    "InstitutionName": "St. Elsewhere",
    "Manufacturer": "SIEMENS",
    "DeviceSerialNumber": "35119",
    "TreatmentMachineName": "LINAC 3",
    "ReferringPhysicianName": "Smith^Bob",
    "RadiopharmaceuticalStartTime": "091203",
    "FrameOfReferenceUID": "1.2.840.99.7.1",
}
_PRIVATE: dict[tuple[int, str, int, str], Any] = {
    (0x19, "SIEMENS MR HEADER", 0x0C, "IS"): "1000",
    (0x29, "SIEMENS CSA HEADER", 0x10, "OB"): b"Miller p2 ",
    (0x99, "ANYBODY", 0x01, "LO"): "anything",
}


def original() -> Dataset:
    """An MR image of Anna Miller."""
    ds = instance(MR)
    ds.Modality, ds.StudyInstanceUID, ds.PatientID = "MR", "1.2.840.99.7.2", "MRN-7755"
    for keyword, value in ATTRIBUTES.items():
        setattr(ds, keyword, value)
    for (group, creator, element, vr), value in _PRIVATE.items():
        ds.add_new((group, 0x10), "LO", creator)
        ds.add_new((group, 0x1000 | element), vr, value)
    return ds


def _told(ds: Dataset, tag: Any) -> str:  # noqa: ANN401 - whatever names an element in pydicom
    if tag not in ds:
        return "-"
    value = ds[tag].value
    text = value.decode().strip() if isinstance(value, bytes) else str("" if value is None else value)
    return "2.25…" if text.startswith("2.25.") else text or "empty"


def cells(ds: Dataset) -> dict[str, str]:
    """What is shown of an object, by what it is called in the table; ``-`` for what is gone."""
    found = {keyword: _told(ds, keyword) for keyword in ATTRIBUTES}
    for group, creator, element, _ in _PRIVATE:
        found[f'({group:04X},"{creator}",{element:02X})'] = _told(ds, (group, 0x1000 | element))
    return found


def shown() -> list[list[str]]:
    """The rows of the table: what it is, before, and after under each profile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "in" / "one.dcm").write_bytes(file_of(original()))
        columns = [cells(original())]
        for profile in built_in():
            delivery = deliver(folder / "in", folder / profile, load_profile(profile, folder))
            columns.append(cells(dcmread(folder / profile / delivery.results["one.dcm"])))
    head = ["attribute", "before", *(f"`{profile}`" for profile in built_in())]
    return [head, *([f"`{key}`", *(column[key] for column in columns)] for key in columns[0])]


if __name__ == "__main__":
    for number, row in enumerate(shown()):
        print(f"| {' | '.join(row)} |")
        if not number:
            print("|" + "---|" * len(row))
