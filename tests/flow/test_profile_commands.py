"""What people see of a profile, by the real commands: list, show, explain, lint, drift, preview and compare."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.acceptance import studies
from tests.acceptance.house import House, coatcheck, tree

NAME = "Vandermeulen^Ottokar"  # as the studies have it


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "house", profile="research")


def said(house: House, *arguments: str | Path) -> str:
    done = house.command(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def said_json(house: House, *arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said(house, *arguments, "--json"))
    assert found["version"] == 1
    return found


def originals(folder: Path, *numbers: int, **attributes: Any) -> Path:  # noqa: ANN401 - as pydicom takes it
    """A folder with some slices of one Study."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        (folder / f"{number}.dcm").write_bytes(studies.instance(1, number, **attributes))
    return folder


def own(tmp_path: Path, rules: str = "") -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(f"title: Our own\nextends: basic\nvariables: {{site: Leeds}}\nrules:\n{rules}")
    return path


RULES = """\
- at: [StudyDescription, '(0029,"ACME",10)']
  do: replace
  with: '{site}'
  when: {Modality: {in: [MR, CT]}}
  because: it helps
"""


# Profiles


def test_profiles_are_listed_with_their_titles_and_options(house: House) -> None:
    text = said(house, "profile", "list")

    assert text.splitlines()[0].split() == ["NAME", "TITLE", "OPTIONS"]
    assert "retain-patient-characteristics" in text
    listed = {one["name"]: one for one in said_json(house, "profile", "list")["profiles"]}
    assert listed["basic"]["options"] == []


def test_a_profile_is_shown_with_its_rules_as_they_are_written(house: House) -> None:
    rules = RULES.replace(""", '(0029,"ACME",10)'""", "")
    path = own(house.root, rules)
    shown = said_json(house, "profile", "show", path)

    (rule,) = shown["rules"]
    assert rule["place"].endswith("own.yaml:5")
    assert rule["at"][0] == {
        "selector": "StudyDescription",
        "about": "StudyDescription (0008,1030), at any depth",
    }
    assert (rule["do"], rule["with"], rule["when"]) == ("replace", "{site}", {"Modality": {"in": ["MR", "CT"]}})
    assert (shown["private"], shown["variables"]) == ("remove", {"site": "Leeds"})
    text = said(house, "profile", "show", path)
    assert "113100  Basic" in text
    assert "with: {site}; when: {'Modality': {'in': ['MR', 'CT']}}" in text
    assert "because it helps" in text


def test_rules_of_an_extended_profile_are_shown_first(house: House) -> None:
    own(house.root, "- at: StudyDescription\n  do: keep\n")
    (house.root / "more.yaml").write_text("title: x\nextends: ./own.yaml\nrules:\n- at: VR:PN\n  do: empty\n")

    rules = said_json(house, "profile", "show", "./more.yaml", "--config", house.config)["rules"]

    assert [(rule["at"][0]["selector"], rule["do"]) for rule in rules] == [
        ("StudyDescription", "keep"),
        ("VR:PN", "empty"),
    ]


def test_variables_of_a_project_count_for_its_profile(house: House) -> None:
    path = house.root / "site.yaml"
    path.write_text("title: x\nrules:\n- at: StudyDescription\n  do: replace\n  with: '{arm}'\n")
    house.configure(variables={"arm": "A"})

    assert house.command("profile", "lint", path).returncode == 1
    assert house.command("profile", "lint", path, "--project", "lung").returncode == 0
    assert said_json(house, "profile", "show", path, "--project", "lung")["rules"]


def test_one_attribute_is_explained_layer_by_layer(house: House) -> None:
    text = said(house, "profile", "explain", "research", "0010,1010")

    assert text.splitlines()[0] == "PatientAge  (0010,1010)  AS"
    assert [line[0] for line in text.splitlines()[2:]] == [" ", ">", ">"]
    found = said_json(
        house, "profile", "explain", own(house.root, RULES.replace(""", '(0029,"ACME",10)'""", "")), "StudyDescription"
    )
    assert [(one["action"], one["conditional"], one["wins"]) for one in found["layers"]] == [
        ("remove", False, True),
        ("replace", True, False),
    ]
    private = said(house, "profile", "explain", "basic", '(0029,"SIEMENS CSA HEADER",10)')
    assert "private Attributes: X" in private


