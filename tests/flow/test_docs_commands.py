"""What the documents tell people to type: each command parses, and what can run without root runs in a house."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pydicom
import pytest
from click.testing import CliRunner

from coatcheck.cli.main import COMMANDS, cli
from coatcheck.config_model import Project
from coatcheck.deid import standard
from coatcheck.deid.actions import ACTIONS, Context
from coatcheck.deid.part10 import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from coatcheck.deid.profile import AVAILABLE
from coatcheck.schemas.profiles import profile_schema
from coatcheck.schemas.settings import config_schema, project_schema, subjects_schema
from tests.acceptance import studies
from tests.acceptance.house import House
from tests.unit.test_docs import DOCUMENTS, ROOT, keys, rows

TEXTS = {name: (ROOT / name).read_text() for name in DOCUMENTS}
CONFORMANCE, SHARE = TEXTS["profiles/CONFORMANCE.md"], TEXTS["systemd/SHARE.md"]
SAMPLE = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"
INSTEAD = {  # of what a page names by way of example: what the house of these tests has
    "/srv/coatcheck": "{tmp}/more",
    "/etc/coatcheck/coatcheck.yaml": "{tmp}/more.yaml",
    "/mnt/backups": "{tmp}/backups",
    "outbox/S1XQNNH74BJY6/2.25.246…": "{folder}",
    "S1XQNNH74BJY6": "{subject}",
    "28WKZNPX40": "{ticket}",
    "7F3K9Q2MXA": "{ticket}",
    "lung-trial": "lung",
    "TICKET": "{ticket}",
    "STUDY": "{ticket}",
    "ID": "1",
    "site/coatcheck.yaml": "{config}",
    "EDITION": "2024c",
    "KIND": "deid",
    "ATTRIBUTE": "PatientName",
    "DIR": "{tmp}/backups",
}
FILES = {"mapping": "{tmp}/map.csv", "preview": str(SAMPLE), "profile": "{tmp}/recipe", "--output": "{tmp}/made"}
NAMES = {"profile": "research", "reprocess": "basic"}
NO_SETTINGS = {"deid", "job_name"}  # the area of a commit, a word of Prometheus
# What waits for a service or for ever, and what would end the house.
ELSEWHERE = ({"run"}, {"reload"}, {"--watch"}, {"destroy"}, {"drop"})


def lines_of(text: str) -> Iterator[str]:
    """The lines of code of a page, continued ones joined; of those in a console only what is typed."""
    blocks = re.findall(r"^```(?:sh|shell|bash)?\n(.*?)^```$", text, re.M | re.S)
    blocks += [
        "\n".join(re.findall(r"^\$ (.*)", one, re.M))
        for one in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S)
    ]
    blocks.append("\n".join(line[4:] for line in text.splitlines() if line.startswith("    ")))
    for block in blocks:
        yield from block.replace("\\\n", " ").splitlines()


def typed(line: str) -> Iterator[list[str]]:
    """The arguments of each call of coatcheck in a line of shell."""
    reader = shlex.shlex(line.replace("[", "").replace("]", ""), posix=True, punctuation_chars=";&|>")
    reader.whitespace_split = True
    try:
        words = list(reader)
    except ValueError:  # no shell, such as the picture of the flow
        return
    call: list[str] | None = None
    for before, word in zip(["&&", *words], words, strict=False):
        if set(word) <= set(";&|>"):
            if call:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif word.endswith("/bin/coatcheck") or (word == "coatcheck" and before in ("&&", ";", "|", "--", "sudo")):
            call = []
    if call:
        yield call


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every call that a page shows, with the page."""
    for name, text in TEXTS.items():
        spans = [" ".join(span.split()) for span in re.findall(r"`(coatcheck [a-z][^`]*)`", text)]
        for line in (*lines_of(text), *spans):
            for call in typed(line):
                if call[0] in COMMANDS or call[0].startswith("-"):
                    yield name, tuple(call)


