"""What repeats from file to file. The headers of a Series are the same but for a dozen elements; those that were the
same last time are recognised by comparing bytes, and what was made of them then is used again.

A Data Set is cut into parts at the borders of its top-level elements: runs that have been the same in every file so
far, and single elements that vary. A part's ``memo`` belongs to whoever walks, and may depend on nothing but the
part's bytes, the tags before it, the character set, private creators, and what is fixed for all files of the walk. A
file that does not fit is cut anew, element by element, so that each gives what it would give without this module.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import Generic, TypeVar

from coatcheck.deid.elements import Element, Encoding, Ends, Window, elements
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

T = TypeVar("T")
CHARACTER_SET = 0x00080005
RUN_MAX = 1 << 15  # bytes of one run
REMEMBERED_MAX = 1 << 17  # bytes of all runs: what is longer varies, so that memory does not grow with a header


class Part(Generic[T]):
    """Elements that stand side by side: a run that repeats (``fixed`` holds its bytes), or one element that varies.

    ``found`` are the elements to work on; it is empty where a ``memo`` is left from an earlier file.
    """

    __slots__ = ("ends", "fixed", "found", "memo", "tags")

    def __init__(self, found: Sequence[Element], fixed: bytes | None) -> None:
        begin = found[0].start
        self.found = found
        self.fixed = fixed
        self.tags = tuple(one.tag for one in found)
        self.ends = tuple(one.end - begin for one in found)  # where each element ends in the run
        self.memo: T | None = None


class Repeats(Generic[T]):
    """Walks the Data Sets of many files, one after the other, and remembers what repeats."""

    def __init__(self) -> None:
        self._parts: list[Part[T]] = []
        self._encoding: Encoding | None = None

    def walk(self, window: Window, start: int, encoding: Encoding, ends: Ends) -> Iterator[Part[T]]:
        """The parts of one Data Set, in order; an element with pixels is the last. Raises Refused as `elements` does.

        A part that comes with ``found`` and is ``fixed`` may be given a memo, before the next part is asked for.
        """
        known = self._parts if encoding == self._encoding else []
        self._parts, self._encoding = [], encoding  # a file that is refused leaves nothing behind
        walk = _Walk[T](window, start, encoding, ends)
        made: list[Part[T]] = []
        for part in walk.parts(known):
            made.append(part)
            if part.tags[0] in PIXEL_TAGS:
                self._parts = made  # The caller may go now.
            yield part
            part.found = ()
        self._parts = made


class _Walk(Generic[T]):
    """One file on its way past the parts that are known."""

    def __init__(self, window: Window, start: int, encoding: Encoding, ends: Ends) -> None:
        self._window = window
        self._pos = start
        self._encoding = encoding
        self._ends = ends
        self._room = REMEMBERED_MAX

    def parts(self, known: list[Part[T]]) -> Iterator[Part[T]]:
        """The file's parts: known ones while it fits, then new ones."""
        for part in known:
            if part.fixed is None or not self._repeats(part):
                fits = yield from self._vary(part)
                if not fits:
                    break
                continue
            self._pos += len(part.fixed)
            self._room -= len(part.fixed)
            yield part
        yield from self._fresh(self._elements())

    def _repeats(self, part: Part[T]) -> bool:
        assert part.fixed is not None
        end = self._pos + len(part.fixed)
        # Without a memo there is nothing to use again: the file that made the part was refused in the middle of it.
        return part.memo is not None and end <= self._window.size and self._window.bytes(self._pos, end) == part.fixed

    def _vary(self, part: Part[T]) -> Generator[Part[T], None, bool]:
        """Takes the elements of a known part one by one: those that are the same stay together, others vary.

        Gives False where the file goes another way, or text means something else from here on.
        """
        run: list[Element] = []
        begin = 0
        for tag, end in zip(part.tags, part.ends, strict=True):
            found = next(self._elements(), None)
            if found is None or found.tag != tag or tag in PIXEL_TAGS:
                yield from self._together(run)
                return False
            alike = part.fixed is not None and found.end - found.start == end - begin
            same = alike and part.fixed is not None and self._bytes(found) == part.fixed[begin:end]
            begin = end
            self._pos = found.end
            if same:
                run.append(found)
                continue
            yield from self._together(run)
            run = []
            yield Part([found], None)
            if tag == CHARACTER_SET or (tag & 0x10000 and tag & 0xFFFF <= 0xFF):  # a private creator
                return False
        yield from self._together(run)
        return True

    def _elements(self) -> Iterator[Element]:
        return elements(self._window, self._pos, self._window.size, self._encoding, self._ends)

    def _bytes(self, found: Element) -> bytes:
        return self._window.bytes(found.start, found.end)

    def _together(self, run: list[Element]) -> Iterator[Part[T]]:
        """A run as one part, if there is room to remember it."""
        if not run:
            return
        length = run[-1].end - run[0].start
        if length > self._room:
            for found in run:
                yield Part([found], None)
            return
        self._room -= length
        yield Part(run, self._window.bytes(run[0].start, run[-1].end))

    def _fresh(self, rest: Iterator[Element]) -> Iterator[Part[T]]:
        """Elements of which nothing is known: taken for runs, until another file tells which of them vary."""
        run: list[Element] = []
        for found in rest:
            if found.tag in PIXEL_TAGS:
                yield from self._together(run)
                yield Part([found], None)
                return
            if run and found.end - run[0].start > RUN_MAX:
                yield from self._together(run)
                run = []
            if found.end - found.start > RUN_MAX:
                yield Part([found], None)
            else:
                run.append(found)
        yield from self._together(run)
        if self._pos in self._ends:
            raise Refused(Reason.MALFORMED)  # An item's delimiter outside of any item would hide what follows it.