def test_the_whole_table_is_listed_and_searched(house: House) -> None:
    lines = list(csv.DictReader(io.StringIO(said(house, "profile", "explain", "basic", "--csv"))))

    assert len(lines) == 657
    assert {line["action"] for line in lines if line["tag"] == "(60xx,3000)"} == {"remove"}
    found = said_json(house, "profile", "explain", "basic", "--sop-class", "CT", "--search", "contentdate")
    assert [(one["attribute"], one["action"]) for one in found["attributes"]] == [("ContentDate", "empty")]
    rules = said_json(house, "profile", "explain", own(house.root, "- at: VR:DS\n  do: perturb\n  span: 2\n"))
    assert rules["attributes"][-1]["attribute"] == "VR:DS"


@pytest.mark.parametrize(
    "arguments",
    [
        ("profile", "explain", "basic", "PatientAg"),
        ("profile", "explain", "basic", "VR:PN"),
        ("profile", "explain", "basic", "--sop-class", "x-ray"),
        ("profile", "explain", "basic", "--csv", "--json"),
        ("profile", "drift", "basic"),
        ("preview", "coatcheck.yaml"),
        ("preview", "--profile", "basic", "--project", "lung", "coatcheck.yaml"),
        ("preview", "--project", "heart", "coatcheck.yaml"),
        ("preview", "--profile", "basic", "absent.dcm"),
        ("compare", "coatcheck.yaml", "state"),
        ("compare", "coatcheck.yaml", "coatcheck.yaml", "--xml", "--csv"),
    ],
)
def test_wrong_usage_ends_with_2(house: House, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(house.root)
    done = house.command(*arguments)

    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Error: " in done.stderr


def test_lint_names_problems_with_file_and_line_and_ends_with_1(house: House) -> None:
    path = own(house.root, "- at: PatientAg\n  do: keep\n- at: Rows\n  do: redact\n")
    done = house.command("profile", "lint", path)

    assert done.returncode == 1
    assert done.stdout.splitlines()[0].startswith(f"{path}:5: there is no attribute `PatientAg`: did you mean")
    noted = own(house.root, "- at: SOPInstanceUID\n  do: keep\n")
    assert house.command("profile", "lint", noted).returncode == 1
    noted = own(house.root, "- at: ContentDate\n  do: remove\n")
    done = house.command("profile", "lint", noted, "--json")
    assert done.returncode == 0
    assert {one["level"] for one in json.loads(done.stdout)["findings"]} == {"note"}
    assert house.command("profile", "lint", "basic").stdout == ""
    assert house.command("profile", "lint", "absent.yaml").returncode == 1


def test_drift_names_attributes_and_the_deliveries_that_may_have_had_them(house: House) -> None:
    house.drop("a", studies.instance(1, 1))
    house.deliver()

    text = said(house, "profile", "drift", "research", "--from", "2024b")
    assert text.startswith("37 attributes are treated otherwise under 2026d than under 2024b\n")
    lines = list(csv.DictReader(io.StringIO(said(house, "profile", "drift", "research", "--from", "2024b", "--csv"))))
    assert len(lines) == 37
    now = said_json(house, "profile", "drift", "research", "--from", "2026d", "--delivered")
    assert (now["attributes"], [one["project"] for one in now["studies"]]) == ([], ["lung"])
    then = said(house, "profile", "drift", "research", "--from", "2024b", "--delivered", "--project", "lung")
    assert "0 deliveries were made with 2024b" in then
    assert house.command("profile", "drift", "research", "--from", "2031x").returncode == 1


# Preview


def texts(content: bytes) -> dict[str, str | None]:
    """The top-level values of a result as another reader sees them."""
    ds = studies.read(content)
    return {
        one.keyword: None if one.value is None else str(one.value) for one in ds if one.VR in ("LO", "PN", "UI", "DA")
    }


def test_a_preview_is_what_is_delivered_then(house: House, tmp_path: Path) -> None:
    attributes = {"StudyDescription": "THORAX for Vandermeulen", "InstitutionName": "JFK", "PatientAge": "095Y"}
    folder = originals(tmp_path / "disc", 1, 2, **attributes)
    files = {Path(one["file"]).name: one for one in said_json(house, "preview", "--project", "lung", folder)["files"]}
    for path in folder.iterdir():
        house.drop(path.name, path.read_bytes())
    house.deliver()

    assert sorted(files) == ["1.dcm", "2.dcm"]
    delivered = {str(studies.read(content).InstanceNumber): texts(content) for content in house.delivered().values()}
    for number, found in delivered.items():
        rows = {row["path"]: row["after"] for row in files[f"{number}.dcm"]["rows"] if ">" not in row["path"]}
        assert found.items() <= {key: value for key, value in rows.items() if value is not None}.items() | {
            ("DeidentificationMethod", found["DeidentificationMethod"])
        }
        assert rows["InstitutionName"] is None
    assert files["1.dcm"]["verdict"] == "would be delivered"
    (shift,) = house.mapping("date_shift").values()
    assert files["1.dcm"]["shift_days"] == int(shift)
    again = said_json(house, "preview", "--project", "lung", folder)["files"]
    assert {one["note"].split(":")[0] for one in again} == {"the same was delivered before"}


def test_a_preview_writes_nothing_and_gives_no_number(house: House, tmp_path: Path) -> None:
    house.configure(subjects={"kind": "sequential", "prefix": "LUNG-"})
    house.drop("a", studies.instance(2, 1, patient="P-2"))
    house.deliver()
    folder = originals(tmp_path / "disc", 1)
    before = tree(house.root)

    (found,) = said_json(house, "preview", "--project", "lung", folder)["files"]
    text = said(house, "preview", "--project", "lung", folder / "1.dcm")

    assert (found["subject"], found["subject_given"]) == ("LUNG-????", False)
    assert "LUNG-???? (numbered with the first delivery)" in text
    assert {
        path: content for path, content in tree(house.root).items() if "-shm" not in path and "-wal" not in path
    } == {path: content for path, content in before.items() if "-shm" not in path and "-wal" not in path}
    house.drop("b", (folder / "1.dcm").read_bytes())
    house.deliver()
    (found,) = said_json(house, "preview", "--project", "lung", folder)["files"]
    assert (found["subject"], found["subject_given"]) == ("LUNG-0002", True)


def test_a_preview_needs_no_vault_and_makes_none(house: House, tmp_path: Path) -> None:
    folder = originals(tmp_path / "disc", 1)
    said(house, "preview", "--project", "lung", folder)

    assert list(house.state.iterdir()) == []


def test_an_id_that_is_not_on_the_list_is_told(house: House, tmp_path: Path) -> None:
    (house.root / "subjects.csv").write_text("patient_id,subject,date_shift_days\nP-1,LUNG-7,-100\n")
    house.configure(subjects={"kind": "list", "file": "subjects.csv"})
    missed, listed = originals(tmp_path / "a", 1), originals(tmp_path / "b", 1, patient="P-1")

    assert "would be set aside as lookup-miss (0010,0020)" in said(house, "preview", "--project", "lung", missed)
    (found,) = said_json(house, "preview", "--project", "lung", listed)["files"]
    assert (found["subject"], found["shift_days"]) == ("LUNG-7", -100)


def test_a_profile_can_be_previewed_with_a_key_that_is_thrown_away(tmp_path: Path) -> None:
    path = originals(tmp_path, 1) / "1.dcm"
    done = [coatcheck("preview", "--profile", "research", path, "--csv") for _ in range(2)]

    assert "thrown away" in done[0].stderr
    first, second = ({row["path"]: row for row in csv.DictReader(io.StringIO(one.stdout))} for one in done)
    assert first["PatientName"]["before"] == NAME
    assert first["SOPInstanceUID"]["after"] != second["SOPInstanceUID"]["after"]
    assert list(tmp_path.iterdir()) == [path]


def test_rows_can_be_searched_and_cut_to_what_changes(tmp_path: Path) -> None:
    path = originals(tmp_path, 1, ImageComments="long " * 40) / "1.dcm"
    text = coatcheck("preview", "--profile", "basic", path).stdout
    changed = coatcheck("preview", "--profile", "basic", "--only-changed", path).stdout
    searched = coatcheck("preview", "--profile", "basic", "--search", "ottokar", path).stdout

    assert "\nRows " in text
    assert "\nRows " not in changed
    assert [line.split()[0] for line in searched.splitlines()[3:]] == ["PATH", "PatientName"]
    (comment,) = [line for line in text.splitlines() if line.startswith("ImageComments")]
    assert "long long" in comment
    assert "…" in comment
    assert "\x1b" not in text
    heads = {line.index("(") for line in text.splitlines() if line.startswith(("StudyDate ", "PatientID "))}
    assert len(heads) == 1


def test_on_a_terminal_no_row_is_broken(tmp_path: Path) -> None:
    path = originals(tmp_path, 1, ImageComments="[bold]long[/bold] " * 40) / "1.dcm"
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (50, 90))
    command = [sys.executable, "-m", "coatcheck", "preview", "--profile", "basic", "--search", "co", str(path)]
    with subprocess.Popen(command, stdout=slave, stderr=subprocess.DEVNULL, env={**os.environ, "TERM": "xterm"}) as run:
        os.close(slave)
        text = b"".join(iter(partial(reading, master), b"")).decode()
    os.close(master)

    assert run.returncode == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = plain.splitlines()[3:]
    assert lines[0].split()[:2] == ["PATH", "TAG"]
    assert all(len(line) <= 90 for line in lines)
    assert any(line.startswith("ImageComments") for line in lines)
    assert "[bold]" in plain
    assert "\x1b[1m" in text


