"""The actions that profiles name: each is total, legal for its VR, repeatable, and does what its docstring says."""

from __future__ import annotations

import pickle
import struct
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid import dates, forms, texts
from coatcheck.deid.actions import KINDS, Context, Do, Ids, Maker
from coatcheck.deid.actions.keyed import sealed_text, unsealed_text
from coatcheck.deid.actions.lookup import Lookup
from coatcheck.deid.actions.numbers import BINARY
from coatcheck.deid.charsets import decode, encodings_of
from coatcheck.deid.pseudonyms import pseudonym
from coatcheck.deid.settings import SettingError
from coatcheck.errors import Refused
from coatcheck.reasons import Reason
from tests.support import SECRET, SUBJECT
from tests.unit.test_texts import SETS, assert_legal

MAKER = Maker(frozenset({"trial"}), Path("/"))
PAIRS = (("Ward 7", "Ward"), ("20040101", "20050101"), ("5", "6"), ("1.5", "2.5"), ("Müller", "Möller 山"))


def seal(data: bytes) -> bytes:
    return bytes(16) + data[::-1]


def context(charset: bytes = b"", *, study: str = "1.2.3", tag: int = 0x00101030, little: bool = True) -> Context:
    return Context(
        secret=SECRET,
        subject=SUBJECT,
        shift_days=-100,
        project="LUNG",
        variables={"trial": "T\u00e4st 1"},
        ids=Ids("MRN-1", study, "1.2.3.4", "1.2.3.4.5"),
        attributes={0x00080060: ("MR",)},
        charset=encodings_of(charset),
        little=little,
        tag=tag,
        cleaner=lambda text: text.replace("Mallory", "X"),
        masker=lambda data: data.replace(b"Mallory", b"XXXXXXX"),
        seal=seal,
    )


def made(action: str, **settings: object) -> Do:
    settings = {key.rstrip("_"): value for key, value in settings.items()}
    return KINDS[action].make(settings, MAKER)


def done(do: Do, value: bytes, vr: str = "LO", charset: bytes = b"") -> bytes | None:
    return do(value, vr, context(charset))


MADE: list[tuple[str, Do]] = [
    *((name, made(name)) for name in ("empty", "uid", "subject", "redact", "clean-text", "mask")),
    ("replace", made("replace", with_="{trial}-{Modality|lower}\\5\\20040101")),
    ("replace", made("replace", with_="5")),
    ("add", made("add", with_="20040101")),
    ("substitute", made("substitute", pattern=r"(\w)\d", with_=r"\1\1", count=2)),
    ("hash", made("hash", length=51)),
    *(("encrypt", made("encrypt", too_short=one)) for one in ("remove", "empty", "hash")),
    ("shift-dates", made("shift-dates", scope="series", days=[-365, -1], whole_weeks=True)),
    ("perturb", made("perturb", span=7.5, round_to=5)),
    ("perturb", made("perturb", proportional=0.1)),
    ("perturb", made("perturb", fixed=1e9)),
    *(("generalise", made("generalise", to=one)) for one in ("year", "month", "decade")),
    ("generalise", made("generalise", bands=5)),
    ("generalise", made("generalise", bands=0.3)),
    *(("lookup", Lookup("d", PAIRS, one)) for one in ("remove", "empty", "keep", "dummy", "refuse")),
]
PLACES = [(name, do, vr) for name, do in MADE for vr in sorted(KINDS[name].vrs)]
VALUES = (
    st.binary(max_size=80)
    | st.text(max_size=40).map(lambda text: text.encode())
    | st.sampled_from(
        [b"20040229", b"2004", b"200402-", b"20040101\\20050101", b"20040101101112.5+0100", b"045Y\\999W"]
    )
    | st.sampled_from([b"Mallory^Eve=\x1b$B;3ED\x1b(B", b"-1.5E+3\\ 12 \\", b"1.2.3\\1.2.840.10008.1.2", b"Ward 7 "])
    | st.sampled_from(list(BINARY.values())).map(lambda letter: struct.pack("<3" + letter, 1, 5, 100))
)


def legal(value: bytes, vr: str, charset: tuple[str, ...]) -> None:
    if vr in BINARY:
        assert len(value) % struct.calcsize("=" + BINARY[vr]) == 0
    elif vr in ("DA", "DT") and b"-" in value:  # A range, which a stored object does not have.
        assert dates.shift(value.decode(), 0, timed=vr == "DT") is not None
    elif vr in {*texts.LETTERS, *forms.FORMS, "AE", "CS", "UR"}:
        assert value.isascii() or decode(value, charset).encode()
        assert_legal(value, vr, charset)


