"""What repeats from file to file. The headers of a Series are the same but for a dozen elements; those that were the
same last time are recognised by comparing bytes, and what was made of them then is used again.

A Data Set is cut into parts at the borders of its top-level elements: runs that have been the same in every file so
far, and single elements that vary. A part's ``memo`` belongs to whoever walks, and may depend on nothing but the
part's bytes, the tags before it, the character set, private creators, and what is fixed for all files of the walk. A
file that does not fit is cut anew, element by element, so that each gives what it would give without this module.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from struct import Struct
from typing import Any, Final, Generic, NamedTuple, TypeVar

from coatcheck.deid.elements import UNDEFINED, Element, Encoding, Ends, Window, elements
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.errors import Refused
from coatcheck.reasons import Reason

T = TypeVar("T")
CHARACTER_SET = 0x00080005
_SHORT: Final = {True: Struct("<H").unpack_from, False: Struct(">H").unpack_from}
_LONG: Final = {True: Struct("<L").unpack_from, False: Struct(">L").unpack_from}
RUN_MAX = 1 << 15  # bytes of one run
REMEMBERED_MAX = 1 << 17  # bytes of all runs: what is longer varies, so that memory does not grow with a header
REMEMBERED_INSIDE_MAX = 1 << 13  # of the runs of one item,
KINDS_MAX = 8  # a Series is of one
ALIKE = 4  # items of a sequence behind the first few are taken for alike
_HEADER_MAX = 12  # bytes of an element's header
INSIDE_MAX = 128  # and so many items are remembered
_LAST: Final = {True: PIXEL_TAGS, False: frozenset[int]()}  # which elements end a walk: of a file, of an item


class Form(NamedTuple):
    """How an element's header is read: it begins with ``head``, its length stands at ``place``, its value behind."""

    tag: int
    vr: str
    head: bytes
    length: Callable[[bytes, int], tuple[int]]
    place: int
    value: int


class Part(Generic[T]):
    """Elements that stand side by side: a run that repeats (``fixed`` holds its bytes), or one element that varies
    (``form`` is how its header is read in the next file). ``start`` is where it begins in this file.

    ``found`` are the elements to work on; it is empty where a ``memo`` is left from an earlier file.
    """

    __slots__ = ("ends", "fixed", "form", "found", "memo", "start", "tags")

    def __init__(self, found: Sequence[Element], fixed: bytes | None, form: Form | None = None) -> None:
        begin = found[0].start
        self.start = begin
        self.found = found
        self.fixed = fixed
        self.form = form
        self.tags = tuple(one.tag for one in found)
        self.ends = tuple(one.end - begin for one in found)  # where each element ends in the run
        self.memo: T | None = None

    def elements(self, window: Window, encoding: Encoding, ends: Ends) -> Sequence[Element]:
        """The elements to work on, also where a memo is left but does not hold for this file."""
        if self.found or self.fixed is None:
            return self.found
        return tuple(elements(window, self.start, self.start + len(self.fixed), encoding, ends))


class Repeats(Generic[T]):
    """Walks the Data Sets of many files, one after the other, and remembers what repeats.

    What varies may be a sequence: then the Data Sets of its items are walked in the same way, by :meth:`inside`.
    """

    def __init__(self, around: Repeats[T] | None = None) -> None:
        self._depth: int = around._depth + 1 if around else 0
        self._left: list[int] = around._left if around else [INSIDE_MAX]  # of all Data Sets inside, however deep
        self._parts: dict[Encoding, list[Part[T]]] = {}
        self._inside: dict[object, Repeats[T]] = {}
        self.sound: Iterable[Part[T]] | None = None  # the parts, if whoever walks found nothing wrong with their tags

    def inside(self, key: object) -> Repeats[T] | None:
        """What walks the items of one sequence: those with one ``key``, which tells all that they have in common.

        None where there are more of them than are remembered.
        """
        known = self._inside.get(key)
        if known is None and self._left[0]:
            self._left[0] -= 1
            known = self._inside[key] = Repeats[T](self)
        return known

    def walk(
        self, window: Window, start: int, encoding: Encoding, ends: Ends, end: int | None = None
    ) -> Iterable[Part[T]]:
        """The parts of one Data Set, in order. Raises Refused as `elements` does.

        It goes to ``end``, or to that of the file, where an element with pixels is the last.
        A part that comes with ``found`` and is ``fixed`` may be given a memo, before the next part is asked for.
        """
        known = self._parts.get(encoding, [])
        if known and _stand(known, window, start, end):
            return known
        self._parts.pop(encoding, None)  # a file that is refused leaves nothing behind
        return _Walk[T](window, start, encoding, ends, self._depth, end).parts(known, self._parts)


def _stand(known: Sequence[Part[Any]], window: Window, start: int, end: int | None) -> bool:
    """Whether all the known parts stand in the bytes that the window holds, and nothing else: the usual case."""
    limit = window.size if end is None else end
    if not window.base <= start < window.base + len(window.buf):
        window.need(start, min(_HEADER_MAX, limit - start))
    buf, base = window.buf, window.base
    size, offset = len(buf), start - base
    for part in known:
        part.start = offset + base
        fixed, form = part.fixed, part.form
        if fixed is not None:
            if part.memo is None or not buf.startswith(fixed, offset):
                return False
            offset += len(fixed)
        elif form is None or offset + form.value > size or not buf.startswith(form.head, offset):
            return False
        else:
            (length,) = form.length(buf, offset + form.place)
            value = part.start + form.value
            stop = value + length
            if length == UNDEFINED or stop > limit:
                return False
            part.found = (Element(form.tag, form.vr, part.start, value, stop, stop),)
            offset = stop - base
    return offset + base == limit or (end is None and known[-1].tags[0] in PIXEL_TAGS)


