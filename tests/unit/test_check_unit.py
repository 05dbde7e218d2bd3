"""`check` judges an installed unit: what it hides, what its user may not do, and the drop-in that mends it."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from coatcheck.check import check
from coatcheck.check_unit import Findings, look
from coatcheck.config import Config, load
from coatcheck.installed_unit import Installed, Right, find_installed
from coatcheck.scaffold import init
from coatcheck.systemd_unit import parse

STRICT = "[Service]\nUser=coatcheck\nProtectSystem=strict\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init(tmp_path / "house", ["lung", "heart"], secrets.token_bytes)
    return tmp_path / "house"


def config_of(folder: Path) -> Config:
    return load(folder / "coatcheck.yaml")


def found(folder: Path, *lines: str, **known: object) -> Findings:
    unit = parse([STRICT + "\n".join(lines)])
    return look(config_of(folder), Installed(unit=unit, **known))  # type: ignore[arg-type]


def keys(findings: Findings, level: str = "problem") -> list[str]:
    return sorted(one.key for one in findings.problems if one.level == level)


def given(folder: Path) -> str:
    return f"ReadWritePaths={folder}"


def test_a_unit_that_allows_everything_is_no_problem(folder: Path) -> None:
    assert found(folder, given(folder)) == Findings()


def test_folders_that_are_not_covered_are_named_with_the_one_folder_above_them(folder: Path) -> None:
    findings = found(folder, f"ReadWritePaths={folder}/state {folder}/heart")
    assert keys(findings) == [f"projects.lung.{role}" for role in ("archive", "inbox", "outbox", "quarantine")]
    assert findings.drop_in == f"[Service]\nReadWritePaths=-{folder}/lung\n"


def test_what_the_drop_in_says_mends_it(folder: Path) -> None:
    first = found(folder)
    again = look(config_of(folder), Installed(unit=parse([STRICT, first.drop_in])))
    assert keys(first)
    assert again == Findings()


def test_folders_with_nothing_of_their_own_above_them_are_named_each(folder: Path) -> None:
    text = (folder / "coatcheck.yaml").read_text()
    for role in ("inbox", "outbox", "quarantine", "archive"):
        text = text.replace(f"{role}: lung/{role}", f"{role}: /srv/{role}-of-lung")
    (folder / "coatcheck.yaml").write_text(text)
    findings = found(folder, given(folder))
    assert findings.drop_in.splitlines()[1:] == [
        f"ReadWritePaths=-/srv/{role}-of-lung" for role in ("inbox", "outbox", "quarantine", "archive")
    ]


def test_a_state_folder_elsewhere_is_waited_for(folder: Path) -> None:
    findings = found(folder, f"ReadWritePaths={folder}/lung {folder}/heart")
    assert keys(findings) == ["state_dir"]
    assert f"[Unit]\nRequiresMountsFor={folder}/state\n" in findings.drop_in


def test_two_mounts_of_one_project_are_a_note(folder: Path) -> None:
    each = " ".join(f"{folder}/lung/{role}" for role in ("inbox", "outbox", "quarantine", "archive"))
    findings = found(folder, f"ReadWritePaths={folder}/state {folder}/heart {each}")
    assert keys(findings) == []
    assert keys(findings, "note") == ["projects.lung.archive", "projects.lung.quarantine"]


def test_what_lies_in_a_hidden_folder_is_bound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coatcheck.systemd_unit._TEMPORARY", (folder.parent,))
    findings = found(folder, given(folder), "PrivateTmp=yes")
    assert f"BindPaths=-{folder}/lung\n" in findings.drop_in
    assert "ReadWritePaths" not in findings.drop_in


def test_what_the_unit_makes_inaccessible_is_not_given_back(folder: Path) -> None:
    findings = found(folder, given(folder), f"InaccessiblePaths={folder}/lung/archive")
    assert keys(findings) == ["projects.lung.archive"]
    assert findings.drop_in == ""


def test_what_the_user_may_not_do_is_told_with_its_command(folder: Path) -> None:
    def may(path: Path, right: Right) -> bool:
        return path.name not in ("inbox", "outbox") or right == "x"

    findings = found(folder, given(folder), may=may)
    hints = {one.key: one.hint for one in findings.problems}
    assert f"`setfacl -m u:coatcheck:rwx,d:u:coatcheck:rwx {folder}/lung/inbox`" in hints["projects.lung.inbox"]
    assert hints["projects.lung.outbox"] == f"`chown coatcheck:coatcheck {folder}/lung/outbox`"
    assert len(hints) == 4


def test_a_folder_above_that_the_user_cannot_pass_is_named(folder: Path) -> None:
    findings = found(folder, given(folder), may=lambda path, right: path not in (folder, folder / "lung/inbox"))
    [problem] = [one for one in findings.problems if one.key == "projects.lung.inbox"]
    assert problem.hint == f"let it pass {folder}: `setfacl -m u:coatcheck:x {folder}`"


def test_a_key_that_only_root_can_read_is_handed_over(folder: Path) -> None:
    findings = found(folder, given(folder), may=lambda path, right: path.suffix != ".key")
    assert keys(findings) == ["projects.heart", "projects.lung"]
    assert f"LoadCredential=lung.key:{folder}/keys/lung.key\n" in findings.drop_in


def test_a_key_that_the_unit_hands_over_is_looked_for_where_the_unit_has_it(folder: Path) -> None:
    other = folder / "lung-elsewhere"
    (folder / "keys/lung.key").rename(other)
    line = f"LoadCredential=lung.key:{other}"
    installed = Installed(unit=parse([STRICT, "[Service]\n" + given(folder) + "\n" + line]))
    assert check(config_of(folder), None, installed) == []
    assert [one.key for one in check(config_of(folder), None)] == ["projects.lung"]
    assert found(folder, given(folder), line) == Findings()
    other.unlink()
    assert keys(found(folder, given(folder), line)) == ["projects.lung"]
    assert [one.key for one in check(config_of(folder), None, installed)] == ["projects.lung"]


def test_a_key_that_only_systemd_can_open_is_no_problem(folder: Path) -> None:
    (folder / "keys/lung.key").rename(folder / "keys/lung.sealed")
    line = f"LoadCredentialEncrypted=lung.key:{folder}/keys/lung.sealed"
    installed = Installed(unit=parse([STRICT, f"[Service]\n{line}"]))
    assert check(config_of(folder), None, installed) == []


def test_a_configuration_that_the_user_cannot_read_is_a_problem(folder: Path) -> None:
    findings = found(folder, given(folder), may=lambda path, right: path.suffix != ".yaml")
    assert [one.file for one in findings.problems] == [str(folder / "coatcheck.yaml")]


def test_a_missing_user_and_an_outdated_unit_are_told(folder: Path) -> None:
    findings = found(folder, given(folder), user_exists=False, outdated=True)
    assert [(one.level, one.hint) for one in findings.problems] == [
        ("problem", "run `systemd-sysusers`"),
        ("note", "run `systemctl daemon-reload`"),
    ]


def place(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_unit_and_its_drop_ins_are_found_in_the_order_of_their_names(folder: Path, tmp_path: Path) -> None:
    root, config = tmp_path / "root", folder / "coatcheck.yaml"
    assert find_installed(config, root) is None
    place(root, "etc/systemd/system/coatcheck.service", f"[Service]\nExecStart=x run --config {config}\nGroup=a\n")
    place(root, "usr/lib/systemd/system/coatcheck.service", "[Service]\nGroup=b\n")
    place(root, "etc/systemd/system/coatcheck.service.d/20.conf", "[Service]\nProtectSystem=strict\n")
    place(root, "usr/lib/systemd/system/coatcheck.service.d/10.conf", "[Service]\nProtectSystem=full\nGroup=\n")
    place(root, "run/systemd/system/coatcheck.service.d/20.conf", "[Service]\nProtectSystem=no\n")
    installed = find_installed(config, root)
    assert installed is not None
    assert (installed.unit.system, installed.unit.group) == ("strict", "")


def test_a_unit_that_runs_with_another_configuration_says_nothing_of_this_one(folder: Path, tmp_path: Path) -> None:
    place(tmp_path, "etc/systemd/system/coatcheck.service", "[Service]\nExecStart=x run\n")
    assert find_installed(folder / "coatcheck.yaml", tmp_path) is None


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees with the eyes of others")
def test_rights_are_asked_of_the_kernel(tmp_path: Path) -> None:
    place(
        tmp_path, "etc/systemd/system/coatcheck.service", f"[Service]\nExecStart=x --config {tmp_path}/c\nUser=nobody\n"
    )
    place(tmp_path, "c", "")
    installed = find_installed(tmp_path / "c", tmp_path)
    assert installed is not None
    assert installed.may is not None
    assert installed.may(Path("/"), "r")
    assert not installed.may(Path("/"), "w")
    assert not installed.may(Path("/etc/shadow"), "r")
