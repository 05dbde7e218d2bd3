"""What is made of results, where the worker itself is in trouble."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.acceptance.house import alive, wait_until

SHORT_OF_MEMORY = """
import sys
from pathlib import Path
from pydicom.uid import UID
from coatcheck.delivery import folder
from coatcheck.delivery.finishing import Finishing, finish
from coatcheck.layout import Layout
from coatcheck.limits import bind_memory

staging = folder.staging_folder(Path(sys.argv[1]), "0123456789", 1)
folder.make_staging(staging)
context = Finishing(
    layout=Layout(), variables={"subject": "S", "project": "lung", "site": ""}, study_uid="1.2", identity=frozenset(),
    kept=frozenset(), results=(), receipt={"text": "x" * (96 << 20)}, dicomdir=False,
)
pages = int(Path("/proc/self/statm").read_text().split()[0])
bind_memory(pages * 4096 + (32 << 20))
try:
    finish(context, [staging])
except OSError as error:
    print(error.errno)
"""

CONVERTING = """
import os, sys
from pathlib import Path
from coatcheck.delivery.nifti import _run

own = os.open(sys.argv[1], os.O_RDONLY)
_run(["/bin/sh", "-c", "echo $$ > " + sys.argv[1] + "/pid; exec sleep 300"], Path(f"/proc/self/fd/{own}"), Path("/"))
"""


def test_what_needs_too_much_memory_is_weather_and_does_not_go_back_to_the_inbox_again_and_again(
    tmp_path: Path,
) -> None:
    done = subprocess.run([sys.executable, "-c", SHORT_OF_MEMORY, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.ENOMEM)]


def test_a_program_that_converts_ends_with_its_worker(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", CONVERTING, tmp_path])
    place = tmp_path / "pid"
    wait_until(lambda: place.exists() and place.read_text().strip(), "the program runs")
    program = int(place.read_text())
    worker.kill()
    worker.wait()
    try:
        wait_until(lambda: not alive(program), "it is gone", seconds=10)
    finally:
        if alive(program):
            os.kill(program, signal.SIGKILL)
