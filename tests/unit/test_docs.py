from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
import pydicom
import pytest
import yaml

from coatcheck.cli.main import COMMANDS, cli
from coatcheck.config_model import Project, Settings
from coatcheck.deid import standard
from coatcheck.deid.actions import ACTIONS, KINDS
from coatcheck.deid.conditions import parse as parse_condition
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.lint import lint
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import AVAILABLE
from coatcheck.deid.selectors import parse as parse_selector
from coatcheck.deid.templates import parse as parse_template
from coatcheck.ledger import DeliveryState
from coatcheck.profile_file import built_in, load_profile
from coatcheck.reasons import EXPLANATIONS, Reason
from coatcheck.standing import Word
from coatcheck.status import read_status
from coatcheck.units import parse_duration
from tests.tools.showcase import shown

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = (
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "profiles/README.md",
    "systemd/README.md",
    "systemd/CLUSTER.md",
    "scripts/BENCH.md",
    "systemd/DELIVERY.md",
    "systemd/RUNNING.md",
    "systemd/DROPPING.md",
    "profiles/MOVING.md",
    "daemon/LEDGER.md",
    "FAQ.md",
    "SECURITY.md",
    "systemd/SHARE.md",
    "profiles/CONFORMANCE.md",
    "profiles/SUBJECTS.md",
)
README, ARCHITECTURE, PROFILES = ((ROOT / name).read_text() for name in (DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[4]))
RUNNING = (ROOT / "systemd" / "RUNNING.md").read_text()
CT = "1.2.840.10008.5.1.4.1.1.2"
SAMPLES = Path(pydicom.__file__).parent / "data" / "test_files"


