from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pydicom import Dataset, dcmread

from scripts.benchmark.__main__ import MEASURES
from scripts.benchmark.corpus import write_study
from scripts.benchmark.left_in import left_in
from scripts.benchmark.page import GOALS, NOT_YET, filled, goals
from scripts.benchmark.peers import PEERS
from scripts.benchmark.plot import plot
from scripts.benchmark.told import remains, span

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PAGE = (SCRIPTS / "BENCH.md").read_text()
README = (SCRIPTS.parent / "README.md").read_text()
FIGURES = json.loads((SCRIPTS / "bench.json").read_text())


@pytest.mark.parametrize(("page", "tables"), [(PAGE, 2), (README, 1)])
def test_the_pages_show_the_figures_that_lie_beside_them(page: str, tables: int) -> None:
    assert page.count("<!-- made by scripts/bench --table") == tables
    assert filled(page, FIGURES) == page


def test_the_plot_shows_the_figures_that_lie_beside_it() -> None:
    assert (SCRIPTS / "bench.svg").read_text() == plot(FIGURES["peers"]["tools"])


def test_the_plot_is_svg_with_a_dot_for_each_tool_that_ran() -> None:
    tools = FIGURES["peers"]["tools"]

    picture = ElementTree.fromstring(plot(tools))
    dots = picture.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == sum("missing" not in one for one in tools.values())


def test_every_peer_stands_in_the_table() -> None:
    assert [peer.name for peer in PEERS if f"| {peer.name} " not in PAGE] == []


def test_every_goal_is_of_a_measure_that_exists() -> None:
    assert {goal.measure for goal in GOALS} <= set(MEASURES)


def test_what_was_not_measured_is_not_made_up() -> None:
    told = goals({})

    assert told.count(NOT_YET) == len(GOALS)


def test_the_readme_tells_the_ratio_of_the_page() -> None:
    told = re.search(r"([\d,]+)\sCT files take ([\d.]+) × the time of a copy", README)

    assert told is not None
    assert told.groups() == (f"{FIGURES['ct']['files']:,}", f"{FIGURES['ct']['ratio']['median']:.2f}")


@pytest.fixture
def study(tmp_path: Path) -> list[Path]:
    return sorted(write_study(tmp_path / "study", 1, 4).iterdir())


def test_a_copy_leaves_everything_in(study: list[Path]) -> None:
    left = left_in(study, study)

    assert set(left["kinds"]) == {"names", "numbers", "places", "dates", "UIDs"}
    assert all({"top"} <= set(places) for places in left["kinds"].values())
    assert set(left["kinds"]["names"]) == {"top", "nested", "private"}
    assert left["private"] > 20
    assert (left["studies"], left["instances"]) == (1, 4)


def test_what_is_taken_out_is_not_left_in(study: list[Path], tmp_path: Path) -> None:
    bare = []
    for number, path in enumerate(study):
        ds = dcmread(path)
        kept = Dataset()
        kept.file_meta, kept.Modality, kept.StudyInstanceUID = ds.file_meta, ds.Modality, f"2.25.{number}"
        kept.save_as(tmp_path / path.name, enforce_file_format=False)
        bare.append(tmp_path / path.name)

    told = list(remains(left_in(study, bare)))

    assert told == ["one Study of 4 images became 4", "no SOP Instance UID"]


def test_a_spread_is_the_middle_with_least_and_most() -> None:
    assert span({"median": 1.234, "least": 1.0, "most": 2.0}) == "1.23 (1.00 to 2.00)"
