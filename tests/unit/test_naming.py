"""Names that layouts make: safe on every file system, unique, the same every time, and of new values only."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.gate import Gate
from coatcheck.delivery.finishing import _names_somebody
from coatcheck.layout import ORIGINAL, SHIPPED, Layout
from coatcheck.model import Identity
from coatcheck.naming import Arranged, Result, arrange, component, reads

SAFE = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._~-]{0,79}[A-Za-z0-9_~-])?")
WINDOWS = re.compile(r"(?i)(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
STUDY = "2.25.1000"
VARIABLES = {"subject": "S1", "project": "lung", "site": "Leeds"}
LAYOUTS = [
    *(Layout(name=name, folder=folder, file=file, extension=end) for name, (folder, file, end) in SHIPPED.items()),
    Layout(name="", folder="{site}/{StudyDescription}", file="{SeriesDescription}/{Modality}/{InstanceNumber}"),
    Layout(name="", folder="{PatientName}", file="{SeriesDescription}", extension="none"),
    Layout(name="", folder="x", file="{series}/{instance}", extension="kept"),
]
TAGS = {tag for layout in LAYOUTS for tag in reads(layout, frozenset())} | {0x00081030, 0x0008103E, 0x00100010}
NAMES = ("Habermann", "Gerda", "QX7734921")
IDENTITY = frozenset({Identity("name", "Habermann^Gerda"), Identity("id", "QX7734921")})
ODD = st.sampled_from(
    [
        *("", "..", "../../etc", "CON", "com1.x", "a/b", "A/B", "a\\b", "\0", "-rf", ".x", "x."),
        *("ÄÖ", "\u212b", "x" * 300, "1", "01", "٣", *NAMES),
    ]
)
TEXTS = st.one_of(ODD, st.text(max_size=12))


def nobody(part: str) -> bool:
    return False


@st.composite
def deliveries(draw: st.DrawFn) -> list[Result]:
    count = draw(st.integers(1, 6))
    parts = st.one_of(TEXTS, st.sampled_from(["IM0", "im0", "disc", "scan.DCM", "scan.ima", "scan.Habermann"]))
    results = []
    for number in range(count):
        attributes = {tag: (draw(TEXTS),) for tag in TAGS if draw(st.booleans())}
        attributes |= {0x00080018: (f"2.25.{number}",), 0x0020000D: (STUDY,)}
        dropped = "/".join(draw(st.lists(parts, min_size=1, max_size=9))) or "x"
        results.append(Result(f"2.25.{number}", f"2.25.7{draw(st.integers(0, 2))}", "CT Image", attributes, dropped))
    return results


def safe(arranged: Arranged) -> None:
    paths = list(arranged.paths.values())
    parts = [part for path in [arranged.folder, *paths] for part in path.split("/")]
    assert [part for part in parts if not SAFE.fullmatch(part) or WINDOWS.fullmatch(part)] == []
    assert all(len(path) <= 220 for path in paths)
    low = [path.lower() for path in paths]
    assert len(set(low)) == len(paths)
    folders = {str(one).lower() for path in paths for one in PurePosixPath(path).parents}
    assert folders.isdisjoint(low)
    assert len({str(one) for path in paths for one in PurePosixPath(path).parents}) == len(folders)


@given(layout=st.sampled_from(LAYOUTS), results=deliveries())
def test_names_are_safe_unique_and_the_same_in_whatever_order_results_come(
    layout: Layout, results: list[Result]
) -> None:
    arranged = arrange(layout, results, VARIABLES, STUDY, nobody)

    safe(arranged)
    assert arranged.paths.keys() == {one.sop_uid for one in results}
    assert arrange(layout, results[::-1], VARIABLES, STUDY, nobody) == arranged


@given(layout=st.sampled_from([one for one in LAYOUTS if one.name != ORIGINAL]), results=deliveries())
def test_what_was_dropped_does_not_show_in_any_other_layout(layout: Layout, results: list[Result]) -> None:
    arranged = arrange(layout, results, VARIABLES, STUDY, nobody)

    others = [one._replace(dropped="x.dcm") for one in results]
    bare = arrange(layout, others, VARIABLES, STUDY, nobody)
    if layout.extension == "kept":
        known = {"", ".dcm", ".dicom", ".dic", ".ima", ".img", ".acr", ".dc3"}
        assert {PurePosixPath(path).suffix.lower() for path in arranged.paths.values()} <= known
    else:
        assert arranged == bare


@given(layout=st.sampled_from(LAYOUTS), results=deliveries())
def test_no_name_holds_what_identifies_the_study(layout: Layout, results: list[Result]) -> None:
    gate = Gate(IDENTITY, "S1", frozenset())
    told = partial(_names_somebody, gate, strict=layout.name == ORIGINAL)

    arranged = arrange(layout, results, VARIABLES, STUDY, told)

    text = "\n".join([arranged.folder, *arranged.paths.values()]).lower()
    assert [name for name in NAMES if name.lower() in text] == []
    safe(arranged)


def results_of(*values: tuple[str, str], series: str = "2.25.70") -> list[Result]:
    return [
        Result(f"2.25.{place}", series, "CT Image", {0x0008103E: (text,), 0x00200013: (number,)}, f"a/{place}.IMA")
        for place, (text, number) in enumerate(values)
    ]


def test_a_taken_name_gets_a_number_in_the_order_of_uids_and_is_counted() -> None:
    layout = Layout(name="", folder="x", file="{InstanceNumber}", extension="none")

    arranged = arrange(layout, results_of(("", "7"), ("", "7"), ("", "7"), ("", "8")), VARIABLES, STUDY, nobody)

    assert list(arranged.paths.values()) == ["7", "7~2", "7~3", "8"]
    assert arranged.numbered == 2


def test_a_folder_that_is_named_after_a_series_holds_that_one_only() -> None:
    layout = Layout(name="", folder="x", file="{SeriesDescription}/{InstanceNumber}")
    one, two = results_of(("T1", "1")), results_of(("t1", "1"), series="2.25.71")

    arranged = arrange(layout, [*one, two[0]._replace(sop_uid="2.25.9")], VARIABLES, STUDY, nobody)

    assert list(arranged.paths.values()) == ["T1/1.dcm", "t1~2/1.dcm"]
    assert arranged.numbered == 1


def test_running_numbers_follow_the_numbers_of_series_and_instances() -> None:
    name = "media"
    layout = Layout(name=name, folder=SHIPPED[name][0], file=SHIPPED[name][1], extension="none")
    results = [one._replace(dropped="x") for one in results_of(("", "10"), ("", "9"), ("", ""))]

    arranged = arrange(layout, results, VARIABLES, STUDY, nobody)

    assert list(arranged.paths.values()) == ["SE000001/IM000002", "SE000001/IM000001", "SE000001/IM000003"]


def test_a_few_digits_are_a_count_but_not_where_they_were_dropped_as_a_name() -> None:
    gate = Gate(frozenset({Identity("id", "0004"), Identity("id", "123456")}), "S1", frozenset())

    assert not _names_somebody(gate, "0004-MR", strict=False)
    assert _names_somebody(gate, "0004-MR", strict=True)
    assert _names_somebody(gate, "123456-MR", strict=False)


@pytest.mark.parametrize(
    "dropped",
    [
        *("Sørensen.dcm", "SØRENSEN/1.dcm", "CT_sørensen-2/x", "Łukasz/IM1", f"{'x' * 58}Sørensen.dcm"),
        *("1960/05/23/1.dcm", "scans 23.05.1960/1.dcm"),
    ],
)
def test_no_dropped_name_tells_who_it_was_where_letters_are_lost_or_folders_belong_together(dropped: str) -> None:
    gate = Gate(frozenset({Identity("name", "Sørensen^Łukasz"), Identity("date", "19600523")}), "S1", frozenset())
    layout = next(one for one in LAYOUTS if one.name == ORIGINAL)
    told = partial(_names_somebody, gate, strict=True)

    arranged = arrange(layout, [Result("2.25.1", "2.25.70", "", {}, dropped)], VARIABLES, STUDY, told)

    assert arranged.paths["2.25.1"].removesuffix(".dcm") == "2.25.70/2.25.1"
    assert arranged.replaced == 1


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Müller^Jörg", "Muller_Jorg"),
        ("T1 AX / FS", "T1_AX_FS"),
        ("", "NA"),
        ("..", "NA"),
        ("nul", "_nul"),
        ("Com1.dcm", "_Com1.dcm"),
        ("-v", "v"),
        ("a.", "a"),
        ("CT 山", "CT_"),
        ("2.25.1", "2.25.1"),
    ],
)
def test_a_name_is_made_of_any_text(text: str, name: str) -> None:
    assert component(text) == name
