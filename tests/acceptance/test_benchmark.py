from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_tiny_benchmark_tells_what_it_measured(tmp_path: Path) -> None:
    figures, work = tmp_path / "figures.json", tmp_path / "work"
    figures.write_text('{"mr": "of another day"}')
    work.mkdir()
    words = ["--only", "ct", "--scale", "0.001", "--rounds", "1", "--work", str(work), "--json", str(figures)]

    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmark", *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert "ct: 2 files; ratio " in done.stdout
    rows = json.loads(figures.read_text())
    assert rows["mr"] == "of another day"
    assert rows["ct"]["files"] == 2
    assert rows["ct"]["user"]["median"] > 0
    assert 20 < rows["ct"]["pss"] < 400
    assert list(work.iterdir()) == []
