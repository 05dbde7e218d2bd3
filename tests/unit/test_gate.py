"""The gate finds what identifies a Study, in every spelling, and does not cry over what is no identity."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.elements import EXPLICIT_LITTLE
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import new_meta
from coatcheck.deid.patterns import Patterns
from coatcheck.deid.spellings import date_spellings
from coatcheck.errors import Refused
from coatcheck.ledger.guard import is_detail
from coatcheck.model import Identity
from coatcheck.reasons import Reason
from tests.support import EXPLICIT, SUBJECT, UIDS, raw, raw_item, window_of

NAME = Identity("name", "Mallory^Eve Anne^^Dr.")


def found(data_set: bytes, *identity: Identity, written: set[tuple[int, bytes]] | None = None) -> str | None:
    """The detail of the refusal, or None where the gate lets the result pass."""
    meta = new_meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT)
    gate = Gate(identity, SUBJECT)
    try:
        gate.check(window_of(meta + data_set), len(meta), EXPLICIT_LITTLE, written or set())
    except Refused as refused:
        assert refused.reason == Reason.IDENTITY_FOUND
        assert is_detail(refused.detail)
        return refused.detail
    return None


def text(value: str, vr: str = "LO") -> bytes:
    return raw(0x00080104, vr, value.encode("latin-1"))


@pytest.mark.parametrize("value", ["Mallory", "of mallory's", "EVE", "Anne", "x Mallory^Eve Anne^^Dr. y"])
def test_a_name_is_found_whole_and_in_its_parts(value: str) -> None:
    assert found(text(value), NAME) == "(0008,0104) name"


@pytest.mark.parametrize("value", ["Evening", "Dr. Who", "Annex", "Malory", "believer"])
def test_short_parts_of_a_name_count_as_words_only(value: str) -> None:
    assert (found(text(value), NAME) is not None) == (value in ("Annex",))


@pytest.mark.parametrize("nobody", ["Anonymous", "UNKNOWN^PATIENT", "test", "^", "..", "X"])
def test_placeholders_identify_nobody(nobody: str) -> None:
    assert found(text(nobody), Identity("name", nobody)) is None or ("^" in nobody and "UNKNOWN" in nobody)


@pytest.mark.parametrize(
    ("identity", "value", "vr", "seen"),
    [
        (Identity("id", "4711"), "room 47110", "LO", True),
        (Identity("id", "4711"), "4711", "DS", False),
        (Identity("id", "471100"), "471100", "DS", True),
        (Identity("id", "471100"), "47110055", "DS", False),
        (Identity("id", "1"), "1", "LO", False),
        (Identity("id", "12"), "12", "LO", True),
        (Identity("id", "12"), "120", "LO", False),
        (Identity("id", "12"), "a 12 b", "LO", True),
        (Identity("id", "12"), "12", "CS", False),
        (Identity("id", "AB-12-34"), "ab1234", "LO", True),
        (Identity("phone", "+49 (30) 123-456"), "4930123456", "LO", True),
        (Identity("place", "Saint Elsewhere, Springfield"), "springfield", "LO", True),
        (Identity("uid", "1.2.3.4"), "1.2.3.4", "UI", True),
        (Identity("uid", "1.2.3.4"), "1.2.3.45", "UI", False),
        (Identity("uid", "1.2.3.4"), "see 1.2.3.4.5", "LO", True),
        (Identity("uid", "1.2.3.4"), "see 1.2.3.45", "LO", False),
        (Identity("date", "19600229"), "29.02.1960", "LO", True),
        (Identity("date", "19600229"), "2/29/1960", "LO", True),
        (Identity("date", "19600229"), "Feb 29, 1960", "LT", True),
        (Identity("date", "19600229"), "29-FEB-1960", "LO", True),
        (Identity("date", "19600229"), "1960-02-28", "LO", False),
        (Identity("date", "19600229101112"), "19600229", "DA", True),
        (Identity("date", "1960"), "1960", "LO", False),
    ],
)
def test_it_finds(identity: Identity, value: str, vr: str, seen: bool) -> None:
    assert (found(text(value, vr), identity) is not None) == seen


@given(st.dates())
def test_a_date_has_many_spellings_and_its_year_is_in_each(day: object) -> None:
    compact = str(day).replace("-", "")
    spelled = date_spellings(compact)

    assert {compact, str(day), str(day).replace("-", "/")} <= spelled
    assert all(compact[:4] in one for one in spelled)
    assert Patterns([Identity("date", compact)]).years == {compact[:4]}


def test_dates_that_an_action_wrote_are_no_find_and_others_are() -> None:
    data = raw(0x00080020, "DA", b"19600229")

    assert found(data, Identity("date", "19600229")) == "(0008,0020) date"
    assert found(data, Identity("date", "19600229"), written={(0x00080020, b"19600229")}) is None
    assert found(data, Identity("date", "19600229"), written={(0x00080021, b"19600229")}) == "(0008,0020) date"


def test_a_date_that_was_written_into_one_file_is_a_find_in_the_next_where_it_was_not() -> None:
    meta = new_meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT)
    gate = Gate({Identity("date", "19600229")}, SUBJECT)
    data = meta + raw(0x00080020, "DA", b"19600229")

    gate.check(window_of(data), len(meta), EXPLICIT_LITTLE, {(0x00080020, b"19600229")})

    with pytest.raises(Refused):
        gate.check(window_of(data), len(meta), EXPLICIT_LITTLE, set())


def test_the_subject_is_its_own_and_no_find() -> None:
    assert found(raw(0x00100020, "LO", SUBJECT.encode()), Identity("id", SUBJECT.lower())) is None


def test_the_path_names_the_items() -> None:
    inside = raw(0x00082218, "SQ", raw_item(b"") + raw_item(text("Mallory")))

    assert found(raw(0x00081140, "SQ", raw_item(inside)), NAME) == "(0008,1140)[0](0008,2218)[1](0008,0104) name"


def test_pixels_are_not_searched_and_what_stands_before_them_is() -> None:
    assert found(raw(0x7FE00010, "OB", b"Mallory "), NAME) is None
    assert found(raw(0x7FE00001, "OV", b"Mallory "), NAME) == "(7FE0,0001) name"


def test_the_file_meta_is_searched() -> None:
    assert found(UIDS, Identity("uid", "2.25.1")) == "(0002,0003) uid"


@pytest.mark.parametrize("place", [0, (1 << 18) - 3, 2 * (1 << 18) - 100, 3 * (1 << 18) - 8])
def test_a_large_value_is_searched_at_every_place(place: int) -> None:
    data = bytearray(3 * (1 << 18))
    data[place : place + 8] = b"Mallory "

    assert found(raw(0x00282000, "OB", bytes(data)), NAME) == "(0028,2000) name"
    assert found(raw(0x00282000, "OB", bytes(len(data))), NAME) is None


def test_what_was_found_clean_is_remembered_and_bounded() -> None:
    gate = Gate([NAME], SUBJECT)
    for number in range(20_010):
        assert gate.names_nobody(b"%d" % number, "LO", ())
    assert gate.names_nobody(bytes(100_000), "OB", ())

    assert len(gate._clean) <= 20_000
    assert max(len(value) for _, _, value in gate._clean) <= 512


def test_a_find_is_never_remembered_as_clean() -> None:
    gate = Gate([NAME], SUBJECT)

    assert [gate.names_nobody(b"Mallory", "LO", ()) for _ in range(3)] == [False] * 3


@pytest.mark.parametrize("codec", ["utf-8", "gb18030", "shift_jis", "euc_jp", "iso2022_jp"])
def test_a_name_beyond_ascii_is_found_in_bytes_of_any_encoding(codec: str) -> None:
    assert found(raw(0x00282000, "OB", b"\0\1" + "山田".encode(codec)), Identity("name", "山田^太郎")) is not None


@pytest.mark.parametrize("spelled", ["Müller", "MÜLLER", "Muller", "Mueller", "Mu\u0308ller"])
def test_an_umlaut_has_several_spellings(spelled: str) -> None:
    charset = raw(0x00080005, "CS", b"ISO_IR 192")

    assert found(charset + raw(0x00080104, "LO", spelled.encode()), Identity("name", "Müller^A")) is not None


def test_an_empty_identity_finds_nothing() -> None:
    assert found(text("anything") + raw(0x00282000, "OB", bytes(10))) is None


# -- What hides -------------------------------------------------------------------------------------------------------

BYTES = 0x00282000


def kind_of(value: bytes, vr: str, *identity: Identity, charset: tuple[str, ...] = ("latin-1",)) -> str | None:
    return Gate(identity, SUBJECT).kind_in(value, vr, charset)


def zipped(content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", content)
    return out.getvalue()


@pytest.mark.parametrize("before", [b"", b"x", b"xx", b"any thing "])
@pytest.mark.parametrize("vr", ["LT", "OB"])
def test_it_reads_base64_at_each_alignment_and_hexadecimal_digits(before: bytes, vr: str) -> None:
    for spelled in (b"Mallory", b"MALLORY", b"mallory"):
        data = before + spelled + b"?>~"
        for hidden in (base64.b64encode(data), base64.urlsafe_b64encode(data), data.hex().encode()):
            assert kind_of(b"k=" + hidden, vr, NAME) == "name"
    assert kind_of(base64.b64encode(b"somebody else"), vr, NAME) is None


@pytest.mark.parametrize("hidden", [b"M%61llory", b"%4d%61llory", b"M&#97;llory", b"M&#x61;llory", b"M%2561llory"])
@pytest.mark.parametrize("vr", ["LT", "LO", "UR", "OB", "UN"])
def test_it_reads_behind_escapes(hidden: bytes, vr: str) -> None:
    assert kind_of(b"x " + hidden, vr, NAME) == "name"


@pytest.mark.parametrize(
    "pack", [zlib.compress, gzip.compress, zipped, lambda data: zlib.compress(gzip.compress(data))]
)
@pytest.mark.parametrize("vr", ["OB", "OW", "UN"])
def test_it_looks_into_streams(pack: object, vr: str) -> None:
    assert callable(pack)
    content = pack(b"of Mallory, born")

    assert found(raw(BYTES, vr, b"\0\1" + content + b"\2"), NAME) == "(0028,2000) name"
    assert found(raw(BYTES, vr, bytes((1 << 18) - 5) + content + bytes(1 << 18)), NAME) == "(0028,2000) name"
    assert found(raw(BYTES, vr, pack(b"of somebody else")), NAME) is None


def test_a_stream_that_is_too_long_to_be_searched_is_refused() -> None:
    bomb = zlib.compress(bytes((1 << 24) + 1))
    meta = new_meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT)

    with pytest.raises(Refused) as refused:
        Gate([NAME], SUBJECT).check(window_of(meta + raw(BYTES, "OB", bomb)), len(meta), EXPLICIT_LITTLE, set())

    assert (refused.value.reason, refused.value.detail) == (Reason.TOO_LARGE, "(0028,2000)")


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-8", "latin-1", "cp1252", "mac-roman"])
@pytest.mark.parametrize("charset", [("utf-8",), ("latin-1",), ("shift_jis",)])
@pytest.mark.parametrize("vr", ["LO", "CS", "UT"])
def test_a_wrongly_declared_character_set_hides_nothing(codec: str, charset: tuple[str, ...], vr: str) -> None:
    assert kind_of("Müller".encode(codec), vr, Identity("name", "Müller^A"), charset=charset) == "name"
    assert kind_of("Mallory".encode(codec), vr, NAME, charset=charset) == "name"


@pytest.mark.parametrize(
    ("identity", "value", "kind"),
    [
        (Identity("date", "19600229"), "b 29/02/60 x", "date"),
        (Identity("date", "19600229"), "b 60-02-29", "date"),
        (Identity("date", "19600229"), "600229", "date"),
        (Identity("date", "19600229"), "1600229", None),
        (Identity("date", "19600229"), "1.29.02.60", None),
        (Identity("date", "19600229"), "29th of February, 1960", "date"),
        (Identity("date", "19600229"), "29. Februar 1960", "date"),
        (Identity("phone", "+49 (30) 1234-5678"), "030/123 456 78", "phone"),
        (Identity("phone", "+49 (30) 1234-5678"), "1234 5678", None),
        (Identity("phone", "+49 (30) 1234-5678"), "234.56.78", "phone"),
        (Identity("id", "12345678"), "123-45-678", "id"),
        (Identity("id", "12345678"), "0123-45-6789", None),
        (Identity("institution", "Saint Elsewhere"), "SAINT_ELSEWHERE", "institution"),
        (Identity("institution", "Is Elsewhere"), "thiselsewhere", None),
        (Identity("name", "Doe^X"), "CT_DOE_HEAD", "name"),
        (Identity("name", "Doe^X"), "headDoe3", "name"),
        (Identity("name", "Doe^X"), "DOEHEAD shadoes", None),
        (Identity("name", "Ob^X"), "OB_GENERAL", None),
        (Identity("name", "Ob^X"), "OB GENERAL", "name"),
        (Identity("name", "Mueller^X"), "Müller", "name"),
        (Identity("name", "Żółwińska"), "ZOLWINSKA", "name"),
        (Identity("name", "O'Hara"), "ohara", "name"),
        (Identity("device", "1.2.3.4"), "1.2.3.4", "device"),
        (Identity("station", "CTAWP"), "ctawp1", "station"),
    ],
)
def test_it_tells_the_kind_of(identity: Identity, value: str, kind: str | None) -> None:
    assert kind_of(value.encode(), "LO", identity, charset=("utf-8",)) == kind


def test_what_an_option_keeps_is_not_searched() -> None:
    kinds = ["institution", "device", "uid", "date"]
    identity = [
        Identity(kind, "1.2.3.4" if kind == "uid" else "20200131" if kind == "date" else kind) for kind in kinds
    ]
    value = b"institution device 1.2.3.4 20200131"

    assert Gate(identity, SUBJECT, frozenset(kinds)).kind_in(value, "LO", ()) is None
    for kind in kinds:
        assert Gate(identity, SUBJECT, frozenset(kinds) - {kind}).kind_in(value, "LO", ()) == kind


def test_a_rule_may_permit_an_element_and_no_other() -> None:
    meta = new_meta("1.2.840.10008.5.1.4.1.1.2", "2.25.1", EXPLICIT)
    asked: list[tuple[tuple[int, ...], int, str]] = []

    def permits(path: tuple[int, ...], tag: int, vr: str) -> bool:
        asked.append((path, tag, vr))
        return tag == 0x00080104

    gate = Gate([NAME], SUBJECT)
    allowed = meta + raw(0x00082218, "SQ", raw_item(raw(0x00080100, "SH", b"x ") + text("Mallory")))
    for _ in range(3):
        gate.check(window_of(allowed), len(meta), EXPLICIT_LITTLE, set(), permits)
    assert asked == [((0x00082218,), 0x00080104, "LO")] * 3

    with pytest.raises(Refused):
        gate.check(window_of(allowed), len(meta), EXPLICIT_LITTLE, set())
    other = meta + raw(0x00081030, "LO", b"Mallory")
    with pytest.raises(Refused, match="identity-found"):
        gate.check(window_of(other), len(meta), EXPLICIT_LITTLE, set(), permits)


@pytest.mark.parametrize("vr", ["DS", "IS", "TM", "AS"])
def test_zeros_between_its_letters_hide_no_name_in_a_number(vr: str) -> None:
    assert found(text("2\\Mal\0lo\0ry", vr), NAME) == "(0008,0104) name"


def test_a_long_value_is_remembered_as_clean_for_its_own_kind_only() -> None:
    gate, value = Gate([Identity("id", "471100")], SUBJECT), b"1.2.471100\\" * 100

    assert [gate.kind_in(value, vr, ()) for vr in ("UI", "DS", "LO", "UI", "LO")] == [None, None, "id", None, "id"]
    assert gate.kind_in(value[:-1] + b"1", "UI", ()) is None


@pytest.mark.parametrize(("term", "lead"), [(b"GB18030 ", b"\xb3"), (b"ISO_IR 13 ", b"\x83"), (b"ISO_IR 192", b"\xc3")])
def test_a_byte_that_takes_the_first_letter_along_hides_no_name(term: bytes, lead: bytes) -> None:
    hidden = raw(0x00080005, "CS", term) + raw(0x00080104, "LO", lead + b"Mallory")

    assert found(hidden, NAME) == "(0008,0104) name"
