"""Real files that installed packages bring along, and identifiers planted on top of them."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.tools.key import AnswerKey, Plant, PlantedFileEntry
from tests.tools.plant import lenient_pydicom
from tests.tools.plant.items import item
from tests.tools.plant.person import Person, make_person
from tests.tools.plant.planted import path_of

_BULK = 4 << 20  # larger files show nothing that smaller ones do not


def real_files() -> list[Path]:
    """The files of pydicom and pydicom-data; nothing is downloaded."""
    data = Path(pydicom.__file__).parent / "data"
    spec = importlib.util.find_spec("data_store")  # the package pydicom-data, which has no types
    roots = [data / "test_files", data / "charset_files", *map(Path, (spec and spec.submodule_search_locations) or ())]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]
    return [path for path in files if path.suffix not in (".py", ".pyc")]


def plant_over(folder: Path, seed: int = 1, *, every: int = 1) -> AnswerKey:
    """Writes each real image below ``folder`` with identifiers of a made-up person on top; ``every`` nth file only.

    Files of one Study or one Patient ID get the same person. Several samples are one Instance in other encodings: all
    but the first get a UID of their own.
    """
    rng, people, entries = random.Random(seed), dict[str, Person](), list[PlantedFileEntry]()
    seen: set[str] = set()
    folder.mkdir(parents=True, exist_ok=True)
    with lenient_pydicom():
        for number, path in enumerate(real_files()[::every]):
            ds = _image(path)
            if ds is None:
                continue
            who = _person(ds, people, rng)
            if ds.SOPInstanceUID in seen:
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"{who.root}.4.{number}")
            seen.add(ds.SOPInstanceUID)
            entry = _planted(ds, who, f"{number:03d}_{path.name}", folder)
            entries += [entry] if entry is not None else []
    return {"generator": "coatcheck plant over real files 1", "seed": seed, "files": entries}


def _person(ds: FileDataset, people: dict[str, Person], rng: random.Random) -> Person:
    study, patient = str(ds.StudyInstanceUID), str(ds.get("PatientID") or ds.StudyInstanceUID)
    who = people.get(study) or people.get(patient) or make_person(rng, len(people))
    people[study] = people[patient] = who
    return who


def _image(path: Path) -> FileDataset | None:
    """An object with pixels, or one of radiotherapy or of waveforms; None for what cannot be read or written as one."""
    if path.stat().st_size > _BULK:
        return None
    try:
        ds = pydicom.dcmread(path, force=True)
        whole = all(ds.get(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"))
        return ds if whole and ds.get("SeriesInstanceUID") and "TransferSyntaxUID" in ds.file_meta else None
    except Exception:  # whatever pydicom throws at a broken file
        return None


def _planted(ds: FileDataset, who: Person, name: str, folder: Path) -> PlantedFileEntry | None:
    plants = list(_plants(ds, who))
    try:
        ds.preamble = f"II*\0{who.mrn}".encode().ljust(128, b"\0")
        dcmwrite(folder / name, ds, enforce_file_format=True)
    except Exception:  # what pydicom cannot write again is left out
        (folder / name).unlink(missing_ok=True)
        return None
    return {
        "file": name,
        "sop_class": str(ds.SOPClassUID),
        "modality": str(ds.get("Modality", "")),
        "transfer_syntax": str(ds.file_meta.TransferSyntaxUID),
        "charset": str(ds.get("SpecificCharacterSet", "")),
        "plants": [{**plant, "id": f"{name}#{number}"} for number, plant in enumerate(plants)],
    }


def _plants(ds: FileDataset, who: Person) -> Iterator[Plant]:
    """Sets the attributes and says what was set."""
    yield _put(ds, "PatientName", who.name, (who.family, who.given, who.middle))
    for keyword, value in (
        ("PatientID", who.mrn),
        ("AccessionNumber", who.accession),
        ("InstitutionName", who.hospital),
        ("StationName", who.station),
        ("DeviceSerialNumber", who.serial),
        ("OtherPatientIDs", who.ssn),
        ("PatientAddress", who.street),
        ("PatientTelephoneNumbers", who.phone),
    ):
        yield _put(ds, keyword, value, (value,))
    yield _put(ds, "ReferringPhysicianName", f"{who.physician}^Ref", (who.physician,))
    yield _put(ds, "OperatorsName", f"{who.operator}^Op", (who.operator,))
    yield _put(ds, "PatientBirthDate", who.birth_date, (who.birth_date,), "date_changed", "date")
    yield _put(ds, "StudyDate", who.study_date, (who.study_date,), "date_changed", "date")
    yield from _texts(ds, who)
    request = item(RequestedProcedureDescription=f"follow-up nodule {who.free}"[:64], ScheduledProcedureStepID="1")
    ds.RequestAttributesSequence = Sequence([request])
    nested = "(0040,0275)[0](0032,1060)"
    yield _plant(nested, request.RequestedProcedureDescription, (who.family, who.given), "text_removed")
    ds.add_new((0x99, 0x10), "LO", "SCORE")
    ds.add_new((0x99, 0x1001), "LO", who.free)
    ds.add_new((0x99, 0x1002), "OB", who.ssn.encode() + b"\0" * (len(who.ssn) % 2))
    yield _plant("(0099,1001)", who.free, (who.free,))
    yield _plant("(0099,1002)", who.ssn, (who.ssn,))


def _texts(ds: FileDataset, who: Person) -> Iterator[Plant]:
    """Words that research needs, with a person among them."""
    iso = f"{who.study_date[:4]}-{who.study_date[4:6]}-{who.study_date[6:]}"
    for keyword, words, secret in (
        ("StudyDescription", "MR head contrast", who.family),
        ("SeriesDescription", "T1 MPRAGE sag", f"_{who.mrn}"),
        ("ProtocolName", "THORAX routine", who.initial.lower()),
        ("ImageComments", "Lung nodule 4 mm, seen by Dr", who.physician),
        ("PatientComments", "CT CHEST on", iso),
    ):
        yield _put(ds, keyword, f"{words} {secret}", (secret.strip("_"),), "text_removed")


def _put(
    ds: FileDataset, keyword: str, value: str, tokens: tuple[str, ...], action: str = "removed", kind: str = "text"
) -> Plant:
    setattr(ds, keyword, value)
    return _plant(path_of(keyword), value, tokens, action, kind)


def _plant(path: str, value: str, tokens: tuple[str, ...], action: str = "removed", kind: str = "text") -> Plant:
    return {
        "id": "",
        "path": path,
        "kind": kind,
        "value": value,
        "patterns": [token.encode().hex() for token in tokens],
        "action": action,
        "why": "planted on top of a real file",
        "tokens": list(tokens),
    }
