"""Scores profiles over planted files and over real files with identifiers on top: ``scripts/score [options]``.

Prints a table per action and the total in per cent, and what failed. The exit code is 1 unless all is 100 %.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from pydicom import dcmread

from coatcheck.deid.profile import Profile
from coatcheck.profile_file import load_profile
from tests.tools.delivering import Delivery, deliver
from tests.tools.key import AnswerKey, PlantedFileEntry
from tests.tools.plant import lenient_pydicom, plant
from tests.tools.real import plant_over
from tests.tools.scoring import ACTIONS, Case, Score, score

_SHOWN = 40


def score_planted(profile: Profile, folder: Path, seed: int) -> Score:
    """One planted set under one profile."""
    key = plant(folder / "in", seed=seed)
    (folder / "in" / "answer_key.json").unlink()
    return _scored(profile, folder, key, deliver(folder / "in", folder / "out", profile))


def score_real(profile: Profile, folder: Path, seed: int, every: int = 1) -> Score:
    """Real files with identifiers on top under one profile."""
    key = plant_over(folder / "in", seed, every=every)
    return _scored(profile, folder, key, deliver(folder / "in", folder / "out", profile, pixel_risk=True))


def _scored(profile: Profile, folder: Path, key: AnswerKey, delivery: Delivery) -> Score:
    with lenient_pydicom():
        cases = [_case(folder, entry, delivery) for entry in key["files"]]
        return score(cases, promised(profile), profile.dates.scope)


def promised(profile: Profile) -> frozenset[str]:
    """The options whose promise is judged. A whitelist may take more than its options would."""
    whitelist = {"retain-patient-characteristics"} if profile.unlisted == "remove" else set[str]()
    return frozenset(profile.options) - whitelist


def _case(folder: Path, entry: PlantedFileEntry, delivery: Delivery) -> Case:
    name = entry["file"]
    before = dcmread(folder / "in" / name, force=True)
    result = delivery.results.get(name)
    if result is None:
        return Case(entry, before, None, b"", delivery.refused.get(name, ""))
    path = folder / "out" / result
    return Case(entry, before, dcmread(path), path.read_bytes())


def table(scores: list[tuple[str, Score]]) -> str:
    """A line per action and a column per run."""
    lines = ["action".ljust(26) + "".join(name.rjust(26) for name, _ in scores)]
    for action in (*ACTIONS, ""):
        cells = []
        for _, one in scores:
            total = one.checks[action] if action else sum(one.checks.values())
            cells.append((f"{one.percent(action):.2f} % of {total}" if total else "-").rjust(26))
        lines.append((action or "total").ljust(26) + "".join(cells))
    lines.append("leaks".ljust(26) + "".join(str(len(one.leaks)).rjust(26) for _, one in scores))
    return "\n".join(lines)


def merged(scores: list[Score]) -> Score:
    """Several runs as one."""
    whole = Score(scores[0].options, scores[0].shift_scope)
    for one in scores:
        whole.checks = dict(Counter(whole.checks) + Counter(one.checks))
        whole.failures += one.failures
    whole.checks = {action: whole.checks.get(action, 0) for action in ACTIONS}
    return whole


def main() -> int:
    """Score, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="append", help="a built-in name or a path; default: basic and research")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 77], help="one planted set for each")
    parser.add_argument("--no-real", action="store_true", help="leave out the real files")
    given = parser.parse_args()
    shown = []
    for name in given.profile or ["basic", "research"]:
        profile = load_profile(name, Path.cwd())
        with tempfile.TemporaryDirectory() as folder:
            planted = [score_planted(profile, Path(folder) / str(seed), seed) for seed in given.seeds]
            shown.append((f"{profile.name}, planted", merged(planted)))
            if not given.no_real:
                real = [score_real(profile, Path(folder) / f"real-{seed}", seed) for seed in given.seeds[:2]]
                shown.append((f"{profile.name}, real", merged(real)))
    print(table(shown))
    for name, one in shown:
        for failure, count in Counter(one.failures).most_common(_SHOWN):
            print(f"{name}: {failure.action} {failure.file} {failure.path} {failure.problem} ({count})")
    return 0 if all(not one.failures for _, one in shown) else 1


if __name__ == "__main__":
    sys.exit(main())
