"""Templates: names in braces become values, filtered; what is not there becomes nothing."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.conditions import Attributes
from coatcheck.deid.settings import SettingError
from coatcheck.deid.templates import parse

OBJECT: Attributes = {
    0x00080060: ("MR",),
    0x00080008: ("DERIVED", "SECONDARY"),
    0x00200013: ("7",),
    0x00180050: ("2.5",),
    0x0020000D: ("1.2.840.10008",),
    0x00080070: ("ACME: a|b",),
}
NAMES = ("trial",)
TEXTS = {"trial": "Lung-1", "project": "lung", "subject": "S1", "site": "north"}


def rendered(text: str) -> str:
    return parse(text, NAMES).render(OBJECT, TEXTS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{trial}-{Modality|lower}", "Lung-1-mr"),
        ("{trial|upper}", "LUNG-1"),
        ("{project}/{subject}/{site}", "lung/S1/north"),
        ("{ (0008,0060) }{00080060}", "MRMR"),
        ("{ImageType}", "DERIVED"),
        ("{PatientSex}", ""),
        ("{PatientSex|default:U}", "U"),
        ("{Modality|default:U}", "MR"),
        ("{PatientSex|default:a:b c}", "a:b c"),
        ("{PatientSex|default:ab|upper}", "AB"),
        ("{PatientSex|lower|upper}", ""),
        ("{StudyInstanceUID|substring:0:5}", "1.2.8"),
        ("{StudyInstanceUID|substring:-5:}", "10008"),
        ("{StudyInstanceUID|substring:-5}", "10008"),
        ("{StudyInstanceUID|substring::-6}", "1.2.840"),
        ("{StudyInstanceUID|substring:90:95}", ""),
        ("{InstanceNumber|format:04d}", "0007"),
        ("{InstanceNumber|format:4d}", "   7"),
        ("{InstanceNumber|format:d}", "7"),
        ("{InstanceNumber|format:.2f}", "7.00"),
        ("{SliceThickness|format:06.2f}", "002.50"),
        ("{SliceThickness|format:04d}", "2.5"),
        ("{Modality|format:04d}", "MR"),
        ("{PatientSex|format:04d}", ""),
        ("{PatientSex|default:3|format:03d}", "003"),
        ("{{{trial}}}", "{Lung-1}"),
        ("{{trial}}", "{trial}"),
        ("a\nb{trial}", "a\nbLung-1"),
        ("{Manufacturer}", "ACME: a|b"),
    ],
)
def test_a_template_becomes(text: str, expected: str) -> None:
    assert rendered(text) == expected


def test_values_are_not_read_as_templates() -> None:
    assert parse("{trial}{Modality}", NAMES).render({0x00080060: ("{subject}",)}, {"trial": "{{"}) == "{{{subject}"


def test_a_name_that_the_project_gives_no_text_is_nothing() -> None:
    assert parse("[{site}]", ()).render({}, {}) == "[]"


def test_a_template_tells_what_it_reads_and_is_a_plain_value() -> None:
    template = parse("{trial}{Modality|lower}{(0010,0040)}", NAMES)

    assert template.reads() == {0x00080060, 0x00100040}
    assert parse("{trial}", NAMES).reads() == frozenset()
    assert pickle.loads(pickle.dumps(template)) == template == parse(template.text, NAMES)
    assert hash(template) == hash(parse(template.text, NAMES))


@given(st.text())
def test_a_text_whose_braces_are_doubled_stays(text: str) -> None:
    doubled = text.replace("{", "{{").replace("}", "}}")

    assert parse(doubled, ()).render({}, {}) == text


@given(
    st.text(max_size=80) | st.from_regex(r"[+-]?[0-9]{1,70}(\.[0-9]{0,9})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(["format:04d", "format:099d", "format:.99f", "format:09.2f", "substring:-3:7", "lower|upper"]),
)
def test_every_value_can_be_filtered(value: str, filters: str) -> None:
    assert len(parse(f"{{Modality|{filters}}}", ()).render({0x00080060: (value,)}, {})) <= 3 * len(value) + 200


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{trail}", "did you mean `trial`"),
        ("{other}", "known are: project, site, subject, trial"),
        ("{Modalty}", "did you mean `Modality`"),
        ("{Trial}", "no attribute `Trial`"),
        ("{}", "no name"),
        ("{|lower}", "no name"),
        ("{trial", "single `{`"),
        ("trial}", "single `}`"),
        ("{{trial}", "single `}`"),
        ("{trial|lowr}", "did you mean `lower`"),
        ("{trial|}", "known are: default, format, lower, substring, upper"),
        ("{trial|lower:x}", "write it as lower"),
        ("{trial|lower:}", "write it as lower"),
        ("{trial|default}", "write it as default:UNKNOWN"),
        ("{trial|default:}", "write it as default:UNKNOWN"),
        ("{trial|substring}", "write it as substring:0:8"),
        ("{trial|substring::}", "write it as substring:0:8"),
        ("{trial|substring:a}", "write it as substring:0:8"),
        ("{trial|substring:1:2:3}", "write it as substring:0:8"),
        ("{trial|substring:٣}", "write it as substring:0:8"),
        ("{trial|format:s}", "write it as format"),
        ("{trial|format:}", "write it as format"),
        ("{trial|format:0999d}", "write it as format"),
        ("{trial|format:>9d}", "write it as format"),
        ("{PixelData}", "cannot be read as text"),
        ("{(0029,1010)}", "with its creator"),
        ("{(60xx,3000)}", "no variable"),
        ("{OverlayRows}", "not one public attribute"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_with_what_to_do(text: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse(text, NAMES)
    assert said in str(caught.value)
    assert caught.value.hint


@given(st.text(alphabet="{}|:trialModality0d", max_size=30))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    try:
        parse(text, NAMES).render(OBJECT, TEXTS)
    except SettingError as error:
        assert error.what
