"""The list of subjects: what it means, and everything that is wrong in it, without a value."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.config_subjects import Entry, Spelling
from coatcheck.problems import Place, Problem
from coatcheck.subject_list import read_list

PLACE = Place("coatcheck.yaml", 9)
HEAD = "patient_id,subject,date_shift_days\n"


def read(
    folder: Path, content: str | bytes, spelling: Spelling | None = None
) -> tuple[dict[str, Entry], list[Problem]]:
    file = folder / "subjects.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_list(file, spelling or Spelling(), PLACE, "subjects.file")


def lines(folder: Path, content: str | bytes, spelling: Spelling | None = None) -> dict[int, str]:
    _, problems = read(folder, content, spelling)
    assert all(problem.hint and problem.file == str(folder / "subjects.csv") for problem in problems)
    return {problem.line: problem.what for problem in problems}


def test_a_list_is_read_by_normalised_id(tmp_path: Path) -> None:
    content = '\ufeffPatient_ID , subject,date_shift_days\r\n" 47 11",LUNG-1,-42\r\n\r\nx,LUNG-2,\r\n'
    entries, problems = read(tmp_path, content)
    assert not problems
    assert entries == {"4711": Entry("LUNG-1", -42), "x": Entry("LUNG-2", None)}


def test_columns_may_come_in_any_order_and_the_shift_may_be_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "subject,patient_id\nA,1\n") == ({"1": Entry("A", None)}, [])
    assert read(tmp_path, "patient_id,subject\n") == ({}, [])


def test_a_list_with_issuers_tells_equal_ids_apart(tmp_path: Path) -> None:
    content = "patient_id,issuer,subject\n7,A,S1\n7,B,S2\n"
    spelling = Spelling(issuer=True)
    assert read(tmp_path, content, spelling)[0] == {
        spelling.key("7", "A"): Entry("S1", None),
        spelling.key("7", "B"): Entry("S2", None),
    }
    assert list(lines(tmp_path, content)) == [1]


@pytest.mark.parametrize(
    ("row", "word"),
    [
        ("Doe1,,", "subject is missing"),
        (",LUNG-1,", "Patient ID is missing"),
        ("Doe1,.LUNG,", "cannot be used"),
        ("Doe1,-LUNG,", "cannot be used"),
        ("Doe1,LUNG/1,", "cannot be used"),
        ("Doe1,LUNG 1,", "cannot be used"),
        ("Doe1,Lüng,", "cannot be used"),
        ("Doe1,LUNG.,", "cannot be used"),
        (f"Doe1,{'L' * 65},", "cannot be used"),
        ("Doe1,LUNG-1,0", "changes no date"),
        ("Doe1,LUNG-1,soon", "whole number"),
        ("Doe1,LUNG-1,1.5", "whole number"),
        ("Doe1,LUNG-1,40000", "whole number"),
        ("Doe1,LUNG-1", "3 cells"),
        ("Doe1,LUNG-1,,", "3 cells"),
        ("Doe1,doe1,", "Patient ID in it"),
        ("Doe1,TRIAL-DOE1,", "Patient ID in it"),
    ],
)
def test_each_mistake_is_told_with_its_line_and_no_value(tmp_path: Path, row: str, word: str) -> None:
    _, problems = read(tmp_path, f"{HEAD}first,OTHER-1,\n{row}\n")
    [problem] = problems
    assert problem.line == 3
    assert word in problem.what
    assert not any(value in str(problem) for value in ("Doe1", "DOE1", "soon", "40000"))


def test_a_subject_may_have_64_characters_and_a_short_id_in_it(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEAD}Doe1,{'L' * 64},\n7,LUNG-0007,\n")[1] == []


def test_what_stands_twice_is_told_in_whatever_spelling(tmp_path: Path) -> None:
    content = f"{HEAD}Doe-1,LUNG-1,\n Doe -1,LUNG-2,\nDoe-2,lung-1,\n"
    assert lines(tmp_path, content) == {
        3: "this Patient ID stands in line 2 already, in this spelling or another",
        4: "this subject stands in line 2 already",
    }
    assert not lines(tmp_path, f"{HEAD}ab,S1,\nAB,S2,\n")
    assert list(lines(tmp_path, f"{HEAD}ab,S1,\nAB,S2,\n", Spelling(ignore_case=True))) == [3]


def test_all_mistakes_are_told_at_once_up_to_a_limit(tmp_path: Path) -> None:
    assert list(lines(tmp_path, f"{HEAD}a,,\nb,LUNG-1,0\n\n,LUNG-2,\n")) == [2, 3, 5]
    assert len(read(tmp_path, HEAD + "x,,\n" * 1000)[1]) == 50


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", 1),
        (b"id,subject\n1,A\n", 1),
        (b"patient_id;subject\n1;A\n", 1),
        (b"patient_id,subject,subject\n1,A,A\n", 1),
        (b"patient_id,subject,age\n1,A,7\n", 1),
        (b"patient_id,subject\n1,A\nM\xfcller,B\n", 3),
        (b'patient_id,subject\n1,A\n"2,B\n', 3),
        (b'patient_id,subject\n"1\n",A\n2,\n', 4),
    ],
)
def test_a_file_that_is_no_such_list_is_told_with_the_line(tmp_path: Path, content: bytes, line: int) -> None:
    assert list(lines(tmp_path, content)) == [line]


def test_a_missing_list_is_told_where_the_configuration_names_it(tmp_path: Path) -> None:
    entries, [problem] = read_list(tmp_path / "none.csv", Spelling(), PLACE, "projects.lung.subjects.file")
    assert (entries, problem.file, problem.line) == ({}, "coatcheck.yaml", 9)
    assert "No such file" in problem.what


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_told(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    entries, problems = read(tmp_path_factory.getbasetemp(), b"patient_id,subject\n" + content)
    assert all(problem.line >= 1 for problem in problems)
    assert problems or all(entries)
