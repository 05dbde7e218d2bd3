"""Conditions: whether a rule holds for an object, by its top-level Attributes."""

from __future__ import annotations

import datetime
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.conditions import Attributes, as_number, attribute, parse
from coatcheck.deid.settings import SettingError

MODALITY, SERIES, THICKNESS, BURNED, IMAGE_TYPE = 0x00080060, 0x0008103E, 0x00180050, 0x00280301, 0x00080008
OBJECT: Attributes = {
    MODALITY: ("MR",),
    SERIES: ("Dose report",),
    THICKNESS: ("5.0",),
    IMAGE_TYPE: ("DERIVED", "SECONDARY"),
}
HOLDS: list[object] = [
    {"Modality": "MR"},
    {"(0008,0060)": "MR"},
    {"Modality": {"equals": "MR"}},
    {"Modality": {"in": ["CT", "MR"]}},
    {"SeriesDescription": {"matches": "(?i)DOSE"}},
    {"SeriesDescription": {"exists": True}},
    {"BurnedInAnnotation": {"exists": False}},
    {"SliceThickness": 5},
    {"SliceThickness": 5.0},
    {"SliceThickness": {"in": [4, 5]}},
    {"SliceThickness": "5.0"},
    {"ImageType": "SECONDARY"},
    {"ImageType": {"in": ["PRIMARY", "DERIVED"]}},
    {"ImageType": {"matches": "^SEC"}},
    {"Modality": "MR", "SliceThickness": 5},
    {"Modality": {"matches": "^M", "exists": True}},
    {"all": [{"Modality": "MR"}, {"SliceThickness": 5}]},
    {"any": [{"Modality": "CT"}, {"SliceThickness": 5}]},
    {"not": {"not": {"Modality": "MR"}}},
]
FAILS: list[object] = [
    {"Modality": "CT"},
    {"Modality": "mr"},
    {"Modality": "M"},
    {"Modality": {"in": ["CT", "PT"]}},
    {"SeriesDescription": {"matches": "DOSE"}},
    {"SeriesDescription": {"exists": False}},
    {"BurnedInAnnotation": {"exists": True}},
    {"BurnedInAnnotation": "YES"},
    {"BurnedInAnnotation": {"matches": ""}},
    {"SliceThickness": 5.01},
    {"SliceThickness": "5"},  # in quotes: as text
    {"Modality": 5},
    {"Modality": "MR", "SliceThickness": 4},
    {"Modality": {"matches": "^M", "exists": False}},
    {"all": [{"Modality": "MR"}, {"SliceThickness": 4}]},
    {"any": [{"Modality": "CT"}, {"SliceThickness": 4}]},
]


@pytest.mark.parametrize("content", HOLDS)
def test_a_condition_that_holds(content: object) -> None:
    assert parse(content).holds(OBJECT)
    assert not parse({"not": content}).holds(OBJECT)


@pytest.mark.parametrize("content", FAILS)
def test_a_condition_that_does_not_hold(content: object) -> None:
    assert not parse(content).holds(OBJECT)
    assert parse({"not": content}).holds(OBJECT)


def test_blank_values_do_not_exist() -> None:
    for values in ((), ("",), ("", "")):
        assert parse({"Modality": {"exists": False}}).holds({MODALITY: values})
    assert parse({"Modality": {"exists": True}}).holds({MODALITY: ("", "MR")})


@pytest.mark.parametrize("content", [*HOLDS, *FAILS])
def test_a_condition_is_a_plain_value(content: object) -> None:
    condition = parse(content)

    assert pickle.loads(pickle.dumps(condition)) == condition == parse(content)
    assert hash(parse(content)) == hash(condition)


def test_a_condition_tells_what_it_reads() -> None:
    content = {
        "Modality": "MR",
        "any": [{"SliceThickness": {"matches": "5"}}, {"not": {"ImageType": {"exists": True}}}],
    }

    assert parse(content).reads() == {MODALITY, THICKNESS, IMAGE_TYPE}


