"""A 5 by 7 pixel font, one integer a row, to burn text into pixels and overlays."""

from __future__ import annotations

from collections.abc import Iterator

_ROWS = """
A 14 17 17 31 17 17 17|B 30 17 17 30 17 17 30|C 14 17 16 16 16 17 14|D 30 17 17 17 17 17 30|E 31 16 16 30 16 16 31
F 31 16 16 30 16 16 16|G 14 17 16 23 17 17 15|H 17 17 17 31 17 17 17|I 14 4 4 4 4 4 14|J 7 2 2 2 2 18 12
K 17 18 20 24 20 18 17|L 16 16 16 16 16 16 31|M 17 27 21 21 17 17 17|N 17 25 21 19 17 17 17|O 14 17 17 17 17 17 14
P 30 17 17 30 16 16 16|Q 14 17 17 17 21 18 13|R 30 17 17 30 20 18 17|S 15 16 16 14 1 1 30|T 31 4 4 4 4 4 4
U 17 17 17 17 17 17 14|V 17 17 17 17 17 10 4|W 17 17 17 21 21 27 17|X 17 17 10 4 10 17 17|Y 17 17 10 4 4 4 4
Z 31 1 2 4 8 16 31|0 14 17 19 21 25 17 14|1 4 12 4 4 4 4 14|2 14 17 1 6 8 16 31|3 30 1 1 14 1 1 30
4 2 6 10 18 31 2 2|5 31 16 30 1 1 17 14|6 6 8 16 30 17 17 14|7 31 1 2 4 8 8 8|8 14 17 17 14 17 17 14
9 14 17 17 15 1 2 12|- 0 0 0 31 0 0 0|/ 1 1 2 4 8 16 16|: 0 4 0 0 0 4 0|^ 4 10 17 0 0 0 0|. 0 0 0 0 0 12 12
"""
_GLYPHS = {
    letter: tuple(int(row) for row in rows)
    for letter, *rows in (glyph.split() for glyph in _ROWS.strip().replace("\n", "|").split("|"))
}
_BLANK = (0,) * 7
HEIGHT = 7


def dots(text: str) -> Iterator[tuple[int, int]]:
    """The (x, y) of each dot of the text, from its upper left corner; what the font lacks is blank."""
    for position, letter in enumerate(text.upper()):
        for y, row in enumerate(_GLYPHS.get(letter, _BLANK)):
            for x in range(5):
                if row >> (4 - x) & 1:
                    yield position * 6 + x, y