def reading(terminal: int) -> bytes:
    """What comes next from a terminal; nothing once its other end is closed."""
    try:
        return os.read(terminal, 1 << 16)
    except OSError:
        return b""


def test_what_identifies_stays_out_of_errors(tmp_path: Path) -> None:
    folder = originals(tmp_path / NAME, 1)
    done = coatcheck("preview", "--profile", "basic", folder, COATCHECK_DEBUG="1")

    assert NAME in done.stdout
    assert NAME not in done.stderr


# Compare


@pytest.fixture
def delivered(house: House, tmp_path: Path) -> Iterator[House]:
    folder = originals(tmp_path / "disc", 1, 2, InstitutionName="JFK")
    for path in folder.iterdir():
        house.drop(path.name, path.read_bytes())
    house.deliver()
    yield house


def test_originals_and_results_find_each_other_by_the_key(delivered: House, tmp_path: Path) -> None:
    found = said_json(delivered, "compare", tmp_path / "disc", delivered.outbox, "--project", "lung")
    previewed = said_json(delivered, "preview", "--project", "lung", tmp_path / "disc")

    assert len(found["pairs"]) == 2
    assert found["alone"] == []
    for pair, file in zip(found["pairs"], previewed["files"], strict=True):
        seen = [{key: row[key] for key in pair["rows"][0]} for row in file["rows"]]
        assert pair["rows"] == seen
        assert pair["changed"] == sum(row["changed"] for row in seen) > 5


