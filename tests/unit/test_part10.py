"""DICOM is recognised by its content, with and without preamble and file meta."""

from __future__ import annotations

import io
import zlib

import pytest

from coatcheck.deid import part10
from coatcheck.deid.elements import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding
from coatcheck.deid.part10 import inflate, new_meta, read_head
from coatcheck.errors import Refused
from coatcheck.ledger.guard import is_detail
from coatcheck.reasons import Reason
from tests.support import BIG, CT, DEFLATED, EXPLICIT, IMPLICIT, RLE, file_of, instance, raw, raw_file, read, window_of

ENCODINGS = [(IMPLICIT, IMPLICIT_LITTLE), (EXPLICIT, EXPLICIT_LITTLE), (BIG, EXPLICIT_BIG)]


def data_set(syntax: str) -> bytes:
    whole = file_of(instance(), syntax)
    return whole[read_head(window_of(whole)).start :]


@pytest.mark.parametrize(("syntax", "encoding"), ENCODINGS)
@pytest.mark.parametrize("form", ["whole", "without a preamble", "without file meta"])
def test_a_file_is_recognised(form: str, syntax: str, encoding: Encoding) -> None:
    whole = file_of(instance(), syntax)
    data = {"whole": whole, "without a preamble": whole[132:], "without file meta": data_set(syntax)}[form]

    head = read_head(window_of(data))

    assert (head.transfer_syntax, head.encoding, head.deflated) == (syntax, encoding, False)
    assert data[head.start :] == data_set(syntax)
    assert head.sop_class == (CT if form != "without file meta" else "")


@pytest.mark.parametrize(("syntax", "encoding"), ENCODINGS)
@pytest.mark.parametrize("claimed", [IMPLICIT, EXPLICIT, BIG])
def test_the_content_decides_where_the_meta_claims_another_native_encoding(
    claimed: str, syntax: str, encoding: Encoding
) -> None:
    head = read_head(window_of(raw_file(data_set(syntax), syntax=claimed)))

    assert (head.transfer_syntax, head.encoding) == (syntax, encoding)


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"hello, world, this is a text", b"%PDF-1.7 and so on", bytes(200), b"\x89PNG\r\n\x1a\n" + bytes(300)],
)
def test_what_is_not_dicom_is_said_to_be_so(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_head(window_of(data))
    assert refused.value.reason == Reason.NOT_DICOM


@pytest.mark.parametrize("length", [132, 135, 150, 200])
def test_a_file_that_ends_in_its_meta_is_truncated(length: int) -> None:
    with pytest.raises(Refused) as refused:
        read_head(window_of(file_of(instance())[:length]))
    assert refused.value.reason == Reason.TRUNCATED


@pytest.mark.parametrize("syntax", ["1.2.3.4", "1.2.840.113619.5.2", CT, "1.2.840.10008.1.20"])
def test_an_unknown_transfer_syntax_is_unsupported(syntax: str) -> None:
    with pytest.raises(Refused) as refused:
        read_head(window_of(raw_file(data_set(IMPLICIT), syntax=syntax)))
    assert refused.value.reason == Reason.UNSUPPORTED


def test_encapsulated_pixels_in_an_implicit_data_set_contradict_each_other() -> None:
    with pytest.raises(Refused) as refused:
        read_head(window_of(raw_file(data_set(IMPLICIT), syntax=RLE)))
    assert refused.value.reason == Reason.UNSUPPORTED


def inflated(data: bytes, limit: int = 1 << 20) -> bytes:
    out = io.BytesIO()
    length = inflate(window_of(data), 0, out, limit)
    assert length == len(out.getvalue())
    return out.getvalue()


def deflated(data: bytes) -> bytes:
    machine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return machine.compress(data) + machine.flush()


@pytest.mark.parametrize("length", [0, 1, 100_000, 1 << 20])
def test_a_deflated_data_set_is_inflated_whole(length: int) -> None:
    data = bytes(number % 251 for number in range(length))

    assert inflated(deflated(data) + b"padding") == data


def test_a_deflate_bomb_is_too_large_before_it_is_large() -> None:
    out = io.BytesIO()
    with pytest.raises(Refused) as refused:
        inflate(window_of(deflated(bytes(100 << 20))), 0, out, 1 << 20)

    assert refused.value.reason == Reason.TOO_LARGE
    assert len(out.getvalue()) <= 2 << 20


def test_a_damaged_or_cut_stream_is_refused() -> None:
    whole = deflated(b"abc" * 1000)
    with pytest.raises(Refused) as cut:
        inflated(whole[:-4])
    with pytest.raises(Refused) as damaged:
        inflated(b"\xff" * 100)
    assert (cut.value.reason, damaged.value.reason) == (Reason.TRUNCATED, Reason.MALFORMED)
    assert is_detail(damaged.value.detail)


def test_deflated_files_are_walked_as_explicit_little_endian() -> None:
    head = read_head(window_of(file_of(instance(), DEFLATED)))

    assert (head.deflated, head.encoding, head.transfer_syntax) == (True, EXPLICIT_LITTLE, EXPLICIT)


@pytest.mark.parametrize("uid", ["1.2.3", "1.2.34"])
def test_the_new_meta_is_what_pydicom_expects_and_nothing_else(uid: str) -> None:
    ds = read(new_meta(CT, uid, EXPLICIT) + raw(0x00080060, "CS", b"CT"))

    assert ds.preamble == bytes(128)
    assert [element.keyword for element in ds.file_meta] == [
        "FileMetaInformationGroupLength",
        "FileMetaInformationVersion",
        "MediaStorageSOPClassUID",
        "MediaStorageSOPInstanceUID",
        "TransferSyntaxUID",
        "ImplementationClassUID",
        "ImplementationVersionName",
    ]
    assert ds.file_meta.MediaStorageSOPInstanceUID == uid
    assert ds.file_meta.ImplementationClassUID == part10.IMPLEMENTATION_CLASS_UID
    assert ds.Modality == "CT"
