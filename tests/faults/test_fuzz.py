"""Fuzzing, a little of it at each run: what long campaigns found before is tried again, and a few thousand new inputs
are made. ``scripts/fuzz`` runs campaigns.
"""

from __future__ import annotations

import base64
import random
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coatcheck.reasons import Reason
from tests.faults.conftest import Report
from tests.faults.hostile import specimens
from tests.tools.fuzz import campaign, mutation, seeds, targets
from tests.tools.fuzz.__main__ import main
from tests.tools.fuzz.targets import Finding, bounded

CORPUS = sorted(Path(__file__).with_name("corpus").glob("*.b64"))
"""Inputs that once showed a mistake: TARGET-what-it-is.b64."""

ROOT = Path(__file__).resolve().parents[2]
ODD = st.integers(0, 1 << 60)
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def content_of(path: Path) -> bytes:
    return base64.b64decode(path.read_text())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_found_once_is_mended(path: Path, tmp_path: Path) -> None:
    name, data = path.stem.split("-")[0], content_of(path)
    target = targets.made(name, tmp_path)

    bounded(target, data)

    if isinstance(target, targets.Worker):
        for profile in targets.profiles():
            target.under(data, profile)


@pytest.mark.parametrize("name", targets.NAMES)
def test_inputs_that_nobody_has_seen_show_no_mistake(name: str, tmp_path: Path, sweep: bool, report: Report) -> None:
    """A short campaign; its inputs are the same at each run, but for a sweep, which goes on for a minute."""
    (tmp_path / "work").mkdir()
    run = campaign.made(name, tmp_path, tmp_path / "work")
    inputs = {"walker": 2000, "worker": 400, "gate": 150}[name]

    campaign.run_plain(run, 20_261_121, 10**9 if sweep else inputs, 60.0 if sweep else 600.0)

    assert run.found == {}
    assert run.counted.value >= inputs
    report(f"an input made by fuzzing ({name})", fired=run.counted.value)


@QUICK
@given(number=ODD, noise=st.binary(max_size=40))
def test_any_damage_to_any_file_is_refused_or_comes_out_clean(
    number: int, noise: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = mutation.mutated(random.Random(number), seeds.files())
    place = number % (len(data) + 1)

    bounded(targets.walker, data[:place] + noise + data[place:])


def test_fuzzing_gets_deep_and_not_only_as_far_as_the_first_check(tmp_path: Path) -> None:
    """Of what is made a good part is delivered, and refusals have many reasons."""
    worker, outcomes = targets.Worker(tmp_path), Counter[str]()
    profile = next(one for one in targets.profiles() if one.name == "research")
    for number in range(250):
        outcomes[worker.under(mutation.mutated(random.Random(number), seeds.files()), profile)] += 1

    assert outcomes[""] > 25
    assert len(outcomes) > 6
    assert outcomes[Reason.IDENTITY_FOUND] > 0


class Planted:
    """A target with a mistake in it, to see that fuzzing finds mistakes and makes what shows them small."""

    def __call__(self, data: bytes) -> None:
        if b"DICM" in data[:2000] and b"\xff\xff\xff\xff" in data:
            raise ValueError("Zyqorvald")


def test_a_mistake_is_found_and_shrunk_and_told_without_a_value(tmp_path: Path) -> None:
    run = campaign.Campaign(name="walker", target=Planted(), kept=tmp_path)

    campaign.run_plain(run, 1, 2000, 60.0)

    [key] = run.found
    assert key.startswith("ValueError in test_fuzz.py:")
    [path] = tmp_path.iterdir()
    assert len(path.read_bytes()) == 8
    assert campaign.shows(Planted(), path.read_bytes()) == key


def test_the_oracle_sees_a_name_an_unreadable_result_and_a_mistake(tmp_path: Path) -> None:
    good = next(data for _, (data, outcome) in specimens(False) if outcome == "delivered")
    worker = targets.Worker(tmp_path)
    real, targets.TOKENS = targets.TOKENS, (b"zyqorvald", b"coatcheck")  # which is in each result
    try:
        with pytest.raises(Finding, match="a name in a result"):
            worker(good)
    finally:
        targets.TOKENS = real


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, second = ([mutation.mutated(random.Random(one), seeds.files()) for one in range(50)] for _ in range(2))

    assert first == second
    assert len(set(first)) > 45


def test_the_script_runs_a_campaign_and_says_what_it_needs(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tools.fuzz", "--plain", "--target", "walker", "--inputs", "20"]

    done = subprocess.run([*command, "--keep", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "walker: 20 inputs in" in done.stdout
    assert "0 mistakes found" in done.stdout


def test_without_atheris_the_script_says_how_to_get_it_and_what_to_do_without(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)

    assert main(["--target", "walker", "--inputs", "20"]) == 2
    said = capsys.readouterr().err
    assert "pip install -e '.[fuzz]'" in said
    assert "--plain" in said


@pytest.mark.skipif(find_spec("atheris") is None, reason="atheris is not installed: it is in the extra `fuzz`")
def test_with_atheris_the_script_runs_a_campaign_and_counts_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tools.fuzz", "--target", "walker", "--inputs", "500"]

    done = subprocess.run([*command, "--keep", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "walker: 5" in done.stdout