@given(st.sampled_from(PLACES), VALUES, st.sampled_from(SETS), st.booleans())
def test_any_value_becomes_a_legal_one_or_is_said_to_be_impossible(
    place: tuple[str, Do, str], value: bytes, name: bytes, little: bool
) -> None:
    action, do, vr = place
    here = context(name, little=little)
    try:
        result = do(value, vr, here)
    except Refused as refused:
        assert action == "lookup"
        assert refused.reason is Reason.LOOKUP_MISS
        return

    assert result == pickle.loads(pickle.dumps(do))(value, vr, context(name, little=little))
    assert hash(do) == hash(pickle.loads(pickle.dumps(do)))
    partial = action == "shift-dates" and vr in ("DA", "DT", "TM")
    if result is not None and not partial:
        legal(result, vr, here.charset)


@given(st.sampled_from([do for _, do in MADE]), VALUES, st.sampled_from(["SQ", "OB", "UN", "AT", "??", "US", "DA"]))
def test_an_action_on_a_vr_that_it_is_not_for_does_no_harm(do: Do, value: bytes, vr: str) -> None:
    if isinstance(do, Lookup) and do.otherwise == "refuse":
        return
    result = done(do, value, vr)

    assert result is None or isinstance(result, bytes)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_names_itself_and_a_fallback_that_always_can_be_done(name: str) -> None:
    assert KINDS[name].name == name
    assert KINDS[name].fallback in ("remove", "empty", "dummy")


def test_a_replacement_comes_from_a_template_and_fits() -> None:
    do = made("replace", with_="{trial}-{Modality|lower}-{project}-{subject}")

    assert done(do, b"Mallory", "LO", b"ISO_IR 100") == f"Täst 1-mr-LUNG-{SUBJECT}".encode("latin-1")
    assert done(do, b"Mallory", "CS") == b"TAST 1_MR_LUNG_S"
    assert done(do, b"Mallory", "DA") is None
    assert done(made("replace", with_="5\\7"), b"", "US") == b"\5\0\7\0"
    assert made("replace", with_="5\\7")(b"", "US", context(little=False)) == b"\0\5\0\7"
    assert done(made("replace", with_="65536"), b"", "US") is None
    assert done(made("replace", with_="ORIGINAL\\PRIMARY"), b"", "CS") == b"ORIGINAL\\PRIMARY"
    assert KINDS["replace"].varies(do) == {"attributes"}
    assert KINDS["replace"].varies(made("replace", with_="{trial}")) == frozenset()


def test_a_substitution_keeps_groups_and_stays_in_its_value() -> None:
    do = made("substitute", pattern=r"(?P<what>\w+) by .*", with_=r"\g<what>")

    assert done(do, b"T1 by Mallory\\T2 by Eve ") == b"T1\\T2"
    assert done(made("substitute", pattern="a", with_="b", count=1), b"aa\\aa") == b"ba\\ba"


def test_a_hash_is_keyed_and_the_same_in_every_character_set() -> None:
    do = made("hash", length=20)
    first = done(do, "Müller ".encode("latin-1"), "LO", b"ISO_IR 100")

    assert first == done(do, "Müller".encode(), "LO", b"ISO_IR 192") != done(do, b"Muller")
    assert first is not None and len(first) == 20
    assert done(do, "Müller".encode(), "SH", b"ISO_IR 192") == first[:16]
    assert done(do, b"") == b""


def test_what_was_encrypted_can_be_opened() -> None:
    value = done(made("encrypt"), "Müller\\Eve".encode("latin-1"), "LO", b"ISO_IR 100")

    assert value is not None
    opened = [unsealed_text(one)[16:][::-1].decode() for one in (value + b" ").decode().split("\\")]
    assert opened == ["Müller", "Eve"]


@pytest.mark.parametrize(("too_short", "value"), [("remove", None), ("empty", b"")])
def test_what_is_too_long_to_encrypt_is_removed_or_emptied(too_short: str, value: bytes | None) -> None:
    do = made("encrypt", too_short=too_short)

    assert done(do, b"1", "SH") == value
    assert done(do, b"x" * 33) == value
    assert done(do, b"x" * 32) not in (None, b"")


def test_without_a_key_nothing_is_encrypted_cleaned_or_masked() -> None:
    bare = Context(secret=SECRET, subject=SUBJECT, shift_days=-1)

    for action in ("encrypt", "clean-text", "mask"):
        assert made(action)(b"Mallory", "LO", bare) is None


@given(st.binary(min_size=1, max_size=90))
def test_sealed_text_is_undone(data: bytes) -> None:
    assert unsealed_text(sealed_text(data)) == data


@pytest.mark.parametrize("text", ["", "a", "a b", "ä", "AB=", "AB\\CD", "AB+/"])
def test_what_is_no_sealed_text_is_said_to_be_none(text: str) -> None:
    with pytest.raises(ValueError, match="encrypt"):
        unsealed_text(text)


