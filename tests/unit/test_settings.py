"""Settings of rules: what is wrong is said with the key and what to do; what could match for ever is refused."""

from __future__ import annotations

import pickle
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.deid.settings import (
    LONGEST_SEARCHED,
    SettingError,
    checked_pattern,
    choice,
    compiled,
    days_range,
    flag,
    found,
    leftover,
    nearest,
    number,
    pattern,
    text,
    whole,
)

ANY_YAML = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_an_error_says_what_and_what_to_do_and_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(SettingError("`with` is missing", "this action needs it")))

    assert (str(error), error.what, error.hint) == (
        "`with` is missing: this action needs it",
        "`with` is missing",
        "this action needs it",
    )
    assert str(SettingError("alone")) == "alone"


def test_a_setting_of_the_right_kind_is_read() -> None:
    given_ = {"a": "x", "b": True, "c": 3, "d": 0.5, "e": [-365, -1], "f": -100, "g": "a+"}

    assert text(given_, "a") == "x"
    assert choice(given_, "a", ("x", "y")) == "x"
    assert flag(given_, "b") is True
    assert whole(given_, "c", least=3, most=3) == 3
    assert (number(given_, "c"), number(given_, "d", least=0.5, most=0.5)) == (3, 0.5)
    assert (days_range(given_, "e"), days_range(given_, "f")) == ((-365, -1), (-100, -100))
    assert pattern(given_, "g") == "a+"


@pytest.mark.parametrize("read", [text, flag, whole, number, days_range, pattern])
def test_a_setting_that_is_not_given_has_its_default_or_is_missing(read) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    assert read({}, "key", None) is None
    assert read({}, "key", "other") == "other"
    with pytest.raises(SettingError, match="`key` is missing"):
        read({}, "key")


def test_a_default_need_not_be_a_choice() -> None:
    assert choice({}, "key", ("a", "b"), "") == ""


