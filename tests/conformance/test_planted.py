"""Planted identifiers, wherever identity hides: none comes out, and what must come out does."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from coatcheck.deid.pseudonyms import shift_days, subject
from coatcheck.files import fingerprint
from coatcheck.model import Arrival, Identity, Instance, Job, Staged
from coatcheck.profile_file import load_profile
from coatcheck.transform import transform
from coatcheck.worker import Reading, Work, examine
from tests.tools.judge import judge
from tests.tools.plant import plant

SECRET = b"0123456789abcdef" * 2


def delivered(inbox: Path, staging: Path, profile: str) -> dict[str, str]:
    """What comes out: the result of each delivered file, by its name in the inbox."""
    files = sorted(path for path in inbox.rglob("*") if path.is_file())
    arrivals = [
        Arrival(project="p", path=path.relative_to(inbox).as_posix(), fingerprint=fingerprint(path.stat()))
        for path in files
    ]
    studies = defaultdict(list)
    for one in examine(Reading(inbox=inbox), arrivals):
        if isinstance(one, Instance) and one.concern is None:
            studies[one.study_uid].append(one)
    rules, mapping = load_profile(profile, inbox), dict[str, str]()
    for number, (study_uid, instances) in enumerate(studies.items()):
        job = Job(
            delivery_id=number,
            project="p",
            ticket="0123456789",
            subject=subject(SECRET, instances[0].patient_id, study_uid),
            shift_days=shift_days(SECRET, study_uid, -365, -1),
            identity=frozenset[Identity]().union(*(one.identity for one in instances)),
        )
        folder = staging / str(number)
        folder.mkdir(parents=True)
        work = Work(inbox=inbox, staging=folder, profile=rules, secret=SECRET, job=job)
        results = [one for one in transform(work, instances) if isinstance(one, Staged)]
        mapping |= {one.arrival.path: f"{number}/{one.series_uid}/{one.sop_uid}.dcm" for one in results}
    return mapping


@pytest.mark.parametrize("profile", ["basic", "research"])
@pytest.mark.parametrize("seed", [1, 2, 77])
def test_no_planted_identifier_comes_out_and_nothing_else_is_lost(tmp_path: Path, seed: int, profile: str) -> None:
    key = plant(tmp_path / "in", seed=seed)

    mapping = delivered(tmp_path / "in", tmp_path / "out", profile)

    report = judge(key, tmp_path / "in", mapping, tmp_path / "out", dates_shifted=profile == "research")
    assert report.ok, str(report)
    # What no header told: the text in these pixels is seen by a person, or not at all.
    assert {found.file for found in report.reported} <= {"34_burn_DXbits.dcm"}