@given(st.integers(-(10**18), 10**18), st.sampled_from(["{}", "{}.0", "{}.", "{}e0", "{}E+0"]))
def test_numbers_are_equal_however_they_are_written(number: int, form: str) -> None:
    assert parse({"SliceThickness": number}).holds({THICKNESS: (form.format(number),)})
    assert not parse({"SliceThickness": number + 1}).holds({THICKNESS: (form.format(number),)})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_fractions_are_equal_to_themselves(number: float) -> None:
    assert parse({"SliceThickness": number}).holds({THICKNESS: (repr(number),)})


@pytest.mark.parametrize("text", ["", "1_000", "nan", "Infinity", "0x10", "1e99999", "٣", "5 ", "-", ".", "9" * 65])
def test_what_is_no_number_is_compared_as_text(text: str) -> None:
    assert as_number(text) is None


RECURSIVE: dict[str, object] = {}
RECURSIVE["not"] = RECURSIVE


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "must be a mapping"),
        ({}, "must be a mapping"),
        ("Modality", "must be a mapping"),
        ([{"Modality": "MR"}], "must be a mapping"),
        ({"Modalty": "MR"}, "did you mean `Modality`"),
        ({0x00080060: "MR"}, "into quotes"),
        ({"Modality": ["MR", "CT"]}, "write {in: [MR, CT]}"),
        ({"Modality": {"in": "MR"}}, "write {in: [MR, CT]}"),
        ({"Modality": {"in": []}}, "write {in: [MR, CT]}"),
        ({"Modality": {"in": [["MR"]]}}, "write {in: [MR, CT]}"),
        ({"Modality": {"equal": "MR"}}, "did you mean `equals`"),
        ({"Modality": {}}, "not compared with anything"),
        ({"Modality": ""}, "write {exists: false}"),
        ({"Modality": None}, "put it into quotes"),
        ({"BurnedInAnnotation": True}, "put it into quotes"),
        ({"StudyDate": datetime.date(2024, 1, 1)}, "put it into quotes"),
        ({"SliceThickness": float("nan")}, "put it into quotes"),
        ({"SliceThickness": 10**100}, "put it into quotes"),
        ({"Modality": {"exists": "yes"}}, "must be true or false"),
        ({"Modality": {"matches": 5}}, "must be a regular expression"),
        ({"Modality": {"matches": "("}}, "no regular expression"),
        ({"Modality": {"matches": "(a+)+"}}, "for ever"),
        ({"all": {"Modality": "MR"}}, "must be a list"),
        ({"any": []}, "must be a list"),
        ({"any": ["Modality"]}, "must be a mapping"),
        ({"not": "Modality"}, "must be a mapping"),
        ({"(60xx,3000)": "x"}, "not one public attribute"),
        ({"VR:PN": "x"}, "not one public attribute"),
        ({'(0029,"X",10)': "x"}, "not one public attribute"),
        ({"RequestAttributesSequence > PatientName": "x"}, "not one public attribute"),
        ({"top > PatientName": "x"}, "not one public attribute"),
        ({"RequestAttributesSequence": {"exists": True}}, "cannot be read as text"),
        ({"PixelData": {"exists": True}}, "cannot be read as text"),
        (RECURSIVE, "too deep"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said_with_what_to_do(content: object, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse(content)
    assert said in str(caught.value)
    assert caught.value.hint


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["MR", "a+"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Modality", "all", "any", "not", "in", "equals", "matches", "exists"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=8,
    )
)
def test_any_content_is_a_condition_or_refused(content: object) -> None:
    try:
        condition = parse(content)
    except SettingError as error:
        assert error.what
    else:
        assert condition.holds(OBJECT) in (True, False)
        assert condition.reads() == {MODALITY}


def test_an_attribute_with_a_vr_that_may_be_text_is_readable() -> None:
    assert attribute("SmallestImagePixelValue") == 0x00280106
    assert attribute("00280999") == 0x00280999
