"""NIfTI files beside a delivery's results, made of them by the program dcm2niix: one run for each Series.

What cannot be converted, and much cannot, is left out and counted; it never holds up the Study. What the program says
is not read, and each of its sidecars is searched for the Study's identity like any result.
"""

from __future__ import annotations

import ctypes
import json
import re
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck.converter import dcm2niix
from coatcheck.errors import CoatcheckError
from coatcheck.limits import ADDRESS_SPACE

if TYPE_CHECKING:
    from coatcheck.deid.gate import Gate
    from coatcheck.delivery.finishing import Finishing

FOLDER: Final = "nifti"
_MADE: Final = "converted"
_SECONDS: Final = 600  # for one Series
_KINDS: Final = (".nii.gz", ".json", ".bval", ".bvec")
_LIBC: Final = ctypes.CDLL(None)
_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_NO_SIGN: Final = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Where the files lie now, of how many Series there are any, and of how many there are none."""

    folder: Path
    series: int
    failed: int


def convert(study: Path, own: Path, context: Finishing, gate: Gate) -> Converted:
    """Converts each Series of ``study``, into a new folder of ``own``. Raises CoatcheckError without the program."""
    binary = dcm2niix()
    if binary is None:
        raise CoatcheckError("dcm2niix is not installed", "install coatcheck[nifti], or write `nifti: no`")
    made = own / _MADE
    subject = f"sub-{_NO_SIGN.sub('', context.variables['subject'])}"
    place = made / subject / f"ses-{context.session}"
    place.mkdir(parents=True)
    done = failed = 0
    for number, series in enumerate(sorted({one.series_uid for one in context.results}), 1):
        out = own / f"{_MADE}-{number}"
        out.mkdir()
        command = [binary, "-g", "i", "-b", "y", "-ba", "y", "-z", "i", "-d", "0"]
        command += ["-f", f"{subject}_ses-{context.session}_series-%s", "-o", str(out), str(study / series)]
        fit = _run(command, own, out) and _names_nobody(out, gate)
        failed += not fit
        done += fit
        if fit:
            _take(out, place)
        shutil.rmtree(out)
    return Converted(folder=made, series=done, failed=failed)


def _run(command: list[str], own: Path, home: Path) -> bool:
    """Whether the program ended well, within its limits. It reaches ``own``, /proc/self/fd/N, as this process does."""
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    quiet["pass_fds"] = [int(own.name)]
    environ = {"HOME": str(home), "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    quiet["preexec_fn"] = _end_with_worker
    with subprocess.Popen(command, env=environ, cwd="/", start_new_session=True, **quiet) as process:
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        try:
            return process.wait(_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            return False


def _end_with_worker() -> None:
    """In the program, before it begins: who does the work again must not find one at it that nobody waits for."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _names_nobody(out: Path, gate: Gate) -> bool:
    """Whether there are images, and every sidecar can be read and holds nothing that identifies the Study."""
    try:
        texts = [one for path in out.glob("*.json") for one in _texts(json.loads(path.read_bytes()))]
    except ValueError:
        return False
    return any(out.glob("*.nii.gz")) and all(gate.names_nobody(one.encode(), "UT", ()) for one in texts)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _take(out: Path, place: Path) -> None:
    """Moves what was made to the others; two Series with one number are told apart."""
    for path in sorted(path for path in out.iterdir() if path.name.endswith(_KINDS)):
        stem, point, ending = path.name.partition(".")
        name, number = path.name, 2
        while (place / name).exists():
            name, number = f"{stem}-{number}{point}{ending}", number + 1
        path.rename(place / name)
