"""What the facts of one file have in common with those of the files that were read before it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from coatcheck.deid.elements import Encoding
from coatcheck.deid.facts import Facts, without_maker
from coatcheck.deid.repeats import Part, Repeats
from coatcheck.model import Identity


class Seen(NamedTuple):
    """What one part of a Data Set said, how text is to be read from its end on, and the last code before and in it."""

    facts: Facts
    charset: tuple[str, ...]
    before: bytes
    code: bytes


class Same:
    """What all files of one encoding had in common so far: the ``parts`` of the last one's top level, its ``runs`` that
    repeat, at any depth, and what all these runs said together. Without ``parts`` there was no last one.
    """

    def __init__(self) -> None:
        self.parts: list[Part[Seen]] | None = None
        self.runs: list[Part[Seen]] = []
        self.facts = Facts()
        self._common: dict[str, frozenset[Identity]] = {}
        self._tags: dict[frozenset[int], frozenset[int]] = {}

    def holds(self, parts: list[Part[Seen]], runs: list[Part[Seen]]) -> bool:
        """Whether a file has the very same parts as the last one."""
        return parts == self.parts and runs == self.runs

    def remember(self, runs: list[Part[Seen]]) -> None:
        """Takes what all these runs said."""
        self.parts, self.facts = None, Facts()  # who is refused is no last one
        self._common.clear()
        self._tags.clear()
        for run in runs:
            if run.memo is not None:
                self.facts.add(run.memo.facts)

    def common(self, maker: str) -> frozenset[Identity]:
        """Who is named in the runs, but for the maker of the device; one object for many files."""
        if maker not in self._common:
            self._common = {maker: without_maker(maker, self.facts.own)}
        return self._common[maker]

    def tags(self, own: frozenset[int]) -> frozenset[int]:
        """The tags in the runs and those of what varies; one object for many files."""
        if own not in self._tags:
            self._tags = {own: own.union(self.facts.seen)}
        return self._tags[own]


class Known:
    """What repeats in the files that were read before."""

    def __init__(self) -> None:
        self.repeats = Repeats[Seen]()
        self.same: defaultdict[Encoding, Same] = defaultdict(Same)
