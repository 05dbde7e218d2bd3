"""The end of a project: its key is destroyed, and what it delivered is anonymised. What it touches, and in which order.

No service may run meanwhile. Python cannot wipe a key out of its memory, and the workers have copies: only the end of
those processes takes it from there. The command holds the lock, so none starts before the key is gone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from coatcheck.audit_trail import anchor
from coatcheck.config import Config
from coatcheck.config_subjects import Listed
from coatcheck.custody import left_files
from coatcheck.errors import CoatcheckError
from coatcheck.keys import wipe
from coatcheck.ledger import Ledger
from coatcheck.service_lock import hold_lock, service_pid
from coatcheck.vault import Remains, Vault

ELSEWHERE = "copies of the key elsewhere, and whatever systemd hands over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What the destruction of a project's key means. ``destroyed`` is when it was recorded, None if it was not."""

    project: str
    destroyed: str | None
    remains: Remains
    key_files: tuple[Path, ...]
    naming_folders: tuple[Path, ...]
    subject_list: Path | None

    def lines(self) -> list[str]:
        """All of it in plain words."""
        one, name = self.remains, self.project
        what = f"{_many(one.mappings, 'mapping')} of {_many(one.patients, 'patient')}"
        return [
            f"{what} and the paths of {_many(one.paths, 'original')} {'become' if self.destroyed is None else 'are'}"
            " unreadable for ever: nobody can find an original behind a pseudonym of this project again",
            *([f"{_many(one.planned, 'original')} on the way: what is there stays there"] if one.planned else []),
            f"originals are NOT touched and still name patients: {', '.join(map(str, self.naming_folders))}",
            *([f"the list of subjects {self.subject_list} still names patients"] if self.subject_list else []),
            "so do mappings that somebody exported, and the notes of those who redeemed a pseudonym",
            *(f"this file is overwritten and removed: {path}" for path in self.key_files),
            *([] if self.key_files else [f"no key file of {name} lies in key_dir, so none is removed"]),
            f"destroy these as well, or it was in vain: {ELSEWHERE}; an SSD, a snapshot or a backup of key_dir may keep"
            " what was overwritten",
            f"the project cannot run again under the name {name}; its audit stays and can be checked without the key",
        ]


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def outlook(config: Config, name: str) -> Outlook:
    """What it would mean. Nothing is changed. Raises StateError where there is no vault."""
    project = config.projects[name]
    with closing(Vault.open(config.state_dir / "vault.db", {}, readonly=True)) as vault:
        destroyed, remains = vault.destroyed(name), vault.remains(name)
    folders = (project.archive, project.quarantine, project.inbox)
    return Outlook(
        project=name,
        destroyed=destroyed,
        remains=remains,
        key_files=tuple(left_files(config, name)),
        naming_folders=tuple(folder for folder in folders if folder is not None),
        subject_list=project.subjects.file if isinstance(project.subjects, Listed) else None,
    )


def destroy(config: Config, name: str, who: str, utc: Callable[[], str]) -> str:
    """Destroys the project's key; gives the time of its record. Repeating it removes what is left.

    The record comes first: what was cut off in between is refused by the service and finished by the next call.
    """
    refuse_running(config)
    with (
        hold_lock(config.state_dir),
        closing(Ledger.open(config.state_dir / "ledger.db")) as ledger,
        closing(Vault.open(config.state_dir / "vault.db", {})) as vault,
    ):
        at = vault.note_destroyed(name, who=who, now=utc())
        anchor(vault, ledger)
        for path in left_files(config, name):
            try:
                wipe(path)
            except OSError as error:
                hint = "mend that and run this again, or destroy that file by other means"
                raise CoatcheckError(f"{path} could not be destroyed ({error.strerror})", hint) from None
    return at


def refuse_running(config: Config) -> None:
    """Raises CoatcheckError where a service runs."""
    if service_pid(config.state_dir) is not None:
        what = "a service is running, and keeps the key in its memory"
        raise CoatcheckError(what, "stop it, run this again, and start it: it goes on with the other projects")
