"""The demonstration behind scripts/demo: a service of its own in ./demo, fed with the sample files of pydicom."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pydicom
import pydicom.data

from coatcheck.reasons import EXPLANATIONS, Reason

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
MARKER = DEMO / ".made-by-scripts-demo"  # only a folder with this file in it is ever removed
CONFIG = DEMO / "coatcheck.yaml"
PROJECT = "demo"
INBOX = DEMO / PROJECT / "inbox"
OUTBOX = DEMO / PROJECT / "outbox"
LOG = DEMO / "service.log"

# Nobody waits a minute for a demonstration. A real site's times are longer, see the comments in coatcheck.yaml.
TIMES = {"file_settle": "1s", "study_settle": "2s"}
LONGEST = 180.0  # seconds until the demonstration gives up

# Only what lies in pydicom's own package: pydicom's functions for this would fetch what is not there.
SAMPLES = Path(pydicom.data.__file__).parent
FILES = SAMPLES / "test_files"
CHARSETS = SAMPLES / "charset_files"


class Drop(NamedTuple):
    """A folder that somebody copies into the inbox."""

    folder: str
    what: str
    sources: tuple[Path, ...]


DROPS = (
    Drop("ct", "a CT slice", (FILES / "CT_small.dcm",)),
    Drop("mr", "an MR slice, once whole and once cut off", (FILES / "MR_small.dcm", FILES / "MR_truncated.dcm")),
    Drop("mr again", "the same MR slice a second time", (FILES / "MR_small.dcm",)),
    Drop("ct compressed", "two CT in JPEG 2000", (FILES / "693_J2KI.dcm", FILES / "J2K_pixelrep_mismatch.dcm")),
    Drop("radiotherapy", "plan, structures", (FILES / "rtplan.dcm", FILES / "rtstruct.dcm")),
    Drop("radiotherapy/dose", "a dose in big endian", (FILES / "rtdose_expb.dcm",)),
    Drop("segmentation", "a liver, segmented", (FILES / "liver_1frame.dcm",)),
    Drop("ecg", "a 12-lead ECG", (FILES / "waveform_ecg.dcm",)),
    Drop("名前", "names in Japanese and Korean", (CHARSETS / "chrJapMulti.dcm", CHARSETS / "chrKoreanMulti.dcm")),
    Drop("scans", "secondary captures", (CHARSETS / "chrH31.dcm", CHARSETS / "chrX1.dcm", FILES / "image_dfl.dcm")),
    Drop("ultrasound", "an ultrasound image", (FILES / "examples_rgb_color.dcm",)),
    Drop("report", "a structured report", (FILES / "test-SR.dcm",)),
    Drop("cd", "a CD with its DICOMDIR", (FILES / "dicomdirtests" / "DICOMDIR",)),
    Drop("cd/77654033", "its Studies", (FILES / "dicomdirtests" / "77654033",)),
    Drop("notes", "a text file", (FILES / "README.txt",)),
)


class Stopped(Exception):
    """The demonstration cannot go on. The message says why."""


def main() -> int:
    """Run the demonstration from an empty ./demo to the words at its end."""
    warnings.simplefilter("ignore")  # pydicom finds much to say about its own samples
    try:
        make_site()
        with service() as process:
            dropped = drop_all()
            wait_until_done(process)
        show(dropped)
    except Stopped as stop:
        say(f"The demonstration stopped: {stop}")
        return 1
    return 0


def make_site() -> None:
    """A new ./demo with a configuration, a key and folders, as `coatcheck init` makes them."""
    if DEMO.exists() and not MARKER.exists():
        raise Stopped("./demo is there and was not made by scripts/demo; move it away")
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    MARKER.touch()
    coatcheck("init", str(DEMO), "--project", PROJECT)
    text = CONFIG.read_text()
    for name, value in TIMES.items():
        text, count = re.subn(rf"^( +)# {name}: .*$", rf"\g<1>{name}: {value}", text, flags=re.MULTILINE)
        if count != 1:
            raise Stopped(f"the new configuration has no line for {name}")
    CONFIG.write_text(text)


@contextmanager
def service() -> Iterator[subprocess.Popen[bytes]]:
    """The real service in the background, from its start to its end by SIGTERM."""
    say("Starting the service.")
    with LOG.open("wb") as log:
        command = [sys.executable, "-m", "coatcheck", "--config", str(CONFIG), "run"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    if code != 0:
        raise Stopped(f"the service ended with {code} and said: {last_words()}")


def last_words() -> str:
    """The last lines of the service's log."""
    return "\n  ".join(["", *LOG.read_text(errors="replace").splitlines()[-5:]])


def drop_all() -> list[tuple[Drop, int]]:
    """Copy the samples into the inbox as a person would. Gives how many files each folder got."""
    dropped = [(drop, copy_in(drop)) for drop in DROPS]
    say(f"Dropped {sum(count for _, count in dropped)} files.")
    return dropped


def copy_in(drop: Drop) -> int:
    """Copy one folder into the inbox; gives the number of files."""
    target = INBOX / drop.folder
    target.mkdir(parents=True, exist_ok=True)
    for source in drop.sources:
        subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    return sum(1 if source.is_file() else len(files_below(source)) for source in drop.sources)