@pytest.mark.parametrize(
    ("vr", "value", "result"),
    [
        *(("DA", b"20040229", b"20040101"), ("DA", b"2004", b"20040101"), ("DA", b"2004.02.29", b"20040101")),
        *(("DA", b"20040229-20050301", b"20040101-20050101"), ("DA", b"20040229-", b"20040101-")),
        *(("DA", b"20040229\\\\20050301", b"20040101\\\\20050101"), ("DA", b"20050229", None), ("DA", b"", b"")),
        *(("DT", b"20040229101112.5+0100", b"2004"), ("DT", b"200402", b"2004"), ("DT", b"2004-2005", b"2004-2005")),
        *(("DT", b"2004-0500", b"2004"), ("DT", b"20040229-20050301", b"2004-2005"), ("DT", b"x", None)),
        *(("AS", b"095Y\\045Y", b"090Y\\045Y"), ("AS", b"95", None), ("TM", b"101112", b""), ("TM", b"x", b"")),
    ],
)
def test_what_is_redacted_keeps_the_year_and_no_great_age(vr: str, value: bytes, result: bytes | None) -> None:
    assert done(made("redact"), value, vr) == result


@pytest.mark.parametrize(
    ("settings", "vr", "value", "result"),
    [
        *(({"to": "month"}, "DA", b"20040229", b"20040201"), ({"to": "decade"}, "DA", b"20040229", b"20000101")),
        *(({"to": "month"}, "DA", b"2004", b"20040101"), ({"bands": 5}, "DA", b"20040229", b"20000101")),
        *(({"to": "month"}, "DT", b"20040229101112", b"200402"), ({"to": "month"}, "DT", b"2004", b"2004")),
        *(({"to": "month"}, "DA", b"20040229-", b"20040201-"), ({"to": "year"}, "DA", b"2004029", None)),
        *(({"to": "decade"}, "AS", b"045Y", b"040Y"), ({"bands": 5}, "AS", b"048Y\\097Y", b"045Y\\090Y")),
        *(({"to": "year"}, "AS", b"030M", b"002Y"), ({"to": "month"}, "AS", b"065D", b"002M")),
        *(({"bands": 50}, "AS", b"099Y", b"090Y"), ({"bands": 5}, "DS", b"72.3\\\\-1", b"70\\\\-5")),
        *(({"bands": 5}, "US", b"\x09\0", b"\5\0"), ({"bands": 0.5}, "DS", b"1.70", b"1.5")),
        *(({"to": "year"}, "DS", b"72", None), ({"bands": 5}, "US", b"\x09", None), ({"bands": 5}, "IS", b"x", None)),
    ],
)
def test_what_is_generalised_is_told_less_exactly(
    settings: dict[str, object], vr: str, value: bytes, result: bytes | None
) -> None:
    assert done(made("generalise", **settings), value, vr) == result


def test_dates_shift_by_the_rules_own_shift() -> None:
    do = made("shift-dates", days=-7)

    assert done(do, b"20040108\\200401", "DA") == b"20040101\\200312"
    assert done(do, b"101112", "TM") == b"101112"
    assert done(do, b"x", "DA") is None
    assert KINDS["shift-dates"].varies(do) == frozenset()
    assert KINDS["shift-dates"].varies(made("shift-dates", days=[-9, -1], scope="series")) == {"series"}


@given(st.integers(-1000, 1000), st.integers(1, 50))
def test_a_perturbed_number_stays_near_and_moves_equally_in_a_study(number: int, span: int) -> None:
    do = made("perturb", span=span)
    both = done(do, f"{number}\\{number + 10}".encode(), "IS")

    assert both is not None
    first, second = map(int, both.split(b"\\"))
    assert abs(first - number) <= span
    assert second - first == 10
    assert done(do, f"{number}.50".encode(), "DS") is not None


def test_perturbing_depends_on_study_and_attribute_only() -> None:
    do = made("perturb", span=1000)
    here = do(b"0", "DS", context())

    assert here == do(b"0", "DS", context(b"ISO_IR 192"))
    assert len({here, do(b"0", "DS", context(study="1.9")), do(b"0", "DS", context(tag=0x00101020))}) == 3


@pytest.mark.parametrize(
    ("settings", "vr", "value", "results"),
    [
        ({"fixed": 3}, "IS", b"10", {b"7", b"13"}),
        ({"fixed": 1e10}, "IS", b"10", {b"2147483647", b"-2147483648"}),
        ({"fixed": 1e10}, "US", b"\1\0", {b"\xff\xff", b"\0\0"}),
        ({"fixed": 500}, "AS", b"045Y", {b"000Y", b"090Y"}),
        ({"fixed": 2}, "AS", b"010M", {b"008M", b"012M"}),
        ({"fixed": 1, "round_to": 5}, "DS", b"70.4", {b"70"}),
        ({"fixed": 0.25}, "DS", b"1.50", {b"1.25", b"1.75"}),
        ({"fixed": 1}, "FD", struct.pack("<d", 1.5), {struct.pack("<d", 0.5), struct.pack("<d", 2.5)}),
        ({"fixed": 1}, "FD", struct.pack("<d", float("nan")), {None}),
        ({"span": 1}, "DS", b"x", {None}),
    ],
)
def test_a_perturbed_number_is_one_that_the_vr_can_hold(
    settings: dict[str, object], vr: str, value: bytes, results: set[bytes | None]
) -> None:
    assert done(made("perturb", **settings), value, vr) in results


