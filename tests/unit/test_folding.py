from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from coatcheck.deid.folding import one_of

FEW_LETTERS = st.text("ab1.(", min_size=1, max_size=20)


@given(st.sets(FEW_LETTERS, min_size=1, max_size=30), FEW_LETTERS)
@example({"a", "ab", "abb"}, "abba")
@example({"ab" * number for number in range(1, 20)}, "ab" * 30)
def test_one_of_many_texts_is_the_longest_that_a_text_begins_with(texts: set[str], text: str) -> None:
    found = re.compile(one_of(texts)).match(text)

    wanted = max((one for one in texts if text.startswith(one)), key=len, default=None)
    assert (found[0] if found else None) == wanted


@given(st.sets(FEW_LETTERS, min_size=1, max_size=30), st.data())
def test_between_the_letters_of_one_of_many_texts_something_may_stand(texts: set[str], data: st.DataObject) -> None:
    spaced = "".join(f"{letter}{data.draw(st.sampled_from(['', '-', '--']))}" for letter in min(texts)).rstrip("-")

    found = re.compile(one_of(texts, between="-{0,2}")).match(spaced)

    assert found is not None
    assert found[0].replace("-", "").startswith(min(texts))
