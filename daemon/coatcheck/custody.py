"""A project's key in its place: read unless it was destroyed, and made only where there never was one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from coatcheck.config import Config
from coatcheck.errors import CoatcheckError, KeyFileError, StateError
from coatcheck.keys import ProjectKey, key_path, new_key, read_key, unfinished, write_key
from coatcheck.vault import Vault, was_destroyed


def credentials_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder in which systemd hands over keys, if there is one."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    return Path(folder) if folder else None


def project_key(config: Config, name: str, credentials: Path | None) -> ProjectKey:
    """The key of a project.

    Raises KeyFileError, also where the key was destroyed, and StateError where the vault cannot be asked.
    """
    refuse_destroyed(config, name)
    return read_key(key_path(config.key_dir, name, credentials), credentials)


def project_keys(
    config: Config, credentials: Path | None, vault: Vault, failed: Callable[[str, CoatcheckError], None]
) -> dict[str, ProjectKey]:
    """The keys of all projects. ``failed`` is told of those that have none, or one that may not be used.

    Where the vault cannot be asked now, `Vault.prove` finds out what was destroyed.
    """
    keys = {}
    for name in config.projects:
        try:
            with suppress(StateError):
                refuse_destroyed(config, name, vault)
            keys[name] = read_key(key_path(config.key_dir, name, credentials), credentials)
        except CoatcheckError as error:
            failed(name, error)
    return keys


def key_source(config: Config, name: str, credentials: Path | None) -> Path:
    """The file of a project's key, to be changed by a process that reads it anew. Raises CoatcheckError.

    Where systemd handed over a copy, the process that holds the copy cannot do that.
    """
    path, used = key_path(config.key_dir, name, None), key_path(config.key_dir, name, credentials)
    if name not in config.projects:
        raise CoatcheckError("the service does not know this project", "see `coatcheck status`")
    if used != path:
        raise CoatcheckError(
            f"the service has the key of project {name} from systemd as a credential, and cannot get another one",
            f"stop the service; see that {path} is the key that systemd hands over; as root run"
            f" `coatcheck key rotate --project {name}`; hand over the new file; start the service",
        )
    return path


def open_vault(config: Config, name: str, credentials: Path | None) -> tuple[ProjectKey, Vault]:
    """A project's key and the vault that it opens, to write an audit row and to look something up.

    The vault is never made here. Raises KeyFileError where the key is missing, another one or destroyed, StateError.
    """
    key = project_key(config, name, credentials)
    path = config.state_dir / "vault.db"
    with closing(Vault.open(path, {name: key}, readonly=True)) as vault:  # finds what is wrong before anything is made
        try:
            vault.vouch(name, key)
        except KeyFileError:
            before, key = key, project_key(config, name, credentials)
            if key == before:
                raise
            vault.vouch(name, key)  # It was rotated between the two looks.
    return key, Vault.open(path, {name: key}, look_through=False)


def refuse_destroyed(config: Config, name: str, vault: Vault | None = None) -> None:
    """Raises KeyFileError where the project's key was destroyed, with what is left of it to be destroyed."""
    at = _destroyed(config.state_dir, name) if vault is None else vault.destroyed(name)
    if at is None:
        return
    error, left = was_destroyed(name, at), left_files(config, name)
    if left:
        again = f"run `coatcheck key destroy --project {name} --yes {name}` again"
        raise KeyFileError(error.what, f"but {left[0]} is still there: {again}")
    raise error


def vouch_for(config: Config, name: str, key: ProjectKey) -> None:
    """Raises KeyFileError where the key is not the vault's, StateError where the vault cannot be asked."""
    path = config.state_dir / "vault.db"
    if os.path.exists(path):
        with closing(Vault.open(path, {name: key}, readonly=True)) as vault:
            vault.vouch(name, key)


def left_files(config: Config, name: str) -> list[Path]:
    """The files in ``key_dir`` that hold the project's secrets: its key, and what an interrupted rotation left."""
    path = key_path(config.key_dir, name, None)
    return [one for one in (path, unfinished(path)) if os.path.lexists(one)]


def make_key(config: Config, name: str, randomness: Callable[[int], bytes]) -> Path:
    """Make the key of a project that never had one; gives its path. Raises CoatcheckError.

    Where the vault knows the project, a new key would give each of its patients a second identity.
    """
    path = key_path(config.key_dir, name, None)
    if os.path.lexists(path):
        raise CoatcheckError(f"the key {path} is there already", "nothing was changed")
    refuse_destroyed(config, name)
    if (config.state_dir / "vault.db").exists() and _is_known(config.state_dir, name):
        hint = "restore it from your copy; if there is none, begin anew with a project of another name"
        raise KeyFileError(f"project {name} ran with a key that is missing now, and no other one fits its vault", hint)
    try:
        write_key(path, new_key(randomness))
    except FileExistsError:
        raise CoatcheckError(f"the key {path} is there already", "nothing was changed") from None
    except OSError as error:
        hint = f"make {path.parent} a folder that this user may write to, with `mkdir -m 700` where it is missing"
        raise CoatcheckError(f"cannot write the key {path} ({error.strerror})", hint) from None
    return path


def _destroyed(state_dir: Path, name: str) -> str | None:
    path = state_dir / "vault.db"
    if not os.path.exists(path):
        return None
    with closing(Vault.open(path, {}, readonly=True)) as vault:
        return vault.destroyed(name)


def _is_known(state_dir: Path, name: str) -> bool:
    with closing(Vault.open(state_dir / "vault.db", {}, readonly=True)) as vault:
        return vault.is_known(name)