def wait_until_done(process: subprocess.Popen[bytes]) -> None:
    """Wait until the inbox is empty and the service says that nothing is in hand, telling what changes."""
    give_up = time.monotonic() + LONGEST
    told = ""
    while True:
        if process.poll() is not None:
            raise Stopped(f"the service ended by itself and said: {last_words()}")
        now = project_status()
        line, idle = progress(now)
        if line != told:
            say(line)
            told = line
        if idle and not files_below(INBOX):
            return
        if time.monotonic() > give_up:
            raise Stopped(f"it takes too long; see {LOG} and `coatcheck --config {CONFIG} status`")
        time.sleep(0.5)


def progress(now: dict[str, Any]) -> tuple[str, bool]:
    """One line of progress, and whether the service has nothing in hand."""
    if now["waiting_files"] is None:
        return "  The service has not spoken yet.", False
    waiting, delivered = now["waiting_files"], now["delivered"]["studies"]
    arriving, running = len(now["studies_arriving"]), len(now["studies_running"])
    line = f"  {waiting} files settle, {arriving} Studies arrive, {running} are worked on, {delivered} are delivered"
    return line, waiting + arriving + running == 0


def show(dropped: list[tuple[Drop, int]]) -> None:
    """What arrived, what was delivered where, what was set aside and why, and one file before and after."""
    print("\nWhat was dropped into demo/demo/inbox")
    for drop, count in dropped:
        print(f"  {count:3}  {drop.folder + '/':20} {drop.what}")
    show_delivered()
    show_quarantined()
    show_before_and_after(FILES / "CT_small.dcm")
    print(
        f"\nLook around: demo/demo, {CONFIG.relative_to(ROOT)}, .venv/bin/coatcheck --config demo/coatcheck.yaml status"
    )


def show_delivered() -> None:
    """The outbox, one line for each Study."""
    now = project_status()
    delivered = now["delivered"]
    print(
        f"\nWhat came out in demo/demo/outbox: {delivered['studies']} Studies, {delivered['instances']} Instances",
        end="",
    )
    print(f" ({now['duplicates']} more had come before)" if now["duplicates"] else "")
    for study in sorted(path for path in OUTBOX.glob("*/*") if path.is_dir() and not path.name.startswith(".")):
        series = sum(1 for path in study.iterdir() if path.is_dir())
        print(f"  {study.parent.name}/{short(study.name)}/  {series} Series, {len(files_below(study))} files")


def show_quarantined() -> None:
    """How many files were set aside, for which reason."""
    print("\nWhat was set aside in demo/demo/quarantine")
    for reason, count in sorted(project_status()["quarantined"].items()):
        print(f"  {count:3}  {reason:20} {EXPLANATIONS[Reason(reason)].what}")


def show_before_and_after(source: Path) -> None:
    """Some Attributes of one sample beside those of its delivered file, found by the exported mapping."""
    before = pydicom.dcmread(source)
    new_uid = exported_uids().get(str(before.SOPInstanceUID), "")
    found = list(OUTBOX.rglob(f"{new_uid}.dcm")) if new_uid else []
    if not found:
        raise Stopped(f"{source.name} did not come out; see {LOG}")
    after = pydicom.dcmread(found[0])
    print(f"\n{source.name} before and after")
    for keyword in ("PatientName", "PatientID", "StudyDate", "StudyInstanceUID", "InstitutionName"):
        old, new = (str(data.get(keyword, "(removed)")) for data in (before, after))
        print(f"  {keyword:17} {short(old):30} {short(new)}")
    same = before.PixelData == after.PixelData
    print(f"  {'PixelData':17} {len(before.PixelData)} bytes{'':20} {'the same, byte for byte' if same else 'CHANGED'}")


def exported_uids() -> dict[str, str]:
    """New UIDs by old ones, as `coatcheck mapping export` tells those who hold the key."""
    text = coatcheck("mapping", "export", "--project", PROJECT, "--kind", "uid")
    return {row["id_old"]: row["id_new"] for row in csv.DictReader(io.StringIO(text))}


def project_status() -> dict[str, Any]:
    """The project's part of `coatcheck status --json`."""
    status: dict[str, Any] = json.loads(coatcheck("status", "--json"))
    project: dict[str, Any] = status["projects"][PROJECT]
    return project


def coatcheck(command: str, *arguments: str) -> str:
    """Run one command as a person would, and give what it prints."""
    config = [] if command == "init" else ["--config", str(CONFIG)]
    call = [sys.executable, "-m", "coatcheck", command, *arguments, *config]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Stopped(f"`coatcheck {command}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def files_below(folder: Path) -> list[Path]:
    """Every file in a folder, at any depth."""
    return [path for path in folder.rglob("*") if path.is_file()]


def short(text: str) -> str:
    """A long text with its middle left out: the UIDs here have up to 44 characters."""
    return text if len(text) <= 28 else f"{text[:14]}…{text[-12:]}"


def say(text: str) -> None:
    """Talk goes to stderr, results to stdout."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
