"""RESTORE.txt: what to do with a backup, for somebody who never saw one and is in a hurry."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from coatcheck.backup.contents import Content
from coatcheck.config import Config

_TEXT: Final = """\
A backup of coatcheck, made {made}
===============================================

THE KEYS ARE NOT IN HERE, and must not be: whoever has both can name every patient, and a key that is destroyed must
not live on in a backup. Keep copies of {keys} elsewhere, apart from this folder.
Without the key of its time this backup restores nothing: a vault that was copied before `coatcheck key rotate` is
opened only by the key file from before it. Make a new backup after each rotation.

To restore
----------
 1. Look whether it is whole:        coatcheck backup --verify THIS-FOLDER
 2. Stop the service:                systemctl stop coatcheck
 3. Move the old records away, and keep them; ALL six of them, for a -wal beside another database destroys it:
        mkdir -m 700 {aside}
        mv {state}/{{ledger,vault}}.db* {aside}/
 4. In this folder, put these in their place, both of them, as root, for the user of the service:
{install}
 5. Put back what else was lost, each where it was:
{others}
 6. Put the keys of this backup's time back from your own copy: {keys}/NAME.key, mode 0600, for the user of the service.
    One that systemd hands over sealed is sealed anew from that copy. A key that was destroyed since stays away.
 7. Where a project numbers its patients (`subjects: {{kind: sequential}}`): write a `start` above every number that was
    ever given. Until then new patients get no number, because numbers given after this backup are not known here.
 8. Look at everything:              coatcheck doctor --thorough
 9. Start the service:               systemctl start coatcheck

What was done after {made} is not known to these records
------------------------------------------------------------------
 * Results that were delivered since stay where they are. `doctor` counts the folders in the outbox and the studies in
   the archive that the ledger does not know.
 * An original of that time that comes again is delivered again, under the same UIDs, pseudonyms and date shifts, for
   they are made with the key. Nothing in the outbox is written over: its folder gets another number where it is there.
 * What was delivered since cannot be traced back by `redeem` until its originals come again. If they lie in an archive,
   copy its folders that are newer than this backup into the inbox: they come out again, and the mappings are back.
 * Numbers of a sequence are in the old records alone (step 7). If the patients of that time have to keep theirs, look
   into the old vault.db if it can still be read: coatcheck mapping export --kind patient, with a configuration whose
   state_dir names that folder.
 * Originals in the quarantine that were refused since lie there still; `doctor` counts them. Put them into the inbox.
"""


def restore_text(config: Config, contents: Iterable[Content], made: str) -> str:
    """The steps, with the paths of this configuration."""
    state = shlex.quote(str(config.state_dir))
    owner = _owner(config.state_dir)
    rights = {one.source: f"{one.mode:04o}" for one in contents}
    databases = [
        f"        install {owner} -m {rights[str(config.state_dir / name)]} {name} {state}/{name}"
        for name in ("ledger.db", "vault.db")
    ]
    others = [
        f"        {one.path} -> {one.source}"
        for one in contents
        if one.source and not one.source.endswith(("ledger.db", "vault.db"))
    ]
    return _TEXT.format(
        made=made,
        keys=shlex.quote(str(config.key_dir)),
        state=state,
        aside=shlex.quote(str(config.state_dir / "before-restore")),
        install="\n".join(databases),
        others="\n".join(others),
    )


def _owner(folder: Path) -> str:
    """The options of install(1) by which what it puts in place belongs to who owns a folder."""
    status = folder.stat()
    try:
        return f"-o {folder.owner()} -g {folder.group()}"
    except KeyError:  # a user or group without a name
        return f"-o {status.st_uid} -g {status.st_gid}"
