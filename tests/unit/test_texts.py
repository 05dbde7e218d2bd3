"""Any text becomes one that is legal for its VR and can be read in its character set, or is said not to be one."""

from __future__ import annotations

import re
import warnings
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.valuerep import validate_value

from coatcheck.deid import forms, texts
from coatcheck.deid.charsets import decode, encodings_of
from coatcheck.deid.standard import vr_limits

TEXT_VRS = sorted({*texts.LETTERS, *forms.FORMS, "AE", "CS", "UR"})
SETS = [
    *(b"", b"ISO_IR 6", b"ISO_IR 100", b"ISO_IR 101", b"ISO_IR 109", b"ISO_IR 110", b"ISO_IR 144", b"ISO_IR 127"),
    *(b"ISO_IR 126", b"ISO_IR 138", b"ISO_IR 148", b"ISO_IR 13", b"ISO_IR 166", b"ISO_IR 192", b"GB18030", b"GBK"),
    *(b"\\ISO 2022 IR 87", b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"\\ISO 2022 IR 58"),
    *(b"\\ISO 2022 IR 159", b"ISO 2022 IR 100\\ISO 2022 IR 144", b"ISO 2022 IR 6\\ISO 2022 IR 100", b"NONSENSE"),
]
ANY = st.text(max_size=90) | st.text("Aä山田ｱЖ王김\\^=~\r\n\t\x1b0129 .-+", max_size=90)


def assert_legal(value: bytes, vr: str, charset: tuple[str, ...]) -> None:
    """That each value is one of its VR: by the standard's table and by pydicom."""
    text = decode(value, charset) if vr in texts.LETTERS else value.decode("ascii")
    for one in text.split("\\") if texts.is_several(vr) else [text]:
        if one and vr_limits()[vr].pattern and vr not in ("PN", "UR"):
            assert re.search(vr_limits()[vr].pattern, one)
        if vr == "PN":
            assert re.fullmatch(r"(?:[^^=]*\^?){0,5}(?:=(?:[^^=]*\^?){0,5}){0,2}", one)
            assert all(len(group) <= 64 and group.count("^") <= 4 for group in one.split("="))
        assert len(one) <= (texts.longest(vr) or len(one))
        assert "\x1b" not in one
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            validate_value(vr, one, config.RAISE)


@given(ANY, st.sampled_from(TEXT_VRS), st.sampled_from(SETS))
def test_any_text_is_made_fit_or_refused(text: str, vr: str, name: bytes) -> None:
    charset = encodings_of(name)
    value = texts.fit(text, vr, charset)

    if vr in {*texts.LETTERS, "AE", "CS", "UR"}:
        assert value is not None
    if value is not None:
        assert_legal(value, vr, charset)
        assert texts.fit(decode(value, charset), vr, charset) == value


@given(st.text(st.characters(codec="utf-8", categories=["L", "N"]), max_size=64))
def test_letters_that_the_character_set_has_stay(text: str) -> None:
    assert texts.fit(text, "LO", encodings_of(b"ISO_IR 192")) == text.encode()


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("Müller", b"ISO_IR 100", b"M\xfcller"),
        ("Müller", b"", b"Muller"),
        ("Müller", b"NONSENSE", b"Muller"),
        ("Mu\u0308ller", b"ISO_IR 100", b"M\xfcller"),
        ("Straße 4 – Łódź", b"", b"Strasse 4 - Lodz"),
        ("Жуков", b"ISO_IR 144", "Жуков".encode("iso8859_5")),
        ("Жуков", b"ISO_IR 100", b"?????"),
        ("山田", b"\\ISO 2022 IR 87", b"\x1b$B;3ED\x1b(B"),
        ("a山", b"ISO_IR 100", b"a?"),
        ("Müller 山", b"\\ISO 2022 IR 87", b"Muller \x1b$B;3\x1b(B"),
        ("ab\\cd\x1b\x00", b"", b"abcd"),
        ("one\r\ntwo", b"", b"one  two"),
        ("＼", b"", b""),
    ],
)
def test_a_text_is_written_as_the_character_set_can(text: str, name: bytes, value: bytes) -> None:
    assert texts.fit(text, "LO", encodings_of(name)) == value


