"""`basic` and `research` score 100 % without a leak, and a scorer that could not fail would prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import FileDataset

from coatcheck.profile_file import load_profile
from tests.tools.delivering import deliver
from tests.tools.key import AnswerKey
from tests.tools.plant import lenient_pydicom, plant
from tests.tools.score import merged, score_planted, score_real, table
from tests.tools.scoring import ACTIONS, Case, score

CHANGED, KEPT = "linked/state.dcm", "linked/ct1.dcm"  # of one Study
OPTIONS = frozenset(load_profile("research", Path()).options)


@pytest.mark.parametrize("profile", ["basic", "research"])
def test_planted_files_score_100_percent_without_a_leak(tmp_path: Path, profile: str) -> None:
    found = score_planted(load_profile(profile, tmp_path), tmp_path, seed=5)

    assert found.failures == []
    assert sum(found.checks.values()) > 2400


@pytest.mark.parametrize("profile", ["basic", "research", "longitudinal", "teaching"])
def test_real_files_with_identifiers_on_top_score_100_percent_without_a_leak(tmp_path: Path, profile: str) -> None:
    found = score_real(load_profile(profile, tmp_path), tmp_path, seed=5, every=6)

    assert found.failures == []
    assert sum(found.checks.values()) > 1500


Run = tuple[Path, AnswerKey, dict[str, str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A planted set that `research` has been over."""
    folder = tmp_path_factory.mktemp("run")
    key = plant(folder / "in", seed=1)
    (folder / "in" / "answer_key.json").unlink()
    return folder, key, deliver(folder / "in", folder / "out", load_profile("research", folder)).results


def cases_of(run: Run, spoil: Callable[[FileDataset], None] | None, name: str) -> list[Case]:
    """The files of the run, one of which is spoiled before it is judged."""
    folder, key, results = run
    cases = []
    for entry in key["files"]:
        if entry["file"] in results:
            path = folder / "out" / results[entry["file"]]
            after = dcmread(path)
            if spoil is not None and entry["file"] == name:
                spoil(after)
            cases.append(Case(entry, dcmread(folder / "in" / entry["file"], force=True), after, path.read_bytes()))
    return cases


def elsewhere(ds: FileDataset) -> None:
    ds.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID = "2.25.1"


def dated(day: str) -> Callable[[FileDataset], None]:
    return lambda ds: setattr(ds, "StudyDate", day)


SPOILS: dict[str, tuple[str, Callable[[FileDataset], None]]] = {
    "tag_retained": (KEPT, lambda ds: delattr(ds, "Rows")),
    "text_notnull": (KEPT, lambda ds: setattr(ds, "PatientID", "")),
    "text_retained": ("04_text_SeriesDescription.dcm", lambda ds: setattr(ds, "SeriesDescription", "AX")),
    "text_removed": ("04_text_SeriesDescription.dcm", lambda ds: setattr(ds, "AccessionNumber", ds.before)),
    "date_shifted": (KEPT, lambda ds: setattr(ds, "StudyDate", ds.before)),
    "uid_changed": (KEPT, lambda ds: setattr(ds, "FrameOfReferenceUID", ds.before)),
    "uid_consistent": (KEPT, lambda ds: setattr(ds, "FrameOfReferenceUID", "2.25.7")),
    "patid_consistent": (KEPT, lambda ds: setattr(ds, "PatientID", "SOMEBODY")),
    "pixels_retained": (KEPT, lambda ds: setattr(ds, "PixelData", b"\1" + ds.PixelData[1:])),
    "interval_kept": (KEPT, dated("20000101")),
    "reference_resolves": (CHANGED, elsewhere),
}
BEFORE = {"text_removed": "AccessionNumber", "date_shifted": "StudyDate", "uid_changed": "FrameOfReferenceUID"}


def test_what_is_not_spoiled_scores_100_percent(run: Run) -> None:
    with lenient_pydicom():
        found = score(cases_of(run, None, ""), OPTIONS)

    assert found.failures == []
    assert found.percent() == 100.0
    assert all(found.checks[action] for action in ACTIONS)


@pytest.mark.parametrize("action", SPOILS)
def test_each_action_sees_what_breaks_it(run: Run, action: str) -> None:
    name, spoil = SPOILS[action]

    def spoiled(ds: FileDataset) -> None:
        if action in BEFORE:
            original = dcmread(run[0] / "in" / name, force=True)
            object.__setattr__(ds, "before", original[BEFORE[action]].value)
        spoil(ds)

    with lenient_pydicom():
        found = score(cases_of(run, spoiled, name), OPTIONS)

    assert (action, name) in {(one.action, one.file) for one in found.failures}
    assert found.percent(action) < 100
    assert bool(found.leaks) == (action in ("text_removed", "uid_changed", "date_shifted"))


def test_a_token_in_the_bytes_and_a_file_that_is_missing_are_seen(run: Run) -> None:
    with lenient_pydicom():
        cases = cases_of(run, None, "")
        token = next(plant for plant in cases[0].entry["plants"] if plant["path"] == "(0010,0020)")["value"]
        leaking = cases[0]._replace(content=cases[0].content + token.lower().encode("utf-16-le") + token.encode())
        missing = cases[1]._replace(after=None, refused="identity-found (0008,103E)")
        found = score([leaking, missing, *cases[2:]], OPTIONS)

    assert {one.action for one in found.failures} == {"no_source_token_anywhere", "delivered"}
    assert len(found.leaks) == 1


def test_an_unmodified_copy_scores_nothing_where_it_matters(run: Run) -> None:
    with lenient_pydicom():
        cases = [case._replace(after=case.before) for case in cases_of(run, None, "")]
        found = score(cases, OPTIONS)

    assert found.percent("date_shifted") == found.percent("uid_changed") == found.percent("text_removed") == 0


def test_the_table_names_every_action_and_the_total(run: Run) -> None:
    with lenient_pydicom():
        found = score(cases_of(run, None, ""), OPTIONS)

    shown = table([("one", found), ("two", merged([found, found]))]).splitlines()
    assert [line.split()[0] for line in shown] == ["action", *ACTIONS, "total", "leaks"]
    assert f"100.00 % of {2 * sum(found.checks.values())}" in shown[-2]
