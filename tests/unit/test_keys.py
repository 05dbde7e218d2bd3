"""A project's key file: private from its first byte, never overwritten, and silent in every error."""

from __future__ import annotations

import base64
import os
import secrets
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.errors import KeyFileError
from coatcheck.keys import ProjectKey, key_path, new_key, read_key, write_key


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "lung-trial.key"
    write_key(path, new_key(secrets.token_bytes))
    return path


def test_a_key_that_was_written_is_read_back_whole(tmp_path: Path) -> None:
    key = ProjectKey(secrets.token_bytes(32), {1: secrets.token_bytes(64), 12: secrets.token_bytes(64)})
    write_key(tmp_path / "a.key", key)
    found = read_key(tmp_path / "a.key")
    assert found == key
    assert found.current == 12


def test_a_new_key_takes_all_its_bytes_from_the_given_randomness() -> None:
    asked: list[int] = []

    def randomness(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)]) * count

    assert new_key(randomness) == ProjectKey(b"\x01" * 32, {1: b"\x02" * 64})
    assert asked == [32, 64]


def test_too_little_randomness_makes_no_key() -> None:
    with pytest.raises(ValueError, match="too few"):
        new_key(lambda count: b"\0" * (count - 1))


def test_the_file_is_private_even_under_an_open_umask(tmp_path: Path) -> None:
    modes: list[int] = []
    path = tmp_path / "a.key"
    before = os.umask(0)
    try:
        write_key(path, new_key(secrets.token_bytes))
        modes.append(stat.S_IMODE(path.stat().st_mode))
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_an_existing_key_is_never_overwritten(written: Path) -> None:
    before = written.read_bytes()
    with pytest.raises(FileExistsError):
        write_key(written, new_key(secrets.token_bytes))
    assert written.read_bytes() == before


def test_a_key_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "a.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        write_key(tmp_path / "a.key", new_key(secrets.token_bytes))
    assert not (tmp_path / "elsewhere").exists()


def test_repr_and_str_hide_the_key() -> None:
    key = ProjectKey(b"secret" * 5 + b"xx", {1: b"sealing" * 9 + b"x"})
    assert repr(key) == str(key) == "ProjectKey(hidden)"


def test_a_missing_key_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="missing") as caught:
        read_key(tmp_path / "lung-trial.key")
    assert "`coatcheck key new --project lung-trial`" in caught.value.hint
    assert caught.value.exit_code == 78


@pytest.mark.parametrize("mode", [0o640, 0o620, 0o604, 0o602, 0o660, 0o666])
def test_a_key_that_others_can_reach_is_refused_with_the_chmod(written: Path, mode: int) -> None:
    written.chmod(mode)
    with pytest.raises(KeyFileError, match="open to other users") as caught:
        read_key(written)
    assert f"chmod 0600 {written}" in caught.value.hint


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600])
def test_a_credential_may_be_readable_by_its_group_as_systemd_makes_it(written: Path, mode: int) -> None:
    written.chmod(mode)
    assert read_key(written, written.parent).current == 1


@pytest.mark.parametrize("mode", [0o460, 0o444, 0o644])
def test_a_credential_that_is_more_open_than_systemd_makes_it_is_refused(written: Path, mode: int) -> None:
    written.chmod(mode)
    with pytest.raises(KeyFileError, match="open to other users"):
        read_key(written, written.parent)


def test_a_group_readable_key_beside_the_credentials_is_refused(written: Path, tmp_path: Path) -> None:
    written.chmod(0o440)
    with pytest.raises(KeyFileError, match="open to other users"):
        read_key(written, tmp_path / "credentials")


def test_a_link_to_a_key_is_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "link.key").symlink_to(written)
    with pytest.raises(KeyFileError, match="is a link"):
        read_key(tmp_path / "link.key")


def test_a_key_that_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_key(tmp_path / ("x" * 300) / "lung.key")


def test_a_pipe_or_a_folder_in_place_of_a_key_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.key", 0o600)
    (tmp_path / "folder.key").mkdir(0o700)
    for name in ("pipe.key", "folder.key"):
        with pytest.raises(KeyFileError, match="not a regular file"):
            read_key(tmp_path / name)


def damaged(path: Path, text: bytes) -> KeyFileError:
    path.write_bytes(text)
    with pytest.raises(KeyFileError) as caught:
        read_key(path)
    return caught.value


def test_every_cut_of_a_key_file_is_damaged_and_no_error_quotes_it(written: Path) -> None:
    whole = written.read_bytes().rstrip()
    key = read_key(written)
    parts = [base64.b64encode(value).decode() for value in (key.pseudonym_secret, key.sealing_keys[1])]
    for length in range(0, len(whole), 7):
        error = damaged(written, whole[:length])
        shown = repr(error) + repr(error.__cause__)
        assert "damaged" in shown
        assert not any(part[:8] in shown or part[-8:] in shown for part in parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"version: 1", b"version: 2"),
        (b"  1: ", b"  0: "),
        (b"  1: ", b"  -1: "),
        (b"  1: ", b"  one: "),
        (b"sealing_keys:", b"other_keys:"),
        (b"pseudonym_secret: ", b"pseudonym_secret: *x"),
        (b"pseudonym_secret: ", b"pseudonym_secret: \xff"),
    ],
)
def test_a_file_that_is_not_exactly_a_key_is_damaged(written: Path, old: bytes, new: bytes) -> None:
    text = written.read_bytes()
    assert old in text
    assert "damaged" in damaged(written, text.replace(old, new)).what


@given(st.binary(max_size=300))
def test_no_content_makes_anything_but_a_key_file_error(tmp_path_factory: pytest.TempPathFactory, text: bytes) -> None:
    path = tmp_path_factory.mktemp("keys") / "a.key"
    path.touch(0o600)
    assert "damaged" in damaged(path, text).what


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.touch(0o600)
    secret, sealing = (base64.b64encode(b"x" * length).decode() for length in (32, 64))
    path.write_text(f'{{"version": 1, "pseudonym_secret": "{secret}", "sealing_keys": {{"3": "{sealing}"}}}}')
    assert read_key(path) == ProjectKey(b"x" * 32, {3: b"x" * 64})


def test_a_credential_takes_the_place_of_the_file_in_key_dir(tmp_path: Path) -> None:
    keys, credentials = tmp_path / "keys", tmp_path / "credentials"
    credentials.mkdir()
    assert key_path(keys, "lung", None) == keys / "lung.key"
    assert key_path(keys, "lung", credentials) == keys / "lung.key"
    (credentials / "lung").touch()
    assert key_path(keys, "lung", credentials) == credentials / "lung"
    (credentials / "lung.key").touch()
    assert key_path(keys, "lung", credentials) == credentials / "lung.key"