def rows(document: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in document.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def row(document: str, first: str) -> list[str]:
    """The one row that begins with this cell."""
    (found,) = [cells for cells in rows(document) if cells[0] == first]
    return found


def keys(value: object) -> Iterator[str]:
    """Every key of nested JSON."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield str(key)
            yield from keys(inner)


@pytest.mark.parametrize(
    ("document", "longest"), [("README.md", 290), ("ARCHITECTURE.md", 250), ("profiles/README.md", 280)]
)
def test_documents_are_short(document: str, longest: int) -> None:
    assert len((ROOT / document).read_text().splitlines()) <= longest


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_row_with_its_next_step(reason: Reason) -> None:
    assert row(README, f"`{reason}`") == [f"`{reason}`", *EXPLANATIONS[reason]]


@pytest.mark.parametrize("name", [name for name in (*Settings.model_fields, *Project.model_fields) if name != "name"])
def test_every_setting_has_a_row_with_its_default(name: str) -> None:
    field = (Settings.model_fields | Project.model_fields)[name]
    shown = row(README, f"`{name}`")[1].strip("`")

    if field.is_required() or field.default is None:
        assert shown == ""
    elif isinstance(field.default, float):
        assert parse_duration(shown) == field.default
    elif isinstance(field.default, bool):
        assert shown == ("yes" if field.default else "no")
    else:
        assert shown == (str(list(field.default)) if isinstance(field.default, tuple) else str(field.default))


def test_the_keys_above_the_projects_are_described() -> None:
    assert row(README, "`defaults`")
    assert row(README, "`projects`")


def test_every_command_and_every_one_of_its_own_commands_is_named() -> None:
    described = " ".join(cells[0] for cells in rows(README))
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        below = list(command.commands) if isinstance(command, click.Group) else [""]
        for one in below:
            assert re.search(rf"`{name} ?{one}\b", described), f"{name} {one}"


def test_every_command_that_is_described_exists() -> None:
    table = README.split("\n## Commands\n")[1].split("\n## ")[0]

    assert set(re.findall(r"^\| `([a-z]+)", table, re.M)) == set(COMMANDS)


def test_every_key_of_the_status_is_named(tmp_path: Path) -> None:
    section = RUNNING.split("\n## Status for programs\n")[1].split("\n## ")[0]
    named = set(re.findall(r"`(\w+)`", section))

    wanted = set(keys(read_status(tmp_path, ["x"], datetime.now(UTC)).as_json())) - {"x"}
    wanted |= {"ticket", "instances", "due_in_seconds", "state", "kind", "what", "hint", "count", "since", "last"}
    assert wanted - named == set()


@pytest.mark.parametrize("word", list(Word))
def test_every_word_of_the_status_is_explained(word: Word) -> None:
    assert all(row(RUNNING, f"`{word}`"))


@pytest.mark.parametrize("name", built_in())
def test_every_profile_is_described_with_the_codes_that_it_stamps(name: str) -> None:
    codes = row(PROFILES, f"`{name}`")[1]

    assert re.findall(r"\d{6}", codes) == [method.code for method in load_profile(name, ROOT).methods]
    assert f"\n**`{name}`** " in PROFILES


def section(document: str, heading: str) -> str:
    return document.split(f"\n{heading}\n")[1].split("\n## ")[0]


def test_what_each_profile_makes_of_the_example_is_what_the_engine_makes_of_it() -> None:
    told = [cells for cells in rows(section(PROFILES, "## Which one")) if "---" not in cells]

    assert told == shown()


def test_every_code_that_a_profile_stamps_is_explained() -> None:
    explained = PROFILES.split("\nEach stamps ")[1].split("\n## ")[0]
    told = dict(re.findall(r"(\d{6}) (?:is )?\(?([A-Za-z ]+\w)", " ".join(explained.split())))
    meanings = {option.code: option.meaning.lower() for option in standard.options().values()}

    assert all(set(words.lower().split()) <= set(meanings[code].split()) for code, words in told.items())
    assert {method.code for name in built_in() for method in load_profile(name, ROOT).methods} <= set(told)


def test_every_action_of_a_rule_is_described_with_its_vrs() -> None:
    words = dict(re.findall(r"(?:\*Text\* is|\*(\w+)\*) ([A-Z ]{5,})", PROFILES))
    words["text"] = words.pop("")
    described = {cells[0]: cells for cells in rows(PROFILES) if cells[0].startswith("`do: ")}

    assert set(described) == {f"`do: {name}`" for name in KINDS}
    for name, kind in KINDS.items():
        vrs = described[f"`do: {name}`"][3]
        told = {vr for word in vrs.split() for vr in words.get(word, word).split()}
        assert (kind.vrs == set(standard.vr_limits())) if vrs == "every" else (told == kind.vrs), name


def test_every_selector_and_condition_of_the_tables_can_be_read() -> None:
    language = section(PROFILES, "## A profile of your own")
    cells = [one[0].strip("`") for one in rows(language)]
    selectors, conditions = (cells.index(head) for head in ("selector", "condition (`when:`)".strip("`")))

    for text in cells[selectors + 2 : conditions]:
        assert parse_selector(text).text == text
    for text in cells[conditions + 2 : cells.index("action in a rule")]:
        parse_condition(yaml.safe_load(text))


@pytest.mark.parametrize("text", re.findall(r"^```yaml\n(.*?)^```$", PROFILES, re.M | re.S))
def test_each_example_of_a_profile_can_be_loaded(tmp_path: Path, text: str) -> None:
    (tmp_path / "own.yaml").write_text(text)

    profile = load_profile("own.yaml", tmp_path)
    assert profile.rules
    assert [one for one in lint(profile) if one.level == "problem"] == []


@pytest.mark.parametrize("template", sorted(set(re.findall(r"`\{([A-Za-z]+\|[a-z]+|[a-z]+)\}`", PROFILES))))
def test_each_template_of_the_readme_can_be_read(template: str) -> None:
    assert parse_template(f"{{{template}}}", ()).parts


def test_every_option_that_a_profile_may_choose_is_named() -> None:
    assert [option for option in AVAILABLE if f"`{option}`" not in PROFILES] == []


def actions_in_effect(profile: str, sop_class: str) -> Counter[str]:
    plan = Plan(load_profile(profile, ROOT), sop_class)
    listed = standard.annex_e().items()
    return Counter(plan.rule(tag, (vrs_of(tag) or (line.vr,))[0], ()).action for tag, line in listed)


@pytest.mark.parametrize("action", [*ACTIONS, "keep"])
def test_every_action_is_described_with_how_often_it_is_in_effect(action: str) -> None:
    columns = [(profile, sop_class) for profile in ("basic", "research") for sop_class in (CT, "")]

    counts = [str(actions_in_effect(*column)[action]) for column in columns]
    assert row(PROFILES, f"`{action}`")[2:] == counts


def test_the_codes_of_table_e_1_1_are_counted_right() -> None:
    lines = [*standard.annex_e().values(), *(one.row for one in standard.annex_e_repeating()), standard.private_row()]
    counts = Counter(line.basic for line in lines)

    assert sum(counts.values()) == 657
    for code in {*counts, "K"}:
        assert row(PROFILES, code)[1] == str(counts[code])


def test_every_module_has_its_place_in_the_layout() -> None:
    layout = ARCHITECTURE.split("\n## Layout\n")[1].split("\n## ")[0]
    code = ROOT / "daemon" / "coatcheck"
    modules = {path.name for path in code.rglob("*.py") if not path.name.startswith("__")}
    named = set(re.findall(r"\b(\w+\.py)\b", layout))

    assert modules - named == set()
    assert named - modules == set()


def test_the_steps_name_modules_that_exist() -> None:
    code = ROOT / "daemon" / "coatcheck"
    table = ARCHITECTURE.split("\n## The straight line\n")[1].split("\n## ")[0]
    for cells in rows(table):
        for name in re.findall(r"`([a-z_/]+)(?:\.\w+)?`", cells[1]):
            assert (code / f"{name}.py").is_file() or (code / name).is_dir(), name


@pytest.mark.parametrize("state", list(DeliveryState))
def test_every_state_of_a_delivery_has_its_repair(state: DeliveryState) -> None:
    assert len(row(ARCHITECTURE, f"`{state}`")) == 3


def test_every_page_is_known_here_and_the_readme_leads_to_it() -> None:
    pages = {str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("[a-z]*/*.md")]}

    assert pages == set(DOCUMENTS)
    assert pages - {"README.md"} <= set(re.findall(r"\]\(([^)#]+)", README))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_exist(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
        file, _, heading = target.partition("#")
        if "://" in target:
            continue
        there = path if not file else path.parent / file
        assert there.exists(), target
        headings = [re.sub(r"[^\w -]", "", line).strip().replace(" ", "-").lower() for line in headings_of(there)]
        assert not heading or heading in headings, target


def headings_of(path: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", path.read_text(), re.M) if path.suffix == ".md" else []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_document_names_the_machine_that_it_was_written_on(document: str) -> None:
    text = (ROOT / document).read_text()

    assert str(Path.home()) not in text
    assert not re.search(r"/(wo" + r"rk|tm" + r"p|ho" + r"me|ro" + r"ot)/", text)


def example() -> list[tuple[str, list[str]]]:
    """The commands of the README's example and the lines that each prints."""
    (block,) = re.findall(r"^```console\n(.*?)^```$", README, re.M | re.S)
    steps = re.split(r"^\$ ", block, flags=re.M)[1:]
    return [(lines[0], lines[1:]) for lines in (step.splitlines() for step in steps)]


def timeless(lines: list[str]) -> list[str]:
    """Lines without what differs from one run to the next; in order, for pseudonyms decide the order of names."""
    changing = {
        r"2\.25\.\d+": "UID",
        r"\b\d{4}-\d\d-\d\dT[\d:.]+Z": "TIME",
        r"\bS[0-9A-Z]{12}\b": "SUBJECT",
        r"\b[0-9A-HJKMNP-TV-Z]{10}\b": "TICKET",
        r"DA: '\d{8}'": "DATE",
    }
    for pattern, word in changing.items():
        lines = [re.sub(pattern, word, line) for line in lines]
    return sorted(lines)


def run_example(folder: Path, commands: list[str]) -> list[list[str]]:
    """What each command prints, run one after another in one shell."""
    script = "exec 2>&1\n" + "".join(f"printf '\\1\\n'\n{command}\n" for command in commands)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = {"PATH": path, "LC_ALL": "C", "PYTHONPATH": str(ROOT / "daemon"), "HOME": str(folder)}
    environ |= {"PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, env=environ, stdout=subprocess.PIPE, text=True, timeout=120
    )
    return [part.strip("\n").splitlines() for part in done.stdout.split("\1\n")[1:]]


@pytest.mark.skipif(shutil.which("coatcheck", path=str(Path(sys.executable).parent)) is None, reason="not installed")
def test_the_readmes_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    (tmp_path / "disc").mkdir()
    for name in ("CT_small.dcm", "README.txt", "test-SR.dcm"):
        shutil.copy(SAMPLES / name, tmp_path / "disc")
    steps = example()

    printed = run_example(tmp_path, [command for command, _ in steps])

    assert len(printed) == len(steps) > 8
    for (command, told), lines in zip(steps, printed, strict=True):
        said = [line.replace(str(tmp_path), "/srv") for line in lines]
        assert timeless(said) == timeless(told), command


def test_every_extra_is_told_with_what_it_brings() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    told = {cells[0] for cells in rows((ROOT / "systemd" / "README.md").read_text())}

    assert {f"`{extra}`" for extra in extras} <= told


def test_the_lines_under_systemd_name_scripts_that_exist() -> None:
    section = README.split("\n## Under systemd\n")[1].split("\n## ")[0]
    commands = [line for line in section.splitlines() if line.startswith("    ")]

    named = re.findall(r"\bscripts/\w+", "\n".join(commands))
    assert named == ["scripts/install", "scripts/uninstall"]
    assert all(os.access(ROOT / name, os.X_OK) for name in named)