def test_a_share_of_a_number_is_proportional() -> None:
    do = made("perturb", proportional=0.1)
    small, large = (Decimal((done(do, one, "DS") or b"").decode()) for one in (b"1.000000", b"1000.000"))

    assert abs(small * 1000 - large) < Decimal("0.01")
    assert Decimal("0.9") <= small <= Decimal("1.1") != small


def test_cleaning_goes_through_the_text_and_masking_through_the_bytes() -> None:
    assert done(made("clean-text"), b"T1 Mallory\\Mallory") == b"T1 X\\X"
    assert done(made("mask"), b"\0\1Mallory\xff", "OB") == b"\0\1XXXXXXX\xff"


def list_of(folder: Path, content: str, **settings: object) -> Do:
    (folder / "list.csv").write_text(content, encoding="utf-8")
    return KINDS["lookup"].make({"list": "list.csv", **settings}, Maker(frozenset(), folder))


@pytest.mark.parametrize(
    ("otherwise", "value"),
    [("remove", None), ("empty", b"A\\"), ("keep", b"A\\Eve"), ("dummy", b"A\\" + pseudonym(SECRET, "Eve").encode())],
)
def test_a_list_says_what_a_value_becomes(tmp_path: Path, otherwise: str, value: bytes | None) -> None:
    do = list_of(tmp_path, 'old,new\n"Ward 7 ", A\n\nWard 7,A\n5,6\n', otherwise=otherwise)

    assert done(do, b" Ward 7\\Eve") == value
    assert done(do, b"\5\0", "US") == b"\6\0"
    assert "Ward" not in repr(do)


def test_a_value_that_has_to_be_on_a_list_and_is_not_refuses_the_file(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        done(list_of(tmp_path, "old,new\nWard 7,A\n", otherwise="refuse"), b"Mallory")

    assert refused.value.reason is Reason.LOOKUP_MISS
    assert "Mallory" not in str(refused.value)
    assert "0010,1030" in refused.value.detail


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "begin with its columns"),
        ("Mallory,Eve\n", "begin with its columns"),
        ("old,new\nMallory\n", "line 2"),
        ("old,new\na,b\n ,Mallory\n", "line 3"),
        ("old,new\nMallory,b\nMallory,c\n", "line 3"),
        ('old,new\na,b\n"Mallory', "line 3"),
        ("old,new\n" + "Mallory\n" * 9, "line 2, 3, 4, 5, 6 …"),
    ],
)
def test_a_bad_list_is_an_error_that_quotes_nothing(tmp_path: Path, content: str, place: str) -> None:
    with pytest.raises(SettingError, match=place) as error:
        list_of(tmp_path, content)

    assert "Mallory" not in str(error.value)


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read"):
        KINDS["lookup"].make({"list": "none.csv"}, Maker(frozenset(), tmp_path))
    (tmp_path / "list.csv").write_bytes(b"old,new\n\xff,a\n")
    with pytest.raises(SettingError, match="not UTF-8"):
        KINDS["lookup"].make({"list": "list.csv"}, Maker(frozenset(), tmp_path))


@pytest.mark.parametrize(
    ("action", "settings"),
    [
        *(("remove", {"with": "x"}), ("replace", {}), ("replace", {"with": "a", "wit": "b"})),
        *(("substitute", {"pattern": "(", "with": ""}), ("substitute", {"pattern": "a", "with": r"\1"})),
        *(
            ("substitute", {"pattern": "a", "with": r"\g<x>"}),
            ("substitute", {"pattern": "a", "with": "", "count": -1}),
        ),
        *(("hash", {"length": 3}), ("hash", {"length": 52}), ("encrypt", {"too_short": "cry"})),
        *(("perturb", {}), ("perturb", {"span": 1, "fixed": 1}), ("perturb", {"span": 0})),
        *(("perturb", {"span": 1, "round_to": -1}), ("generalise", {}), ("generalise", {"to": "week"})),
        *(("generalise", {"to": "year", "bands": 5}), ("lookup", {}), ("lookup", {"list": "a.csv", "otherwise": "x"})),
    ],
)
def test_wrong_settings_are_an_error(action: str, settings: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        KINDS[action].make(settings, MAKER)