class Shelf(Generic[T]):
    """What repeats among files of one kind, for some kinds at a time: the one that came first goes first."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, Repeats[T]] = {}

    def of(self, kind: Hashable) -> Repeats[T]:
        """What repeats among files of a kind."""
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= KINDS_MAX:
                del self._kinds[next(iter(self._kinds))]
            known = self._kinds[kind] = Repeats[T]()
        return known


class _Walk(Generic[T]):
    """One file on its way past the parts that are known."""

    def __init__(self, window: Window, start: int, encoding: Encoding, ends: Ends, depth: int, end: int | None) -> None:
        self._window = window
        self._pos = start
        self._end = window.size if end is None else end
        self._encoding = encoding
        self._ends = ends
        self._depth = depth
        self._fits = True
        self._last = _LAST[end is None]
        self._room = REMEMBERED_MAX if end is None else REMEMBERED_INSIDE_MAX

    def parts(self, known: Sequence[Part[T]], remembered: dict[Encoding, list[Part[T]]]) -> Iterator[Part[T]]:
        """The file's parts: known ones while it fits, then new ones. They are remembered once it was walked whole."""
        made: list[Part[T]] = []
        pixels = known[-1] if known and known[-1].tags[0] in self._last else None
        for part in known:
            if self._again(part):
                made.append(part)
                if part is pixels:
                    remembered[self._encoding] = made  # The caller may go now.
                yield part
                part.found = ()
                if part is pixels:
                    return
                continue
            for new in self._vary(part):
                made.append(new)
                yield new
                new.found = ()
            if not self._fits:
                break
        for new in self._fresh() if self._pos < self._end else ():
            made.append(new)
            if new.tags[0] in self._last:
                remembered[self._encoding] = made  # The caller may go now.
            yield new
            new.found = ()
        remembered[self._encoding] = made

    def _again(self, part: Part[T]) -> bool:
        """Whether a known part stands here: a run as it was and with a memo, or an element of the form that it had."""
        window, pos, fixed = self._window, self._pos, part.fixed
        buf, offset = window.buf, pos - window.base
        if fixed is None:
            form = part.form
            if form is None or pos + form.value > self._end:
                return False
            if offset < 0 or offset + form.value > len(buf):
                window.need(pos, form.value)
                buf, offset = window.buf, 0
            if not buf.startswith(form.head, offset):
                return False
            (length,) = form.length(buf, offset + form.place)
            value = pos + form.value
            end = value + length
            if length == UNDEFINED or end > self._end:
                return False
            part.found = (Element(form.tag, form.vr, pos, value, end, end),)
        else:
            end = pos + len(fixed)
            # A place before the buffer would count from its end.
            inside = offset >= 0 and buf.startswith(fixed, offset)
            if part.memo is None or end > self._end or not (inside or window.bytes(pos, end) == fixed):
                return False
            self._room -= len(fixed)
        part.start, self._pos = pos, end
        return True

    def _vary(self, part: Part[T]) -> Iterator[Part[T]]:
        """Takes the elements of a known part one by one: those that are the same stay together, others vary.

        The rest of the known parts ``_fits``, unless the file goes another way or text means something else from here.
        """
        self._fits = False
        run: list[Element] = []
        begin = 0
        for tag, end in zip(part.tags, part.ends, strict=True):
            found = next(self._elements(), None)
            if found is None or found.tag != tag or tag in self._last:
                yield from self._together(run)
                return
            alike = part.fixed is not None and found.end - found.start == end - begin
            same = alike and part.fixed is not None and self._bytes(found) == part.fixed[begin:end]
            begin = end
            self._pos = found.end
            if same:
                run.append(found)
                continue
            yield from self._together(run)
            run = []
            yield Part([found], None, self._form(found))
            if tag == CHARACTER_SET or (tag & 0x10000 and tag & 0xFFFF <= 0xFF):  # a private creator
                return
        yield from self._together(run)
        self._fits = True

    def _form(self, found: Element) -> Form | None:
        """How the header of an element is read again; None for one behind which text or tags mean something else."""
        if found.tag == CHARACTER_SET or (found.tag & 0x10000 and found.tag & 0xFFFF <= 0xFF):
            return None
        little, explicit = self._encoding.little, self._encoding.explicit
        value = found.value - found.start
        short, place = explicit and value == 8, 6 if explicit and value == 8 else value - 4
        head = self._window.bytes(found.start, found.start + (6 if explicit else 4))
        return Form(found.tag, found.vr, head, (_SHORT if short else _LONG)[little], place, value)

    def _elements(self) -> Iterator[Element]:
        return elements(self._window, self._pos, self._end, self._encoding, self._ends, self._depth)

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

    def _fresh(self) -> Iterator[Part[T]]:
        """Elements of which nothing is known: taken for runs, until another file tells which of them vary."""
        run: list[Element] = []
        for found in self._elements():
            if found.tag in self._last:
                yield from self._together(run)
                yield Part([found], None, self._form(found))
                return
            if run and found.end - run[0].start > RUN_MAX:
                yield from self._together(run)
                run = []
            if found.end - found.start > RUN_MAX:
                yield Part([found], None)
            else:
                run.append(found)
        yield from self._together(run)
        proper = (self._end, self._end - 8) if self._depth else (self._end,)
        if self._ends.get(self._pos, self._end) not in proper:
            raise Refused(Reason.MALFORMED)  # An item's delimiter where none belongs would hide what follows it.
