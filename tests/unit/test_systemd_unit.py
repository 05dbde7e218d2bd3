"""What a unit's text lets the service do with paths and keys."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.systemd_unit import Access, Credential, Unit, drop_in, parse

HIDDEN, READ, WRITE = Access.HIDDEN, Access.READ, Access.WRITE
ROOT = Path(__file__).resolve().parents[2]


def unit(*lines: str) -> Unit:
    return parse(["\n".join(["[Service]", *lines])])


@pytest.mark.parametrize(
    ("lines", "path", "access"),
    [
        ([], "/srv/lung", WRITE),
        (["ProtectSystem=yes"], "/usr/share", READ),
        (["ProtectSystem=yes"], "/etc", WRITE),
        (["ProtectSystem=full"], "/etc/coatcheck", READ),
        (["ProtectSystem=strict"], "/srv/lung", READ),
        (["ProtectSystem=strict"], "/dev/shm", WRITE),
        (["ProtectSystem=strict"], "/home/anna", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/lung"], "/srv/lung/inbox", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=-/srv/lung"], "/srv/lung", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/lung"], "/srv/lungs", READ),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/a /srv/b", "ReadWritePaths=/srv/c"], "/srv/b", WRITE),
        (["ProtectSystem=strict", 'ReadWritePaths="/srv/my lung"'], "/srv/my lung/inbox", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/a", "ReadWritePaths="], "/srv/a", READ),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/50%%"], "/srv/50%", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=%S/other"], "/var/lib/other", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=/srv/a \\", "  /srv/b"], "/srv/b", WRITE),
        (["ProtectSystem=strict", "ReadWritePaths=/srv", "ReadOnlyPaths=/srv/a"], "/srv/a/b", READ),
        (["ProtectSystem=strict", "StateDirectory=coatcheck"], "/var/lib/coatcheck", WRITE),
        (["ReadWritePaths=/srv", "InaccessiblePaths=/srv/a"], "/srv/a/b", HIDDEN),
        (["ProtectHome=yes", "ReadWritePaths=/home/anna"], "/home/anna", HIDDEN),
        (["ProtectHome=read-only"], "/home/anna", READ),
        (["ProtectHome=tmpfs", "BindPaths=/home/anna/lung"], "/home/anna/lung/inbox", WRITE),
        (["ProtectHome=tmpfs", "BindPaths=/mnt/x:/home/anna/lung:rbind"], "/home/anna/lung", WRITE),
        (["ProtectSystem=strict", "BindReadOnlyPaths=/srv/a"], "/srv/a", READ),
        (["PrivateTmp=yes"], "/tmp/lung", HIDDEN),
        (["PrivateTmp=yes"], "/var/tmp/lung", HIDDEN),
        (["PrivateTmp=no"], "/tmp/lung", WRITE),
    ],
)
def test_what_the_service_may_do_with_a_path(lines: list[str], path: str, access: Access) -> None:
    assert unit(*lines).access(Path(path)) is access


def test_later_texts_win_and_comments_and_other_sections_say_nothing() -> None:
    found = parse(
        [
            "[Unit]\nUser=nobody\n[Service]\nUser=coatcheck\n# User=root\nProtectSystem=strict\n",
            "[Service]\nProtectSystem=full\n;ProtectSystem=no\n",
        ]
    )
    assert (found.user, found.system) == ("coatcheck", "full")


@pytest.mark.parametrize(
    ("writable", "one", "other", "same"),
    [
        ("/srv/lung", "/srv/lung/inbox", "/srv/lung/archive", True),
        ("/srv/lung/inbox /srv/lung/archive", "/srv/lung/inbox", "/srv/lung/archive", False),
        ("/srv/lung /srv/lung/archive", "/srv/lung/inbox", "/srv/lung/archive", True),
        ("/srv/a /srv/b", "/srv/a/x", "/srv/b/x", False),
    ],
)
def test_each_path_that_is_named_is_a_mount_but_not_below_another(
    writable: str, one: str, other: str, same: bool
) -> None:
    found = unit("ProtectSystem=strict", f"ReadWritePaths={writable}")
    assert (found.mount(Path(one)) == found.mount(Path(other))) is same


def test_the_keys_that_are_handed_over_are_known() -> None:
    found = unit("LoadCredential=lung.key:/etc/keys/my lung.key", "LoadCredentialEncrypted=heart:/etc/heart.sealed")
    assert found.credentials == {
        "lung.key": Credential(Path("/etc/keys/my lung.key"), False),
        "heart": Credential(Path("/etc/heart.sealed"), True),
    }


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/opt/x/coatcheck run --config /srv/c.yaml",
        "ExecStart=/opt/x/coatcheck --config=/srv/c.yaml run",
        "Environment=A=b COATCHECK_CONFIG=/srv/c.yaml",
    ],
)
def test_the_configuration_that_the_command_names_is_known(line: str) -> None:
    assert unit(line).config == Path("/srv/c.yaml")


def test_our_own_unit_is_understood() -> None:
    found = parse([(ROOT / "systemd/coatcheck.service").read_text()])
    assert (found.user, found.group, found.system, found.home, found.private_tmp) == (
        "coatcheck",
        "coatcheck",
        "strict",
        "yes",
        True,
    )
    assert found.access(Path("/var/lib/coatcheck")) is WRITE
    assert found.access(Path("/etc/coatcheck/keys")) is READ
    assert found.access(Path("/srv/lung/inbox")) is READ


PARTS = st.text(st.characters(codec="utf-8", exclude_characters="/\0:\\", exclude_categories=("C", "Z")), min_size=1)
NAMES = st.lists(PARTS.filter(lambda part: part not in (".", "..")) | st.just("with space"), min_size=2, max_size=4)


@given(NAMES)
def test_what_a_drop_in_gives_is_given(parts: list[str]) -> None:
    path = Path("/srv", *parts)
    text = drop_in(writable=[path], credentials={"x.key": path})
    found = parse(["[Service]\nProtectSystem=strict\n", text])
    assert found.access(path) is WRITE
    assert found.access(path.parent) is READ
    assert found.credentials["x.key"].source == path


def test_a_drop_in_has_only_what_is_needed() -> None:
    assert drop_in() == ""
    assert drop_in(writable=[Path("/data/state")], mounts=[Path("/data/state")]) == (
        "[Unit]\nRequiresMountsFor=/data/state\n\n[Service]\nReadWritePaths=-/data/state\n"
    )
    assert drop_in(bound=[Path("/home/anna/lung")], homes=True) == (
        "[Service]\nProtectHome=tmpfs\nBindPaths=-/home/anna/lung\n"
    )
    assert shlex.split(drop_in(writable=[Path("/srv/my lung")]).splitlines()[1]) == ["ReadWritePaths=-/srv/my lung"]
