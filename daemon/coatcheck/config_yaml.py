"""YAML read with line numbers: plain values, the line of each key, and what is wrong, all at once.

PyYAML's safe loader decides what a value means. Keys are always taken as text, so that a project may be called ``no``
or ``2024``; a key that stands twice is a problem, where PyYAML would silently take the last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import yaml

from coatcheck.problems import Problem

KeyPath = tuple[str, ...]

_MOST_NODES: Final = 100_000  # aliases can make a short text endless
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What one YAML file says: ``value`` in plain types, ``lines`` of its keys (from 1), and its ``problems``."""

    file: str
    value: object
    lines: Mapping[KeyPath, int]
    problems: tuple[Problem, ...]

    def line(self, *path: str) -> int:
        """The line of a key, or of the nearest key around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def parse(file: str, content: bytes) -> Document:
    """Read YAML. Never raises for what is in it: ``problems`` says what is wrong, ``value`` is what could be read."""
    reading = _Reading(file)
    try:
        value = reading.read(content)
    except yaml.YAMLError as error:
        reading.complain(_line_of(error, content), "", _text_of(error), "mend the YAML here, or just above this line")
        value = None
    return Document(file=file, value=value, lines=reading.lines, problems=tuple(reading.problems))


@dataclass(slots=True)
class _Reading:
    file: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    nodes: int = 0
    checked: set[int] = field(default_factory=set)  # an aliased node is met more than once

    def complain(self, line: int, key: str, what: str, hint: str) -> None:
        self.problems.append(Problem(file=self.file, line=line, key=key, what=what, hint=hint))

    def read(self, content: bytes) -> object:
        loader = yaml.SafeLoader(content)
        try:
            root = loader.get_single_node()
            return None if root is None else self.value(loader, root, ())
        except RecursionError:
            raise yaml.YAMLError("nested too deeply") from None
        finally:
            loader.dispose()

    def value(self, loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath) -> object:
        self.nodes += 1
        if self.nodes > _MOST_NODES or len(path) > _DEEPEST:
            raise yaml.YAMLError("nested too deeply")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(loader, node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(loader, item, (*path, str(place))) for place, item in enumerate(node.value)]
        return self.scalar(loader, node, path)

    def mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: KeyPath) -> dict[str, object]:
        if id(node) not in self.checked:
            self.checked.add(id(node))
            self.find_doubles(node, path)
        loader.flatten_mapping(node)  # merge keys (<<), with the keys that stand here last, so that they win
        result = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.complain(_line(key), ".".join(path), "a key must be a plain word", "write `name: value`")
                continue
            self.lines[*path, key.value] = _line(key)
            result[key.value] = self.value(loader, value, (*path, key.value))
        return result

    def find_doubles(self, node: yaml.MappingNode, path: KeyPath) -> None:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                what = f"this key stands here a second time, the first is in line {seen[key.value]}"
                self.complain(_line(key), ".".join((*path, key.value)), what, "remove one of the two")
            seen.setdefault(key.value, _line(key))

    def scalar(self, loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath) -> object:
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError):  # ValueError: 2024-13-45 looks like a date and is none
            self.complain(_line(node), ".".join(path), "this value cannot be read", "put it in double quotes")
            return None


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1 if node.start_mark else 1


def _line_of(error: yaml.YAMLError, content: bytes) -> int:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        return mark.line + 1 if mark else 1
    position = getattr(error, "position", None)  # a ReaderError counts bytes or characters: near enough for a line
    return content.count(b"\n", 0, position) + 1 if isinstance(position, int) else 1


def _text_of(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError):
        return f"not readable as YAML ({error.problem or error.context or 'unknown cause'})"
    if isinstance(error, yaml.reader.ReaderError):
        return "not readable as YAML (a character that is not UTF-8 text)"
    return f"not readable as YAML ({error})"
