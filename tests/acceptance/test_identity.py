"""The planted set through the real service: nothing that identifies anybody is found where it must not be."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.acceptance.house import House, tree
from tests.tools.bodies import patterns_of, without_new_uids
from tests.tools.judge import judge, mapping_by_uid, search_elsewhere
from tests.tools.key import KEPT, AnswerKey
from tests.tools.plant import plant

# What a kind of file may be set aside for by `basic`. Other files of the set must be delivered.
SET_ASIDE = {"needs-policy", "pixel-risk", "identity-found", "truncated", "malformed", "unsupported-encoding"}


def drop_all(house: House, planted: Path, key: AnswerKey) -> None:
    for entry in key["files"]:
        house.drop(entry["file"], (planted / entry["file"]).read_bytes())


def write_what_the_commands_say(house: House, folder: Path) -> None:
    folder.mkdir()
    for words in (
        ("status", "--json"),
        ("status",),
        ("quarantine", "list"),
        ("quarantine", "list", "--json"),
        ("check",),
    ):
        done = house.command(*words)
        (folder / "_".join(words)).write_text(done.stdout + done.stderr)


def names_in(house: House) -> list[str]:
    """Every name that the service chose itself: in the outbox, and of folders in quarantine and archive."""
    chosen = [path.relative_to(house.outbox).as_posix() for path in house.outbox.rglob("*")]
    chosen += [path.relative_to(house.quarantine).as_posix() for path in house.quarantine.glob("*/*")]
    return chosen + [path.name for path in house.archive.iterdir()]


def tokens_in(content: bytes, key: AnswerKey, shortest: int = 5) -> list[bytes]:
    """Planted tokens in megabytes of content, in any case: first by their first bytes, all at once."""
    wanted: dict[int, list[bytes]] = {}
    for entry in key["files"]:
        for plant_ in entry["plants"]:
            for pattern in patterns_of(plant_) if plant_["action"] not in KEPT else ():
                if len(pattern) >= shortest:
                    folded = pattern.lower()
                    wanted.setdefault(int.from_bytes(folded[:shortest], "little"), []).append(folded)
    content = without_new_uids(content).lower()
    letters = np.frombuffer(content, np.uint8).astype(np.uint64)
    starts = sum(letters[place : len(letters) - shortest + place] << np.uint64(8 * place) for place in range(shortest))
    begun = np.intersect1d(starts, np.array(list(wanted), np.uint64))
    return [token for start in begun for token in wanted[int(start)] if token in content]


@pytest.mark.parametrize(
    ("seed", "profile"),
    [(1, "basic"), (3, "research")],
)
def test_no_planted_token_is_found_in_outputs_records_logs_status_or_names(
    tmp_path: Path, seed: int, profile: str
) -> None:
    planted = tmp_path / "planted"
    key = plant(planted, seed)
    house = House(tmp_path / "house", executor="processes", profile=profile)
    with house.service():
        drop_all(house, planted, key)
        house.wait_until_done(seconds=60)
        house.wait_for_line(lambda line: line["waiting_files"] == 0, "the service says that it is done")
        write_what_the_commands_say(house, tmp_path / "said")
        shutil.copy(house.state / "status.json", tmp_path / "said")
        logs = [path.read_bytes() for path in sorted(house.state.glob("*.db-wal"))]  # as they are while it runs

    csv = tmp_path / "uids.csv"
    csv.write_text(house.command("mapping", "export", "--project", "lung", "--kind", "uid").stdout)
    mapping = mapping_by_uid(key, planted, house.outbox, csv)
    research = profile == "research"
    report = judge(key, planted, mapping, house.outbox, dates_shifted=research, keeps_safe_private=research)
    names = tmp_path / "names.txt"
    names.write_text("\n".join(names_in(house)))
    found = search_elsewhere(key, [tmp_path / "said", house.state, house.log, names])

    assert mapping
    if not research:  # the key's expectations are those of `basic`
        assert report.ok, str(report)
    assert not report.leaks, str(report)
    assert not found
    assert len(logs) == 2
    assert not [token for log in logs for token in tokens_in(log, key)]
    assert set(house.refusals()) <= SET_ASIDE
    assert len(house.delivered()) + sum(house.refusals().values()) + len(list(house.archive.glob("dicomdir/*"))) == len(
        key["files"]
    )


def test_the_search_does_find_a_planted_token_where_it_is(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    key = plant(planted, 1)
    house = House(tmp_path / "house")
    drop_all(house, planted, key)

    assert search_elsewhere(key, [house.inbox])
    everything = b"".join(tree(house.inbox).values())
    assert len(tokens_in(bytes(1000) + everything, key)) > 500
    assert not tokens_in(bytes(1000) + everything[:20], key)


def test_the_outbox_names_of_a_dropped_folder_are_not_those_of_the_drop(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    key = plant(planted, 4, more_places=False)
    house = House(tmp_path / "house", originals="delete")
    for entry in key["files"][:10]:
        house.drop(f"Vandermeulen^Ottokar/{entry['file']}", (planted / entry["file"]).read_bytes())

    said = house.once().stderr

    everything = [said, *names_in(house), (house.state / "status.json").read_text()]
    assert not [text for text in everything if "Vandermeulen" in text]
    assert b"Vandermeulen" not in (house.state / "ledger.db").read_bytes() + (house.state / "vault.db").read_bytes()
