"""Text is decoded by its character set, and nothing fails."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.charset import python_encoding

from coatcheck.deid.charsets import decode, encodings_of
from tests.support import facts_of

FILES = sorted((Path(pydicom.__file__).parent / "data" / "charset_files").glob("chr[!S]*.dcm"))


@pytest.mark.parametrize(
    ("character_set", "value", "text"),
    [
        (b"ISO_IR 192", b"\xc3\x84", "Ä"),
        (b"ISO_IR 100 ", b"\xc4", "Ä"),
        (b"ISO_IR 144", b"\xc4", "Ф"),
        (b"\\ISO 2022 IR 87", b"a^\x1b$B;3ED\x1b(B", "a^山田"),
        (b"GB18030\0", b"\xcd\xf5", "王"),
        (b"", b"\xc4", "Ä"),
        (b"JOHN SMITH", b"\xc4", "Ä"),
    ],
)
def test_a_character_set_decides_what_bytes_mean(character_set: bytes, value: bytes, text: str) -> None:
    assert decode(value, encodings_of(character_set)) == text


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_are_decoded(value: bytes, character_set: bytes) -> None:
    assert isinstance(decode(value, encodings_of(character_set)), str)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\\x1b"), max_size=30))
def test_utf_8_is_decoded_as_such(text: str) -> None:
    assert decode(text.encode(), encodings_of(b"ISO_IR 192")) == text


@pytest.mark.parametrize("name", ["unicode_escape", "raw_unicode_escape", "utf-7", "cp037", "utf-16", "hex", "rot13"])
def test_a_codec_of_python_that_is_no_character_set_is_none_here(name: str) -> None:
    value = rb"M\P\u0041+AEE-" + b"\xfcller"

    assert encodings_of(name.encode()) == ("latin-1",)
    assert decode(value, encodings_of(name.encode())) == value.decode("latin-1")


@pytest.mark.parametrize(
    ("name", "value", "text"), [("UTF-8", b"\xc3\xbc", "ü"), ("windows-1251", b"\xcc", "М"), ("cp1252", b"\x9a", "š")]
)
def test_a_character_set_under_a_name_that_is_not_dicoms_is_read_as_it_says(name: str, value: bytes, text: str) -> None:
    assert decode(value, encodings_of(name.encode())) == text


def test_every_character_set_of_dicom_leaves_ascii_as_it_stands() -> None:
    for term, codec in python_encoding.items():
        assert encodings_of(term.encode())[-1] == codec, term


def test_what_cannot_be_decoded_is_read_as_it_stands() -> None:
    assert "M" in decode(b"M\xff\xfe", encodings_of(b"ISO_IR 192"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_names_of_pydicoms_files_are_read_as_pydicom_reads_them(path: Path) -> None:
    ds = pydicom.dcmread(path, force=True)
    names = {one.text.rstrip("=") for one in facts_of(path.read_bytes()).identity if one.kind == "name"}

    assert str(ds.PatientName) in names


@pytest.mark.parametrize("character_set", [b"MALLORY^EVE", b"ISO_IR 100\\MALLORY", b"a\0b", b"ISO 2022 IR 6\\x"])
def test_an_unknown_character_set_is_quoted_nowhere(
    character_set: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    decode(b"Mallory\x1b$Z\xff", encodings_of(character_set))

    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
