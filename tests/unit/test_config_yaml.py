"""Reading YAML with line numbers: whatever a file holds, the answer is a value or a list of problems."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.config import ConfigError, load
from coatcheck.config_yaml import parse


def test_values_mean_what_the_safe_loader_makes_of_them_and_keys_are_text() -> None:
    document = parse("f", b"no: yes\n2024:\n  - 1.5\n  - ~\n  - [a, 'b']\n")
    assert document.value == {"no": True, "2024": [1.5, None, ["a", "b"]]}
    assert (document.line("no"), document.line("2024"), document.line("2024", "absent")) == (1, 2, 2)
    assert document.problems == ()


def test_an_alias_that_is_used_twice_is_no_double_key() -> None:
    document = parse("f", b"a: &a {x: 1}\nb: &b {<<: *a, x: 2}\nc: *b\nd: {<<: *b, x: 3}\n")
    assert document.problems == ()
    assert document.value == {"a": {"x": 1}, "b": {"x": 2}, "c": {"x": 2}, "d": {"x": 3}}


def test_aliases_cannot_make_a_short_text_endless() -> None:
    lines = [b"l0: &l0 [x, x]"] + [b"l%d: &l%d [*l%d, *l%d, *l%d]" % (n, n, n - 1, n - 1, n - 1) for n in range(1, 19)]
    document = parse("f", b"\n".join(lines))
    assert document.value is None
    assert "nested too deeply" in document.problems[0].what


@pytest.mark.parametrize(
    "content",
    [
        b"projects: [\n",
        b"\xff\xfe\x00",
        b"a: \x01",
        b"\xe9: x",
        b"a: !!python/object:os.system x",
        b"- a\n- b\n",
        b"text",
        b"a: 1\n---\nb: 2\n",
        b"a: &a [*a]",
        b"a: &a {<<: *a}",
        b"[" * 5000,
        b"projects: {lung: 3, 'x y': [1], {a: b}: c}",
        b"projects: 7\ndefaults: [x]",
        b"state_dir: 2024-99-99\nprojects:",
        b"",
    ],
)
def test_whatever_the_file_holds_the_answer_is_a_list_of_problems(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "coatcheck.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "coatcheck.yaml")
    assert all(problem.line >= 1 and problem.what and problem.hint for problem in caught.value.problems)


@given(st.text(alphabet="ab:- \n[]{}#&*!|>'\"%@,?<\t0", max_size=40))
def test_reading_yaml_never_raises(text: str) -> None:
    document = parse("f", text.encode())
    assert all(1 <= problem.line <= text.count("\n") + 2 for problem in document.problems)
