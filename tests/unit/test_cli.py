"""The command line as people and scripts meet it: exit codes, output, and what it does not import."""

from __future__ import annotations

import csv
import inspect
import io
import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from coatcheck.cli.main import COMMANDS, cli
from coatcheck.keys import read_key
from coatcheck.ledger import Ledger
from coatcheck.reasons import EXPLANATIONS, Reason
from coatcheck.vault import Kind, Vault

NOW = "2026-11-21T10:00:00.000Z"
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("COATCHECK")}


def coatcheck(*arguments: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    command = [sys.executable, "-m", "coatcheck", *(os.fspath(one) for one in arguments)]
    return subprocess.run(
        command, cwd=cwd, env=ENVIRONMENT | environ, capture_output=True, text=True, check=False, timeout=60
    )


def invoke(*arguments: str | Path) -> str:
    """Run a command in this process and give what it printed to stdout."""
    result = CliRunner().invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def invoke_json(*arguments: str | Path) -> dict[str, object]:
    said = json.loads(invoke(*arguments))
    assert isinstance(said, dict)
    assert said["version"] == 1
    return said


@pytest.fixture
def config(tmp_path: Path) -> Path:
    invoke("init", tmp_path / "c", "--project", "lung", "--project", "heart")
    return tmp_path / "c/coatcheck.yaml"


def commands(group: click.Group, path: Sequence[str] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        found.append(((*path, name), command))
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
    return found


def test_every_command_has_an_example_of_itself() -> None:
    for path, command in commands(cli):
        assert command.help is not None
        assert "Example:" in command.help, path
        assert f"  coatcheck {' '.join(path)}" in command.help, path


def test_every_command_is_said_whole_in_the_list_of_commands() -> None:
    for path, command in [((), cli), *commands(cli)]:
        if isinstance(command, click.Group):
            shown = command.get_help(click.Context(command, terminal_width=80))
            assert "..." not in shown.partition("Commands:")[2], path


def examples() -> list[str]:
    """Every line of every help that shows how a command is called."""
    texts = [cli.help or "", *(command.help or "" for _, command in commands(cli))]
    lines = (line.strip() for text in texts for line in inspect.cleandoc(text).splitlines() if line.startswith("  "))
    return sorted({line for line in lines if line.startswith("coatcheck ")})


@pytest.mark.parametrize("line", examples())
def test_every_example_of_a_help_can_be_parsed(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = itertools.takewhile(lambda word: word not in (">", "|", "&&"), shlex.split(line, comments=True)[1:])
    command: click.Command = cli
    context = cli.make_context("coatcheck", list(words))
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert found is not None, line
        command = found
        try:
            context = command.make_context(name, rest, parent=context)
        except click.BadParameter as error:
            assert "does not exist" in error.message, line  # its files are not here
            return
    assert not context.args


def test_a_shell_completes_commands_options_and_projects(config: Path) -> None:
    def completed(*words: str) -> list[str]:
        asked = {"COMP_WORDS": " ".join(["coatcheck", *words]), "COMP_CWORD": str(len(words))}
        environ = {"_COATCHECK_COMPLETE": "bash_complete", "COATCHECK_CONFIG": str(config), **asked}
        said = coatcheck(cwd=config.parent, **environ)
        assert said.returncode == 0, said.stderr
        return [line.partition(",")[2] for line in said.stdout.splitlines()]

    assert completed("qua") == ["quarantine"]
    assert completed("quarantine", "retry", "--o") == ["--older-than"]
    assert completed("quarantine", "retry", "--project", "l") == ["lung"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_lines_that_ask_coatcheck(shell: str, tmp_path: Path) -> None:
    text = invoke("completion", shell)

    assert f"_COATCHECK_COMPLETE={shell}_complete" in text
    if shutil.which(shell):
        (tmp_path / "completion").write_text(text)
        subprocess.run([shell, "-n", tmp_path / "completion"], check=True)


def test_every_command_that_reads_a_configuration_takes_one_by_option() -> None:
    for path, command in commands(cli):
        if isinstance(command, click.Group) or path[0] in ("profile", "schema", "completion"):
            continue
        assert "--config" in [name for option in command.params for name in option.opts], path


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "coatcheck", "--help"]
    result = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines()}
    assert "click" in imported
    assert not imported & {"pydicom", "pydantic", "sqlite_utils", "sqlite3", "rich", "watchdog", "yaml", "cryptography"}
    assert "http" not in imported
    assert all(name in result.stdout for name in COMMANDS)


def test_status_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    assert coatcheck("init", "--project", "lung", cwd=tmp_path).returncode == 0
    assert coatcheck("run", "--once", cwd=tmp_path).returncode == 0
    command = [sys.executable, "-X", "importtime", "-m", "coatcheck", "status"]
    result = subprocess.run(command, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "coatcheck.ledger.reader" in imported
    heavy = {
        "pydicom",
        "sqlite_utils",
        "rich",
        "watchdog",
        "cryptography",
        "dateutil",
        "http.client",
        "multiprocessing",
    }
    assert not imported & heavy


def test_init_and_check_agree(tmp_path: Path) -> None:
    made = coatcheck("init", "--project", "lung", cwd=tmp_path)
    assert made.returncode == 0
    assert f"made the key {tmp_path}/keys/lung.key" in made.stdout
    checked = coatcheck("check", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "")
    again = coatcheck("init", cwd=tmp_path)
    assert (again.returncode, again.stdout) == (0, "everything is there already\n")


def test_check_prints_every_problem_to_stdout_and_ends_with_78(config: Path) -> None:
    (config.parent / "lung/inbox").rmdir()
    (config.parent / "keys/heart.key").unlink()
    result = coatcheck("check", "--config", config, cwd=config.parent)
    assert result.returncode == 78
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{config}:") for line in lines)
    said = json.loads(coatcheck("check", "--json", "--config", config, cwd=config.parent).stdout)
    assert [problem["key"] for problem in said["problems"]] == ["projects.lung.inbox", "projects.heart"]
    assert set(said["problems"][0]) == {"file", "line", "key", "what", "hint", "level"}


def test_a_wrong_configuration_ends_every_command_with_78_and_one_line_a_problem(config: Path) -> None:
    config.write_text(config.read_text() + "\nexecuter: inline\nworker: 2\n")
    for arguments in (["status"], ["reload"], ["quarantine", "list"], ["init"]):
        result = coatcheck(*arguments, "--config", config, cwd=config.parent)
        assert (result.returncode, result.stdout) == (78, ""), arguments
        assert [line.split(": ")[2] for line in result.stderr.splitlines()] == ["executer", "worker"]
        assert result.stderr.startswith(f"coatcheck: {config}:")


def test_no_configuration_ends_with_78(tmp_path: Path) -> None:
    result = coatcheck("status", cwd=tmp_path)
    if Path("/etc/coatcheck/coatcheck.yaml").exists():
        pytest.skip("this machine has a configuration of its own")
    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.startswith("coatcheck: there is no configuration: ")


def test_the_configuration_may_be_named_before_the_command_after_it_or_in_the_environment(config: Path) -> None:
    elsewhere = config.parent / "state"
    assert coatcheck("--config", config, "status", cwd=elsewhere).returncode == 0
    assert coatcheck("--config", "absent", "status", "--config", config, cwd=elsewhere).returncode == 0
    assert coatcheck("status", cwd=elsewhere, COATCHECK_CONFIG=str(config)).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["status", "--jsn"],
        ["init", "a", "b"],
        ["mapping", "export", "--project", "lung"],
        ["mapping", "export", "--project", "lung", "--kind", "name"],
        ["mapping", "export", "--project", "lnug", "--kind", "uid"],
        ["quarantine", "list", "--reason", "bad-luck"],
        ["quarantine", "show", "x"],
    ],
)
def test_wrong_usage_ends_with_2(config: Path, arguments: list[str]) -> None:
    result = coatcheck(*arguments, cwd=config.parent)
    assert (result.returncode, result.stdout) == (2, "")
    assert "Error: " in result.stderr


def test_an_error_is_one_line_without_a_traceback(config: Path) -> None:
    result = coatcheck("reload", cwd=config.parent)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        "coatcheck: no service is running with this configuration: start it with `coatcheck run`\n"
    )
    assert "Traceback" in coatcheck("reload", cwd=config.parent, COATCHECK_DEBUG="1").stderr