@pytest.mark.parametrize(
    ("read", "value"),
    [
        *((text, value) for value in (1, True, None, ["a"], 1.5)),
        *((flag, value) for value in ("true", 1, None)),
        *((whole, value) for value in (True, 1.0, "1", None)),
        *((number, value) for value in (False, "1", float("nan"), float("inf"), None)),
        *((days_range, value) for value in (0, [0, 0], [1], [1, 2, 3], [-1, -5], ["a", 1], [True, 5], True, 36501)),
        *((days_range, value) for value in ([-36501, 1], None, "5", 1.5, [None, None])),
        *((pattern, value) for value in ("(", "(a+)+", 5)),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused(read, value: object) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(SettingError) as caught:
        read({"key": value}, "key", None)
    assert caught.value.hint


@given(ANY_YAML)
def test_every_reader_returns_or_says_what_is_wrong(value: object) -> None:
    for read in (text, flag, whole, number, days_range, pattern):
        try:
            read({"key": value}, "key")
        except SettingError as error:
            assert error.what
            assert error.hint


@pytest.mark.parametrize("read", [whole, number])
def test_a_number_out_of_its_bounds_is_refused(read) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    with pytest.raises(SettingError, match="`key` is too small: at least 2"):
        read({"key": 1}, "key", least=2)
    with pytest.raises(SettingError, match="`key` is too large: at most 4"):
        read({"key": 5}, "key", most=4)


def test_an_unknown_choice_is_answered_with_the_nearest() -> None:
    with pytest.raises(SettingError, match="did you mean `series`"):
        choice({"scope": "serie"}, "scope", ("study", "series"))
    with pytest.raises(SettingError, match="known are: series, study"):
        choice({"scope": "?"}, "scope", ("study", "series"))


def test_a_setting_that_is_not_known_is_named_with_the_nearest() -> None:
    leftover({"with": "x"}, "with", "count")
    leftover({})
    with pytest.raises(SettingError, match="unknown setting `cuont`: did you mean `count`"):
        leftover({"cuont": 1}, "with", "count")
    with pytest.raises(SettingError, match="unknown setting `with`: this action has no settings"):
        leftover({"with": 1})


def test_the_nearest_of_many_names_does_not_list_them_all() -> None:
    many = [f"Name{place}" for place in range(21)]

    assert nearest("zzz", many) == ""
    assert nearest("NAME7", many) == "did you mean `Name7`?"


@pytest.mark.parametrize(
    "expression",
    [
        *(
            "",
            "(?i)dose",
            ".*foo",
            "foo.*bar",
            "^.*foo.*bar",
            r"\d+(\.\d+)*",
            r"([A-Z][a-z]+)+",
            r"(\w+\s)*x",
            "(foo|far)*",
            "(MR|MG|CT)*",
            "(a{2}b{2})*c",
            "(a{60}b{60}){9}c{200}",
        ),
        *(r"(\d{1,3}\.){3}\d{1,3}", r"(\d{2})*", r"((\d{2}){3})*", "([^,]*,)*", r"(.)\1+", "(a)?(?(1)b|c)"),
        *(
            "(?<=a)b(?!c)",
            "([а-в][г-я]+)+",
            r"(?:Dr|Prof)\.?\s+\w+(?:[ -]\w+)*",
            "x" * 1000,
            "^[ab]*[bc]*",
            r"(\w+)\s+(\w+)\s+(\w+)",
            "[^,]*,[^,]*,[^,]*,x",
        ),
        *("(?>ab)+c++", "(a|b)*", "(?x: a  b )+"),
    ],
)
def test_an_expression_that_takes_no_time_worth_mentioning_is_let_pass(expression: str) -> None:
    assert checked_pattern(expression) == expression


@pytest.mark.parametrize(
    "expression",
    [
        *("(a+)+", "(a*)*", r"(.|\s)*", r"(\w+\s?)*", "(a|ab|b)*c", "(a?b?)*", "(a+ba+)+", "(?i)(a|A+)+", "(a?){30}"),
        *("(?i:([A-Z][a-z]+)+)", "([A-Za-z]+)*", r"^(\s*\w+\s*)+$", "(?=(a+)+)b", "([а-я]+)+", "(a{1,5}){10}"),
        *("(.*a){20}", "(x+x+)+y", "((a|b)+)+", "(a??)*?x", r"((\w)+)*", "(?!(a|ab|b)*c)", "(aa|a)*b", "([^x]*[^y])*"),
        *(
            "(((a)+b?)+)+",
            "(é+)+",
            "(語+)+",
            ".*foo.*bar",
            "(?m)^.*foo.*bar",
            r"^\d+.*\d+x",
            "[ab]*[bc]*b",
            "^((?:a|bc)+[^a]{2})*$",
            "(a{2}|a{3})*b",
            "((a|ab)b?){20}",
            "^.*a.*b.*?c",
            "(日|.)*",
        ),
    ],
)
def test_an_expression_that_may_take_for_ever_is_refused(expression: str) -> None:
    with pytest.raises(SettingError, match="for ever") as caught:
        checked_pattern(expression)
    assert "take one away" in caught.value.hint


@pytest.mark.parametrize("expression", ["(", "[[a]", "a{99999999999}", "*", "a" * 1001, "(?P<a>b", "\\"])
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(SettingError, match="expression"):
        checked_pattern(expression)


@given(st.text(alphabet="ab.+*?()[]{}|\\d1,^$", max_size=14), st.text(alphabet="ab1", max_size=3))
def test_what_passes_is_fast_on_long_values(expression: str, end: str) -> None:
    try:
        checked_pattern(expression)
    except SettingError:
        return
    begun = time.process_time()
    for letters in ("a", "ab", "1", "b"):
        compiled(expression).match(letters * 30 + "!" + end)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    "expression", ["((a{99}){99}){99}", ".?" * 500, "(" + "a?b" * 300 + ")*", "(" + "|".join("ab" * 30) + ")*"]
)
def test_a_long_expression_is_judged_soon(expression: str) -> None:
    begun = time.process_time()
    try:
        checked_pattern(expression)
    except SettingError as error:
        assert error.hint
    assert time.process_time() - begun < 2


def test_only_the_beginning_of_a_long_value_is_searched() -> None:
    assert found("b", "a" * (LONGEST_SEARCHED - 1) + "b")
    assert not found("b", "a" * LONGEST_SEARCHED + "b")