@pytest.mark.parametrize(
    ("text", "vr", "value"),
    [
        ("x" * 70, "LO", b"x" * 64),
        ("x" * 70, "SH", b"x" * 16),
        ("x" * 1025, "ST", b"x" * 1024),
        ("a\\b\r\n\tc ", "LT", b"a\\b\r\n\tc"),
        ("  indented", "UT", b"  indented"),
        ("  indented", "LO", b"indented"),
        ("t1-weighted.x", "CS", b"T1_WEIGHTED_X"),
        ("Größe", "CS", b"GROSSE"),
        ("A" * 15 + " B", "CS", b"A" * 15),
        ("STATION\\1", "AE", b"STATION1"),
        ("A^B^C^D^E^F^G", "PN", b"A^B^C^D^E F G"),
        ("A=B=C=D", "PN", b"A=B=C"),
        ("x" * 70 + "=B", "PN", b"x" * 64 + b"=B"),
        ("http://a/b c%zz%20", "UR", b"http://a/b%20c%25zz%20"),
        ("20040229", "DA", b"20040229"),
        ("20050229", "DA", None),
        ("2004", "DA", None),
        ("20040229101112.123456+0100", "DT", b"20040229101112.123456+0100"),
        ("200402", "DT", b"200402"),
        ("20040230", "DT", None),
        ("2004-0000", "DT", None),
        ("2004+1401", "DT", None),
        ("1011", "TM", b"1011"),
        ("2411", "TM", None),
        ("045Y", "AS", b"045Y"),
        ("45", "AS", None),
        ("1.2.840", "UI", b"1.2.840"),
        ("1.02", "UI", None),
        ("1." + "2" * 63, "UI", None),
        ("12", "IS", b"12"),
        ("2147483648", "IS", None),
        ("1.5", "IS", None),
        ("1.5", "DS", b"1.5"),
        ("3.14159265358979323846", "DS", b"3.14159265358979"),
        ("-0.000012345678901234567", "DS", b"-1.2345678901e-5"),
        ("1,5", "DS", None),
        ("nan", "DS", None),
        ("1_000", "DS", None),
        ("１２", "IS", None),
        (" ", "DA", b""),
        ("x", "OB", None),
        ("", "OB", None),
        ("x", "US", None),
        ("x", "??", None),
    ],
)
def test_what_fits(text: str, vr: str, value: bytes | None) -> None:
    assert texts.fit(text, vr) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_number_is_a_decimal_string_close_to_it(number: Decimal) -> None:
    if abs(number.adjusted()) > 400:
        return
    text = forms.decimal_string(number)

    assert len(text) <= 16
    assert abs(Decimal(text) - number) <= abs(number) * Decimal("1e-8")


@given(st.binary(max_size=60), st.sampled_from(sorted(vr_limits())), st.sampled_from(SETS))
def test_any_value_is_parted(value: bytes, vr: str, name: bytes) -> None:
    parted = texts.parts(value, vr, encodings_of(name))

    assert parted
    assert texts.is_several(vr) or len(parted) == 1


def test_a_backslash_parts_values_only_where_it_may() -> None:
    assert texts.parts(b" a \\ b\0", "LO") == ["a", "b"]
    assert texts.parts(b" a \\ b \0", "LT") == [" a \\ b"]
    assert texts.parts(b"\xcd\xf5\\b", "LO", encodings_of(b"GB18030")) == ["王", "b"]


def test_blank_values_stay_blank_and_one_failure_fails_all() -> None:
    assert texts.mapped(b"a\\ \\b", "LO", (), str.upper) == b"A\\\\B"
    assert texts.mapped(b"a\\b", "LO", (), {"a": "x"}.get) is None


def test_what_the_length_field_cannot_hold_is_refused() -> None:
    many = ["x" * 60] * 1100

    assert texts.fit_all(many, "LO") is None
    assert texts.fit_all(many, "UC") is not None
