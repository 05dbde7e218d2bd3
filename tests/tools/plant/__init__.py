"""Plants known identifiers wherever identity hides in DICOM, and writes down where."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import config

from tests.tools.key import AnswerKey, write_key
from tests.tools.plant import documents, files, headers, more, private
from tests.tools.plant.person import make_person
from tests.tools.plant.planted import Planted

BASE_FILES = 60
"""How many files the base set has; ``more`` follows it."""

_BASE = (
    headers.plant_standard,
    headers.plant_free_text,
    headers.plant_nested,
    headers.plant_original_attributes,
    private.plant_private,
    private.plant_unknown_vr,
    private.plant_repeating_groups,
    private.plant_graphics,
    documents.plant_reports,
    documents.plant_documents,
    files.plant_burned_in_text,
    files.plant_file_level,
    documents.plant_profile_and_waveform,
    documents.plant_contours_frames_and_key_objects,
    headers.plant_character_sets,
    headers.plant_odd_places,
)


def plant(folder: Path, seed: int = 1, *, more_places: bool = True) -> AnswerKey:
    """Write the set and its ``answer_key.json`` below the folder. The same seed gives the same bytes.

    Without ``more_places`` only the base set of 60 files. Every pattern is proved to be in its file.
    """
    rng, made = random.Random(seed), list[Planted]()

    def start(planted: Planted) -> Planted:
        made.append(planted)
        return planted

    def new(name: str, sop: str, **form: Any) -> Planted:  # noqa: ANN401 - whatever Planted takes
        number = len(made)
        return start(Planted(f"{number:02d}_{name}.dcm", sop, make_person(rng, number), index=number, **form))

    with lenient_pydicom():
        for place in _BASE:
            place(new)
        headers.plant_one_patient(make_person(rng, 90), start)
        if more_places:
            more.plant_linked(make_person(rng, 91), start)
            more.plant_intervals(make_person(rng, 92), start)
            more.plant_directory(make_person(rng, 93), start)
            for place in (more.plant_streams, more.plant_compressed_burn_in, more.plant_cut_files):
                place(new)
        folder.mkdir(parents=True, exist_ok=True)
        entries = [planted.write(folder) for planted in made]
    key: AnswerKey = {"generator": "coatcheck plant 1", "seed": seed, "files": entries}
    write_key(key, folder / "answer_key.json")
    return key


@contextmanager
def lenient_pydicom() -> Iterator[None]:
    """Let pydicom write and read values that break the standard, and leave UN as it is."""
    before = config.settings.writing_validation_mode, config.settings.reading_validation_mode
    unknown = config.replace_un_with_known_vr
    config.settings.writing_validation_mode = config.settings.reading_validation_mode = config.IGNORE
    config.replace_un_with_known_vr = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        config.settings.writing_validation_mode, config.settings.reading_validation_mode = before
        config.replace_un_with_known_vr = unknown
