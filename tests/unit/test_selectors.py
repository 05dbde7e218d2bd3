"""Selectors: what a rule is about. Private elements are only ever matched by their creator."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import keyword_dict

from coatcheck.deid.dictionary import is_private
from coatcheck.deid.selectors import Path, PrivateTag, Selector, describe, parse
from coatcheck.deid.settings import SettingError

CSA = '(0029,"SIEMENS CSA HEADER",10)'
CSA_TAG = PrivateTag(0x0029, 0x10, "SIEMENS CSA HEADER")
REQUEST, CODES = 0x00400275, 0x00080104
VRS = st.sampled_from(["PN", "LO", "US", "SS", "OB", "OW", "SQ", "UN", "UI"])
TAGS = st.integers(0, 0xFFFFFFFF) | st.sampled_from(sorted(keyword_dict.values()))

EXACT = st.sampled_from(["PatientName", "(0010,0010)", "00100010", "( 0008 , 103e )", "StudyDescription"])
PRIVATE = st.sampled_from([CSA, '(0029,"SIEMENS CSA HEADER",*)', '(0031,"A ""B"" > C/D",ff)'])
LOOSE = st.sampled_from(
    ["OverlayData", "(60xx,3000)", "(0018,xxxx)", "(0018,1000)-(0018,1FFF)", "VR:PN", "/a>b|N\\/A/"]
)
SEQUENCES = st.sampled_from(["RequestAttributesSequence", "(0008,1140)", CSA, '(0029,"X",*)'])


@st.composite
def selector_texts(draw: st.DrawFn) -> str:
    around = draw(st.lists(SEQUENCES, max_size=3))
    top = draw(st.sampled_from([[], ["top"]]))
    mark = draw(st.sampled_from([">", " > ", "  >"]))
    return mark.join([*top, *around, draw(EXACT | PRIVATE | LOOSE)])


def matches(text: str, tag: int, vr: str = "LO", path: Path = (), creator: str | None = None) -> bool:
    return parse(text).matches(tag, vr, path, creator)


@given(selector_texts())
def test_a_selector_is_read_from_its_own_text_again(text: str) -> None:
    selector = parse(text)

    assert parse(selector.text) == selector
    assert hash(parse(selector.text)) == hash(selector)
    assert pickle.loads(pickle.dumps(selector)) == selector
    assert describe(selector)


@given(selector_texts(), TAGS.map(lambda tag: tag | 0x00010000).filter(is_private), VRS)
def test_only_a_selector_with_a_creator_matches_a_private_element(text: str, tag: int, vr: str) -> None:
    selector = parse(text)

    assert not selector.matches(tag, vr, (), None)
    if not selector.private:
        assert not selector.matches(tag, vr, (), "SIEMENS CSA HEADER")


@given(st.sampled_from(sorted(filter(None, keyword_dict))))
def test_every_keyword_and_its_tag_mean_the_same(keyword: str) -> None:
    tag = keyword_dict[keyword]
    if tag >> 16 == 0xFFFE:
        return
    for text in (keyword, f"({tag >> 16:04x},{tag & 0xFFFF:04X})", f"{tag:08X}"):
        assert parse(text).tags() == frozenset({tag})
        assert parse(text).matches(tag, "UN", (), None)
        assert not parse(text).matches(tag ^ 2, "UN", (), None)


@pytest.mark.parametrize(
    ("text", "tag", "vr", "expected"),
    [
        ("(60xx,3000)", 0x60003000, "OW", True),
        ("(60xx,3000)", 0x601E3000, "OW", True),
        ("(60xx,3000)", 0x60003001, "OW", False),
        ("(60xx,3000)", 0x60013000, "OW", False),
        ("OverlayData", 0x60023000, "OW", True),
        ("OverlayData", 0x50023000, "OW", False),
        ("(0018,xxxx)", 0x00181030, "LO", True),
        ("(0018,xxxx)", 0x00191030, "LO", False),
        ("(0018,10xx)", 0x00181130, "LO", False),
        ("(0018,1000)-(0018,1FFF)", 0x00181000, "LO", True),
        ("(0018,1000)-(0018,1FFF)", 0x00181FFF, "LO", True),
        ("(0018,1000)-(0018,1FFF)", 0x00182000, "LO", False),
        ("(0018,1000)-(0018,1FFF)", 0x00180FFF, "LO", False),
        ("(0018,0000)-(0020,FFFF)", 0x00190010, "LO", False),
        ("00181000-00181FFF", 0x00181030, "LO", True),
        ("VR:PN", 0x00100010, "PN", True),
        ("VR:PN", 0x00100010, "LO", True),  # that of PS3.6 counts
        ("VR:LO", 0x00100010, "LO", False),
        ("VR:PN", 0x00280999, "PN", True),  # none in PS3.6
        ("VR:US", 0x00280106, "US", True),  # PS3.6: US or SS
        ("VR:US", 0x00280106, "SS", False),
        ("VR:US", 0x00280106, "UN", True),
        ("VR:UT", 0x00100045, "UN", True),  # younger than the dictionary, known by Table E.1-1
        ("/Physician/", 0x00080090, "PN", True),
        ("/^Physician/", 0x00080090, "PN", False),
        ("/physician/", 0x00080090, "PN", False),
        ("/Overlay/", 0x60023000, "OW", True),
        ("/^NameToUse$/", 0x00100012, "LT", True),
        ("/.*/", 0x00280999, "LO", False),  # without a keyword
    ],
)
def test_a_selector_matches(text: str, tag: int, vr: str, expected: bool) -> None:
    assert matches(text, tag, vr) is expected
    assert matches(text, tag, vr, (REQUEST,)) is expected


def test_the_file_has_a_say_only_among_the_vrs_of_the_standard() -> None:
    assert matches("VR:OB", 0x7FE00010, "UN") and matches("VR:OW", 0x7FE00010, "UN")
    assert not matches("VR:OW", 0x7FE00010, "OB")


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("PatientName", (), True),
        ("PatientName", (REQUEST, CODES), True),
        ("RequestAttributesSequence > PatientName", (REQUEST,), True),
        ("RequestAttributesSequence > PatientName", (0x00081140, REQUEST), True),
        ("RequestAttributesSequence > PatientName", (REQUEST, 0x00081140), False),
        ("RequestAttributesSequence > PatientName", (), False),
        ("(0008,1140) > (0040,0275) > PatientName", (0x00081140, REQUEST), True),
        ("(0008,1140) > (0040,0275) > PatientName", (REQUEST, 0x00081140), False),
        ("(0008,1140) > (0040,0275) > PatientName", (REQUEST,), False),
        ("top > PatientName", (), True),
        ("top > PatientName", (REQUEST,), False),
        ("top > RequestAttributesSequence > PatientName", (REQUEST,), True),
        ("top > RequestAttributesSequence > PatientName", (0x00081140, REQUEST), False),
        (f"{CSA} > PatientName", (CSA_TAG,), True),
        (f"{CSA} > PatientName", (REQUEST, CSA_TAG), True),
        (f"{CSA} > PatientName", (CSA_TAG._replace(creator="X"),), False),
        (f"{CSA} > PatientName", (CSA_TAG._replace(element=0x11),), False),
        ('(0029,"SIEMENS CSA HEADER",*) > PatientName', (CSA_TAG._replace(element=0x11),), True),
        (f"{CSA} > PatientName", (0x00290010,), False),
        ("RequestAttributesSequence > PatientName", (CSA_TAG,), False),
    ],
)
def test_a_selector_says_what_is_around_the_element(text: str, path: Path, expected: bool) -> None:
    assert matches(text, 0x00100010, "PN", path) is expected


@pytest.mark.parametrize(
    ("text", "tag", "creator", "expected"),
    [
        (CSA, 0x00290010, "SIEMENS CSA HEADER", True),
        (CSA, 0x00290011, "SIEMENS CSA HEADER", False),
        (CSA, 0x00310010, "SIEMENS CSA HEADER", False),
        (CSA, 0x00290010, "SIEMENS CSA", False),
        ('(0029, "SIEMENS CSA HEADER ", 10)', 0x00290010, "SIEMENS CSA HEADER", True),
        ('(0029,"SIEMENS CSA HEADER",*)', 0x002900FF, "SIEMENS CSA HEADER", True),
        ('(0029,"SIEMENS CSA HEADER",*)', 0x002B00FF, "SIEMENS CSA HEADER", False),
        ('(0029,"A ""B"" > /C",1F)', 0x0029001F, 'A "B" > /C', True),
    ],
)
def test_a_private_selector_matches_by_group_creator_and_element(
    text: str, tag: int, creator: str, expected: bool
) -> None:
    assert matches(text, tag, creator=creator) is expected


def test_a_selector_tells_its_tags_and_creators() -> None:
    def told(text: str) -> tuple[object, object, bool]:
        selector = parse(text)
        return selector.tags(), selector.creators(), selector.private

    assert told("top > PatientName") == ({0x00100010}, frozenset(), False)
    assert told(CSA) == (frozenset(), {(0x0029, "SIEMENS CSA HEADER", 0x10)}, True)
    assert told('(0029,"X",*)') == (frozenset(), {(0x0029, "X", None)}, True)
    for text in ("VR:PN", "/a/", "(60xx,3000)", "(0018,1000)-(0018,1001)", "OverlayData"):
        assert told(text) == (None, frozenset(), False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PatientNam", "did you mean `PatientName`"),
        ("patientname", "did you mean `PatientName`"),
        ("RequestAtributesSequence > PatientName", "did you mean `RequestAttributesSequence`"),
        ("NameToUze", "did you mean `NameToUse`"),
        ("Item", "no attribute `Item`"),
        ("(0029,1010)", "name a private attribute with its creator"),
        ("(60x1,3000)", "name a private attribute with its creator"),
        ('(0028,"X",10)', "is odd"),
        ('(0029,"",10)', "needs its creator"),
        ('(0029,"X",1)', "name a private attribute with its creator"),
        ('(0029,"X,10)', "name a private attribute with its creator"),
        ("(0018,1000)-(0010,0010)", "the wrong way round"),
        ("(0018,1000)-(0018,1xxx)", "both ends of a range"),
        ("(0018,1000)-", "no selector"),
        ("(0018,1000)-(0019,1000)", "private"),
        ("VR:XX", "no VR `XX`"),
        ("VR:pn", "did you mean `PN`"),
        ("/(a+)+/", "for ever"),
        ("/(/", "no regular expression"),
        ("//", "no selector"),
        ("/a/b/", "no selector"),
        ("", "no selector"),
        (">", "no selector"),
        ("A > ", "no attribute `A`"),
        ("top", "stands for no attribute"),
        ("RequestAttributesSequence > top > PatientName", "stands for no attribute"),
        ("top > top > PatientName", "stands for no attribute"),
        ("PatientName > PatientID", "`PatientName` is no sequence"),
        ("VR:SQ > PatientID", "cannot stand before"),
        ("(60xx,3000) > PatientID", "cannot stand before"),
        ("Patient's Name", "no selector"),
        (1234, "put it into quotes"),
        (None, "put it into quotes"),
    ],
)
def test_what_is_wrong_with_a_selector_is_said_with_what_to_do(text: object, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert caught.value.hint


@given(st.text(max_size=30) | st.text(alphabet='top>/"(),-x019A*: VR', max_size=40))
def test_any_text_is_a_selector_or_refused(text: str) -> None:
    try:
        selector = parse(text)
    except SettingError as error:
        assert error.what
    else:
        assert isinstance(selector, Selector)
        assert parse(selector.text) == selector


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("00100010", "PatientName (0010,0010), at any depth"),
        ("top > (0010,0010)", "PatientName (0010,0010) at the top level"),
        (
            "(0008,1140) > RequestAttributesSequence > (0028,0999)",
            "(0028,0999), directly in an item of RequestAttributesSequence (0040,0275), "
            "directly in an item of ReferencedImageSequence (0008,1140)",
        ),
        ("OverlayData", "every attribute with the tag (60xx,3000), at any depth"),
        ("VR:PN", "every attribute with the VR PN, at any depth"),
        ("/Phys/", "every attribute with /Phys/ in its keyword, at any depth"),
        ("(0018,1000)-(0018,1FFF)", "every attribute from (0018,1000) to (0018,1FFF), at any depth"),
        (CSA, 'the element 10 of the private creator "SIEMENS CSA HEADER" in the group 0029, at any depth'),
        ('top > (0029,"X",*)', 'every element of the private creator "X" in the group 0029 at the top level'),
    ],
)
def test_a_selector_is_told_in_words(text: str, said: str) -> None:
    assert describe(parse(text)) == said