def test_without_a_project_files_without_a_partner_are_named(delivered: House, tmp_path: Path) -> None:
    found = said_json(delivered, "compare", tmp_path / "disc", delivered.outbox)

    assert found["pairs"] == []
    assert len(found["alone"]) == 4
    text = said(delivered, "compare", tmp_path / "disc", delivered.outbox)
    assert text.count("without a partner: ") == 4


def test_files_with_one_uid_are_a_pair_wherever_they_lie_and_the_rest_by_path(tmp_path: Path) -> None:
    left, right = originals(tmp_path / "left", 1, 2), originals(tmp_path / "right" / "deep", 2, Modality="MR").parent
    (left / "notes").write_text("no DICOM, and the same name")
    (right / "notes").write_text("no DICOM, and the same name")
    done = coatcheck("compare", left, right, "--only-changed", "--json")
    found = json.loads(done.stdout)

    assert done.returncode == 0
    by = {Path(pair["before"]).name: pair for pair in found["pairs"]}
    assert [row["path"] for row in by["2.dcm"]["rows"]] == ["Modality"]
    assert by["notes"]["problem"].endswith("The content is not DICOM.")
    assert found["alone"] == [str(left / "1.dcm")]


def test_two_files_are_compared_in_every_format(delivered: House, tmp_path: Path) -> None:
    before = originals(tmp_path / "x", 1, ImageComments="a\x0bb <&>") / "1.dcm"
    after = originals(tmp_path / "y", 1, InstitutionName="JFK") / "1.dcm"

    text = said(delivered, "compare", before, after, "--only-changed")
    assert text.splitlines()[0] == f"{before} -> {after}"
    assert "2 of " in text.splitlines()[1]
    lines = list(csv.DictReader(io.StringIO(said(delivered, "compare", before, after, "--only-changed", "--csv"))))
    assert [(line["path"], line["before"], line["after"]) for line in lines] == [
        ("InstitutionName", "", "JFK"),
        ("ImageComments", "a\x0bb <&>", ""),
    ]
    xml = ElementTree.fromstring(said(delivered, "compare", before, after, "--xml", "--search", "comments").encode())
    (element,) = xml.iter("element")
    assert element.get("changed") == "true"
    assert element.findtext("before") == "a\\x0bb <&>"
    assert element.find("after") is None


def test_no_command_of_these_leaves_a_row_in_ledger_or_vault(delivered: House, tmp_path: Path) -> None:
    def counted() -> list[int]:
        counts = []
        for name in ("ledger.db", "vault.db"):
            with closing(sqlite3.connect(delivered.state / name)) as db:
                tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                counts += [db.execute(f"SELECT COUNT(*) FROM [{table}]").fetchone()[0] for table in tables]
        return counts

    before = counted()
    said(delivered, "preview", "--project", "lung", originals(tmp_path / "new", 3))
    said(delivered, "compare", tmp_path / "disc", delivered.outbox, "--project", "lung")
    assert counted() == before