def test_an_unexpected_error_tells_its_kind_and_place_but_not_its_text(config: Path) -> None:
    program = """
import sys
import coatcheck.cli.main as main, coatcheck.config
def broken(path): raise RuntimeError("DOE^JANE")
coatcheck.config.load = broken
sys.exit(main.main(["status", "--config", "x"]))
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("coatcheck: unexpected RuntimeError in ")
    assert "DOE" not in result.stderr


def test_status_works_without_a_service(config: Path) -> None:
    said = invoke_json("status", "--json", "--config", config)
    assert said["service"] == {
        "running": False,
        "pid": None,
        "started": None,
        "updated": None,
        "silent_seconds": None,
        "reloads": 0,
        "reload_problems": [],
        "faults": [],
    }
    text = invoke("status", "--config", config)
    assert text.startswith("No service is running.")
    assert "\nlung " in text
    assert "\x1b" not in text


def refuse(config: Path, detail: str = "") -> int:
    ledger = Ledger.open(config.parent / "state/ledger.db")
    folder = f"{Reason.TRUNCATED}/unassigned"
    number = ledger.refuse_file(project="lung", reason=Reason.TRUNCATED, detail=detail, folder=folder, now=NOW)
    ledger.refusal_done(number, NOW)
    ledger.close()
    return number


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("(0008,0016)", "(0008,0016) SOPClassUID"),
        ("(0009,1001)", "(0009,1001)"),
        ("two (0008,0016)", "two (0008,0016)"),
    ],
)
def test_quarantine_names_the_attribute_beside_its_tag(config: Path, detail: str, shown: str) -> None:
    text = invoke("quarantine", "show", str(refuse(config, detail)), "--config", config)
    assert f"detail:  {shown}\n" in text


def test_quarantine_lists_and_explains_what_lies_there(config: Path) -> None:
    number = refuse(config)
    assert "truncated" in invoke("quarantine", "list", "--config", config)
    assert "truncated" in invoke("status", "--config", config)
    assert "truncated" not in invoke("quarantine", "list", "--project", "heart", "--config", config)
    said = invoke_json("quarantine", "list", "--reason", "truncated", "--json", "--config", config)
    assert isinstance(said["refusals"], list)
    (refusal,) = said["refusals"]
    assert refusal["path"] == str(config.parent / "lung/quarantine/truncated/unassigned")
    assert refusal["do"] == EXPLANATIONS[Reason.TRUNCATED].do
    text = invoke("quarantine", "show", str(number), "--config", config)
    assert EXPLANATIONS[Reason.TRUNCATED].what in text
    assert coatcheck("quarantine", "show", "99", cwd=config.parent).returncode == 1


def vault(config: Path) -> Vault:
    keys = {name: read_key(config.parent / f"keys/{name}.key") for name in ("lung", "heart")}
    return Vault.open(config.parent / "state/vault.db", keys)


PATIENTS = {"=1+1": "S-1", 'quote"d, and\nlong': "S-2", "Ünï": "S-3"}


def test_a_mapping_is_exported_as_csv_with_the_promised_header_and_values_as_they_are(config: Path) -> None:
    opened = vault(config)
    opened.record("lung", Kind.PATIENT, PATIENTS, NOW)
    opened.record("heart", Kind.PATIENT, {"other": "S-9"}, NOW)
    opened.record("lung", Kind.DATE_SHIFT, {"1.2.3": "-17"}, NOW)
    text = invoke("mapping", "export", "--project", "lung", "--kind", "patient", "--config", config)
    assert list(csv.reader(io.StringIO(text))) == [["id_old", "id_new"], *map(list, PATIENTS.items())]
    text = invoke("mapping", "export", "--project", "lung", "--kind", "date_shift", "--config", config)
    assert text == "study_uid_old,days\n1.2.3,-17\n"
    assert invoke("mapping", "export", "--project", "lung", "--kind", "uid", "--config", config) == "id_old,id_new\n"
    opened.close()


def test_a_mapping_is_exported_as_json(config: Path) -> None:
    opened = vault(config)
    opened.record("lung", Kind.PATIENT, PATIENTS, NOW)
    opened.close()
    arguments = ("mapping", "export", "--project", "lung", "--kind", "patient", "--json", "--config", config)
    assert json.loads(invoke(*arguments)) == [{"id_old": old, "id_new": new} for old, new in PATIENTS.items()]
    assert json.loads(invoke("mapping", "export", "--project", "heart", *arguments[4:])) == []


def test_an_export_leaves_an_audit_row_with_its_reason(config: Path) -> None:
    opened = vault(config)
    invoke("mapping", "export", "--project", "lung", "--kind", "uid", "--reason", "study report", "--config", config)
    (row,) = opened.audits("lung")
    assert (row.action, row.reason) == ("mapping export uid", "study report")
    assert row.who
    opened.close()


def test_an_export_without_a_vault_fails_and_makes_none(config: Path) -> None:
    result = coatcheck("mapping", "export", "--project", "lung", "--kind", "uid", cwd=config.parent)
    assert (result.returncode, result.stdout) == (1, "")
    assert list((config.parent / "state").iterdir()) == []


def test_profiles_are_listed_and_shown() -> None:
    said = invoke_json("profile", "list", "--json")
    assert isinstance(said["profiles"], list)
    assert {"basic", "research"} <= {profile["name"] for profile in said["profiles"]}
    assert invoke("profile", "show", "basic").startswith("basic: ")
    assert "113100" in json.dumps(invoke_json("profile", "show", "basic", "--json"))


def test_a_reader_that_goes_away_is_no_error_message(config: Path) -> None:
    opened = vault(config)
    opened.record("lung", Kind.UID, {f"1.2.{number}": f"2.25.{number}" for number in range(20_000)}, NOW)
    opened.close()
    command = [sys.executable, "-m", "coatcheck", "mapping", "export", "--project", "lung", "--kind", "uid"]
    with subprocess.Popen(
        command, cwd=config.parent, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"id_old,id_new\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_ctrl_c_ends_with_130_and_no_traceback(config: Path) -> None:
    program = """
import os, signal, sys
import coatcheck.cli.main as main, coatcheck.config
coatcheck.config.load = lambda path: os.kill(os.getpid(), signal.SIGINT)
sys.exit(main.main(["status", "--config", "x"]))
"""
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert result.returncode == 130
    assert "Traceback" not in result.stderr


def test_a_path_that_is_not_utf8_can_be_printed(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/\xff"))
    made = coatcheck("init", folder, cwd=tmp_path)
    assert made.returncode == 0
    (folder / "default/inbox").rmdir()
    checked = coatcheck("check", "--config", folder / "coatcheck.yaml", cwd=tmp_path, PYTHONIOENCODING="utf-8:strict")
    assert checked.returncode == 78
    assert "\\udcff" in checked.stdout
