"""``peers``: other tools that PyPI and Debian offer, on the same files, and what each leaves in.

Each is run as a program, with its defaults, as two processes with half of the files each: it is no dependency of
coatcheck, and is installed into a virtual environment of its own in a folder that may be kept or thrown away.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scripts.benchmark.processes import Command, Failed, quickly

# Its package has no command.
_DCMANON = """
import pathlib, sys, dcmanon
anonymizer = dcmanon.Anonymizer()
for path in pathlib.Path(sys.argv[1]).iterdir():
    pathlib.Path(sys.argv[2], path.name).write_bytes(anonymizer.anonymize(str(path)))
"""
# It changes files in place, and what is not named stays: these are the names that people give it.
_DCMODIFY = """
cp "$0"/* "$1"
dcmodify -q -nb -imt -ep -gst -gse -gin -ma PatientName=Anonymous -ma PatientID=1 -ea PatientBirthDate \\
    -ea "(0010,1000)" -ea OtherPatientNames -ea PatientAddress -ea PatientTelephoneNumbers -ea AccessionNumber \\
    -ea InstitutionName -ea InstitutionAddress -ea ReferringPhysicianName -ea PerformingPhysicianName \\
    -ea OperatorsName -ea StationName -ea StudyID "$1"/*
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool: its package on PyPI or in Debian, and what one of its processes is told.

    ``words`` gets the folder of the tool's programs, the source and the target. A slow one gets fewer files.
    """

    name: str
    words: Callable[[Path, Path, Path], Command]
    pypi: str = ""
    debian: str = ""
    slow: bool = False

    def installed(self, cache: Path) -> Path:
        """The folder of its programs. Raises Failed with a reason that a person understands."""
        if self.pypi:
            return _installed_from_pypi(self.pypi, cache)
        if shutil.which(self.name) is None:
            raise Failed(f"not installed; on Debian: apt install {self.debian}")
        if self.name == "gdcmanon":
            _certificate(cache)
        return cache

    def version(self, programs: Path) -> str:
        """As the package says; Debian's own part of it left out."""
        if self.debian:
            words: Command = ["dpkg-query", "-W", "-f", "${Version}", self.debian]
        else:
            code = f"import importlib.metadata; print(importlib.metadata.version({self.pypi!r}))"
            words = [programs / "python", "-c", code]
        said = subprocess.run([*map(str, words)], capture_output=True, text=True).stdout
        return said.strip().partition("-")[0] or "?"


def _pypi(name: str, *words: str, slow: bool = False) -> Peer:
    """``words`` with places: {programs}, {source}, {target}."""

    def told(programs: Path, source: Path, target: Path) -> Command:
        places: Mapping[str, Path] = {"programs": programs, "source": source, "target": target}
        return [word.format_map(places) if word.startswith("{") else word for word in words]

    return Peer(name=name, pypi=name, words=told, slow=slow)


PEERS = (
    _pypi("dicom-anonymizer", "{programs}/dicom-anonymizer", "{source}", "{target}", slow=True),
    _pypi(
        "dcm-anonymizer",
        *("{programs}/dcm-anon", "--quiet", "--salt", "benchmark", "{source}", "{target}"),
        slow=True,
    ),
    _pypi(
        "dicognito",
        *("{programs}/python", "-m", "dicognito", "-q", "--seed", "benchmark", "-o", "{target}", "{source}"),
        slow=True,
    ),
    _pypi(
        "deid",
        *("{programs}/deid", "--quiet", "--overwrite", "-o", "{target}"),
        *("identifiers", "--action", "all", "--input", "{source}"),
        slow=True,
    ),
    _pypi("dcmanon", "{programs}/python", "-c", _DCMANON, "{source}", "{target}"),
    Peer(
        name="gdcmanon",
        debian="libgdcm-tools",
        words=lambda cache, source, target: [
            *("gdcmanon", "-e", "-c", cache / "certificate.pem", "--continue", "-r", "-i", source, "-o", target)
        ],
    ),
    Peer(name="dcmodify", debian="dcmtk", words=lambda _, source, target: ["sh", "-ec", _DCMODIFY, source, target]),
)


def _installed_from_pypi(package: str, cache: Path) -> Path:
    programs = cache / package / "bin"
    if not (cache / package / "complete").exists():
        try:
            quickly(sys.executable, "-m", "venv", "--clear", cache / package)
            quickly(programs / "python", "-m", "pip", "install", "--no-input", package)
        except Failed as error:
            raise Failed(f"could not be installed with pip: {package}") from error
        (cache / package / "complete").touch()
    return programs


def _certificate(cache: Path) -> None:
    """It seals what it takes away for the owner of a certificate, and does not work without one."""
    files = ("-keyout", cache / "key.pem", "-out", cache / "certificate.pem")
    if not (cache / "certificate.pem").exists():
        try:
            quickly("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=benchmark", *files)
        except (Failed, OSError) as error:
            raise Failed("needs a certificate; on Debian: apt install openssl") from error
