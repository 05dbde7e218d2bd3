"""The schemas say what the readers say: right files validate, wrong ones do not, and every setting is explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from coatcheck.cli.schema import KINDS, command
from coatcheck.config import load
from coatcheck.config_model import Project, Settings
from coatcheck.deid import actions
from coatcheck.deid.actions import Maker
from coatcheck.deid.settings import SettingError
from coatcheck.errors import CoatcheckError
from coatcheck.profile_file import KEYS, load_profile
from coatcheck.scaffold_text import explained, project_text, top_text
from coatcheck.schemas.profiles import ACTIONS, NEEDED, SETTINGS, profile_schema
from coatcheck.schemas.settings import config_schema, project_schema, subjects_schema

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))
FOLDERS = {role: f"lung/{role}" for role in ("inbox", "outbox", "quarantine", "archive")}


def printed(kind: str) -> dict[str, Any]:
    done = CliRunner().invoke(command, [kind])
    assert done.exit_code == 0
    found: dict[str, Any] = json.loads(done.output)
    return found


def right(schema: dict[str, Any], text: str) -> bool:
    return bool(Draft202012Validator(schema).is_valid(yaml.safe_load(text)))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_printed_is_a_schema(kind: str) -> None:
    Draft202012Validator.check_schema(printed(kind))
    assert printed(kind)["$schema"].endswith("2020-12/schema")


def settings_of(schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting of a schema, however deep, with its name."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and "allOf" not in schema:
            yield from schema["properties"].items()
        for value in schema.values():
            yield from settings_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from settings_of(value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_has_a_description(kind: str) -> None:
    """One of the configuration is explained by its comment in the scaffold, one below it by `Field(description)`."""
    schema = printed(kind)
    silent = []
    for name, setting in settings_of({key: value for key, value in schema.items() if key not in ("if", "then")}):
        behind = schema.get("$defs", {}).get(setting.get("$ref", "").rpartition("/")[2], {})
        if "const" not in setting and not (setting.get("description") or behind.get("description")):
            silent.append(name)
    assert silent == []


def test_the_scaffold_explains_every_setting() -> None:
    names = {*Settings.model_fields, *Project.model_fields, "defaults", "projects"} - {"name"}

    assert names - explained(names).keys() == set()


def test_a_scaffolded_configuration_validates_with_every_default_written_out() -> None:
    plain = top_text("state", "keys") + "  lung:\n" + re.sub("^", "    ", project_text(FOLDERS), flags=re.M)
    names = "|".join({*Settings.model_fields, *Project.model_fields})
    written = re.sub(rf"^( *)# (({names}): )", r"\1\2", plain, flags=re.M)

    assert right(config_schema(), plain)
    assert right(config_schema(), written)
    assert len(yaml.safe_load(written)["projects"]["lung"]) >= 15
    assert right(project_schema(), project_text(FOLDERS))


FOLDERS_TEXT = "inbox: i, outbox: o, quarantine: q, archive: a"


@pytest.mark.parametrize(
    "text",
    [
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: {{kind: sequential, prefix: LUNG-, digits: 4}}}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: hashed, file_settle: 0s}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, include: ['*.dcm', {{regex: ^a/}}, {{when: {{Modality: SR}}}}]}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: {{kind: hashed, spelling: {{ignore_case: true}}}}}}}}",
        "defaults: {quarantine: q}\nworkers: 4\nprojects: {lung: {inbox: i, outbox: o, archive: a}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, date_shift_days: [-30, 30], variables: {{site: Leeds}}}}}}",
    ],
)
def test_a_right_configuration_validates_and_loads(text: str, tmp_path: Path) -> None:
    (tmp_path / "coatcheck.yaml").write_text(text)

    assert load(tmp_path / "coatcheck.yaml").projects
    assert right(config_schema(), text)


@pytest.mark.parametrize(
    "text",
    [
        "projcts: {}",
        "projects: {Lung: {inbox: i, outbox: o, quarantine: q, originals: delete}}",
        "projects: {lung: {inbox: i, outbox: o, originals: delete}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, inbx: x}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, file_settle: 5}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, exclude: SR}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, exclude: [{{modality: SR}}]}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, file_settle: 5 seconds}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, originals: keep}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, pixel_risk: yes}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, date_shift_days: [1]}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, variables: {{site: 1}}}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: {{prefix: LUNG-}}}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: list}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: {{kind: list, file: s.csv, entries: {{}}}}}}}}",
        f"projects: {{lung: {{{FOLDERS_TEXT}, subjects: {{kind: hashed, spelling: {{ignore_case: 1}}}}}}}}",
        f"workers: many\nprojects: {{lung: {{{FOLDERS_TEXT}}}}}",
    ],
)
def test_a_wrong_configuration_does_neither(text: str, tmp_path: Path) -> None:
    (tmp_path / "coatcheck.yaml").write_text(text)

    with pytest.raises(CoatcheckError):
        load(tmp_path / "coatcheck.yaml")
    assert not right(config_schema(), text)


def test_the_subjects_alone_have_a_schema() -> None:
    assert right(subjects_schema(), "{kind: sequential, start: 7}")
    assert not right(subjects_schema(), "{kind: numbered}")


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_that_ships_validates(path: Path) -> None:
    assert right(profile_schema(), path.read_text())


def test_the_examples_of_the_profiles_own_page_validate() -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "profiles" / "README.md").read_text(), re.M | re.S)

    assert len(blocks) >= 2
    assert all(right(profile_schema(), block) for block in blocks)


RULES = "title: x\nrules:\n  - "


@pytest.mark.parametrize(
    "text",
    [
        "title: x\noption: []",
        "title: x\noptions: [retain-everything]",
        "title: x\noptions: [clean-pixel-data]",
        "title: x\nunlisted: drop",
        "title: x\nextends: reserch",
        "title: x\ndates: {scope: house}",
        RULES + "{at: PatientSex}",
        RULES + "{do: keep}",
        RULES + "{at: PatientSex, do: kep}",
        RULES + "{at: PatientSex, do: keep, with: x}",
        RULES + "{at: StudyDescription, do: replace}",
        RULES + "{at: PatientWeight, do: perturb, span: 0}",
        RULES + "{at: PatientID, do: hash, length: 3}",
        RULES + "{at: StudyDate, do: generalise, to: week}",
        RULES + "{at: StudyDescription, do: keep, when: {Modality: {is: MR}}}",
        RULES + "{at: StudyDescription, do: keep, when: {any: []}}",
        RULES + "{at: BodyPartExamined, do: allow}",
    ],
)
def test_a_wrong_profile_does_not_validate_and_does_not_load(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)

    with pytest.raises(CoatcheckError):
        load_profile("./x.yaml", tmp_path)
    assert not right(profile_schema(), text)


def test_the_schema_knows_every_key_action_and_option() -> None:
    assert profile_schema()["properties"].keys() == set(KEYS)
    assert ACTIONS.keys() == actions.KINDS.keys()
    assert SETTINGS.keys() <= ACTIONS.keys() and NEEDED.keys() <= ACTIONS.keys()


EXAMPLES: dict[str, object] = {
    "with": "x",
    "pattern": "a",
    "count": 1,
    "length": 8,
    "too_short": "hash",
    "days": [-9, -1],
}
EXAMPLES |= {"scope": "patient", "whole_weeks": False, "span": 1, "proportional": 0.1, "fixed": 2, "round_to": 1}
EXAMPLES |= {"to": "year", "bands": 5, "list": "list.csv", "otherwise": "keep"}


@pytest.mark.parametrize("action", actions.KINDS)
def test_the_settings_are_those_that_the_action_reads(action: str, tmp_path: Path) -> None:
    """Each subset of all settings is read in the same way by the action itself and by the schema."""
    (tmp_path / "list.csv").write_text("old,new\na,b\n")
    mine = [name for name in EXAMPLES if name in SETTINGS.get(action, {})]
    others = [name for name in EXAMPLES if name not in mine][:3]
    subsets = [set(found) for size in range(len(mine) + 1) for found in combinations(mine, size)]
    exclusive = ({"span", "proportional", "fixed"}, {"to", "bands"})

    for names in [*subsets, *({*mine, other} for other in others)]:
        settings = {name: EXAMPLES[name] for name in names}
        rule = {"at": "StudyDescription", "do": action, "because": "so", **settings}
        valid = Draft202012Validator(profile_schema()).is_valid({"title": "x", "rules": [rule]})
        if any(len(names & group) != 1 for group in exclusive if group & set(mine)):
            continue  # "one of them" is for the action to say
        if action == "shift-dates" and names and "days" not in names:
            continue
        assert valid == is_made(action, settings, tmp_path), names


def is_made(action: str, settings: dict[str, object], folder: Path) -> bool:
    try:
        actions.KINDS[action].make(settings, Maker(frozenset(), folder))
    except SettingError:
        return False
    return True