CALLS = sorted(set(commands()))


def leaf(call: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    """The command that is meant, and what is left for it."""
    command: click.Command = cli
    rest = list(call)
    while isinstance(command, click.Group) and rest:
        context = click.Context(command)
        _, rest, _ = command.make_parser(context).parse_args(rest)
        if rest:
            found = command.get_command(context, rest[0])
            assert found is not None, f"no command {rest[0]}"
            command, rest = found, rest[1:]
    return command, rest


def said(call: tuple[str, ...]) -> tuple[click.Command, dict[str, object]]:
    """What a command is told. Raises UsageError for an option that it has not; too much fails."""
    command, rest = leaf(call)
    given, left, _ = command.make_parser(click.Context(command)).parse_args(rest)
    assert left == [], f"too much: {left}"
    for one in command.params:
        value = given.get(one.name)
        if isinstance(one.type, click.Choice) and isinstance(value, str) and not value.isupper():
            one.type.convert(value, one, None)
    return command, given


def test_there_are_commands_in_the_documents() -> None:
    assert len(CALLS) > 50
    assert {call[0] for _, call in CALLS} == set(COMMANDS) - {"compare", "completion"}


@pytest.mark.parametrize(("page", "call"), CALLS, ids=[f"{page}: {' '.join(call)}" for page, call in CALLS])
def test_each_command_in_the_documents_can_be_typed(page: str, call: tuple[str, ...]) -> None:
    said(call)


def test_each_command_of_the_readmes_table_has_the_options_that_it_is_said_to_have() -> None:
    table = TEXTS["README.md"].split("\n## Commands\n")[1].split("\n## ")[0]
    for cells in rows(table):
        for span in re.findall(r"`([a-z][^`]*)`", cells[0].replace("\\|", "|")):
            command, rest = leaf(tuple(re.sub(r"[\[\]…]", "", span).split()))
            options = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
            assert {word for word in rest if word.startswith("--")} <= options, span


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A house with a delivery and something in quarantine, and the words by which it is told of."""
    tmp = tmp_path_factory.mktemp("typed")
    house = House(tmp / "house")
    house.drop("a", studies.instance(1, 1))
    house.drop("b", b"nothing")
    house.deliver(expect=3)
    (folder,) = house.outbox.glob("S*/2.25.*")
    (ticket,) = (path.name for path in house.archive.iterdir())
    (tmp / "backups").mkdir(mode=0o700)
    (tmp / "recipe").write_text("FORMAT dicom\n%header\nREMOVE StudyDescription\n")
    (tmp / "map.csv").write_text("id_old,id_new\nSOMEBODY-77,OLD-1\n")
    return {
        "tmp": str(tmp),
        "config": str(house.config),
        "folder": str(folder),
        "subject": folder.parent.name,
        "ticket": ticket,
    }


def here(call: tuple[str, ...], place: dict[str, str]) -> list[str]:
    """The same call about the house of these tests."""
    words = []
    for before, word in zip(("", *call), call, strict=False):
        file = FILES.get(before, FILES.get(call[0], "FILE"))
        for shown, ours in (INSTEAD | {"FILE": file, "NAME": NAMES.get(call[0], "lung")}).items():
            if word == shown or (shown.startswith("/") and word.startswith(shown)):
                word = ours.format(**place) + word[len(shown) :]
        words.append(word)
    return words


def complete(call: tuple[str, ...]) -> bool:
    """Whether a call says all that the command needs, and can be carried out here."""
    try:
        command, given = said(call)
    except (click.UsageError, AssertionError):  # which fails above
        return False
    wanted = [given.get(one.name) for one in command.params if one.name and one.required]
    whole = all(isinstance(value, (str, tuple, list)) and value for value in wanted)
    return whole and not isinstance(command, click.Group) and not any(one <= set(call) for one in ELSEWHERE)


RUN = sorted({call for _, call in CALLS if complete(call)})


def test_what_the_documents_tell_to_type_runs(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COATCHECK_CONFIG", place["config"])
    monkeypatch.chdir(place["tmp"])
    failed = {}
    for call in RUN:
        done = CliRunner().invoke(cli, here(call, place))
        if done.exit_code != 0:
            failed[call] = (done.exit_code, done.output, repr(done.exception))

    assert failed == {}
    assert len(RUN) > 30


def known_settings() -> set[str]:
    """Every key of the configuration, its drop-ins and profiles, as their schemas have them."""
    schemas = (config_schema(), project_schema(), subjects_schema(), profile_schema())
    return {key for schema in schemas for key in keys(schema)}


@pytest.mark.parametrize("page", DOCUMENTS)
def test_settings_that_a_page_names_with_a_value_exist(page: str) -> None:
    named = set(re.findall(r"`([a-z][a-z_]+): [^`]", TEXTS[page]))

    assert named - known_settings() - NO_SETTINGS == set()


@pytest.mark.parametrize("page", DOCUMENTS)
def test_files_of_ours_that_a_page_names_exist(page: str) -> None:
    text = re.sub(r"https?://\S+", "", TEXTS[page])
    named = set(re.findall(r"(?<![\w/.*])((?:scripts|systemd|tests|daemon)/[\w/@.-]*\w)", text))
    units = set(re.findall(r"(?<![\w./-])(coatcheck[\w@-]*\.(?:service|sysusers|tmpfiles))\b", text))

    assert [one for one in named if not (ROOT / one).exists()] == []
    assert [one for one in units if not (ROOT / "systemd" / one.replace("@8", "@")).exists()] == []


def test_the_conformance_statement_has_every_option_of_annex_e() -> None:
    told = {cells[0]: cells[2] for cells in rows(CONFORMANCE) if re.fullmatch(r"\d{6}", cells[0])}
    known = {one.code: one.name for one in standard.options().values()}

    assert told == {code: "yes" if name in (*AVAILABLE, "basic") else "no" for code, name in known.items()}


def test_the_conformance_statement_has_the_codes_dummies_and_numbers_of_the_code() -> None:
    codes = [part for cells in rows(CONFORMANCE) for part in cells[0].split(", ")]
    context = Context(secret=b"", subject="", shift_days=0)
    dummies = {vr: ACTIONS["dummy"](b"", vr, context) or b"" for vr in ("AE", "DA", "TM", "DT", "AS", "UR", "LT")}

    assert set(codes) >= standard.CODES
    assert [vr for vr, value in dummies.items() if f"`{value.decode()}`" not in CONFORMANCE] == []
    assert f"of {len(standard._sop_classes())} the IOD is known" in CONFORMANCE
    assert IMPLEMENTATION_CLASS_UID in CONFORMANCE and IMPLEMENTATION_VERSION_NAME in CONFORMANCE
    assert f"edition {standard.EDITION}" in CONFORMANCE


def test_samba_reads_what_the_page_of_the_share_says(tmp_path: Path) -> None:
    (shares,) = re.findall(r"^```ini\n(.*?)^```$", SHARE, re.M | re.S)
    (tmp_path / "smb.conf").write_text(shares)
    user = (ROOT / "systemd" / "coatcheck.sysusers").read_text().split("\nu ")[1].split()[0]

    assert set(re.findall(r"force \w+ = (\w+)", shares)) == {user}
    assert {path.rsplit("/", 1)[1] for path in re.findall(r"path = (\S+)", shares)} <= {*Project.model_fields}
    program = shutil.which("testparm")
    if program is None:
        pytest.skip("no Samba here")
    done = subprocess.run([program, "-s", tmp_path / "smb.conf"], capture_output=True, text=True, timeout=30)
    assert "nknown parameter" not in done.stderr, done.stderr
    assert done.stdout.count("veto files = /.coatcheck/") == shares.count("veto files") == 2
