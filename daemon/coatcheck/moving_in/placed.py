"""JSON, and what Python writes in its place, read with the line of each value. Nothing in the file is ever run.

Python's own parser reads both: JSON is nearly a part of Python. It is more lenient than JSON, so that comments with #
and commas at an end do no harm.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from coatcheck.moving_in.model import unreadable

_SLASH = re.compile(r"\\(.)", re.DOTALL)
_NAMES = {"true": True, "false": False, "null": None}


@dataclass(frozen=True, slots=True)
class Placed:
    """A value with its line. A mapping is a list of pairs: a key may stand twice."""

    value: object
    line: int

    def pairs(self) -> list[tuple[Placed, Placed]]:
        """The keys and values of a mapping; none for anything else."""
        return self.value if isinstance(self.value, list) and not self.items() else []

    def items(self) -> tuple[Placed, ...]:
        """The members of a list; none for anything else."""
        return self.value if isinstance(self.value, tuple) else ()

    def get(self, key: str) -> Placed | None:
        """What a mapping has under a key, whatever its case; the last where it stands twice."""
        found = [value for name, value in self.pairs() if str(name.value).casefold() == key.casefold()]
        return found[-1] if found else None

    def text(self) -> str:
        """A text, or a number as one; "" for anything else."""
        value = self.value
        return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""


@dataclass(frozen=True, slots=True)
class Name:
    """Something that Python would look up, such as a function."""

    name: str


def read_json(text: str) -> Placed:
    """A file of JSON. Raises UnreadableError."""
    plain = _SLASH.sub(lambda match: "/" if match[1] == "/" else match[0], text)
    tree = _parsed(f"({plain}\n)")
    body = tree.body[0] if len(tree.body) == 1 else None
    if not isinstance(body, ast.Expr):
        raise unreadable("this is no JSON")
    return _placed(body.value)


def read_python(text: str) -> list[tuple[Placed, Placed]]:
    """The mappings of a Python file, and what is put into one by its key, in order. Raises UnreadableError."""
    found: list[tuple[Placed, Placed]] = []
    for node in _walk(_parsed(text)):
        if isinstance(node, ast.Dict):
            found += _placed(node).pairs()
        elif isinstance(node.targets[0], ast.Subscript):
            found.append((_placed(node.targets[0].slice), _placed(node.value)))
    return found


def _walk(tree: ast.Module) -> list[ast.Dict | ast.Assign]:
    """Every statement and mapping in the order of lines; not what stands inside of a mapping."""
    inner = {
        id(below) for node in ast.walk(tree) if isinstance(node, ast.Dict) for below in ast.walk(node) if below != node
    }
    found = [node for node in ast.walk(tree) if isinstance(node, (ast.Dict, ast.Assign)) and id(node) not in inner]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _parsed(text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python will read otherwise one day
            return ast.parse(text)
    except SyntaxError as error:
        raise unreadable(
            f"line {error.lineno or 1} cannot be read", "mend it, or say what the file is with --from"
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise unreadable("this is no text that can be read") from None


def _placed(node: ast.expr) -> Placed:
    return Placed(_value(node), node.lineno)


def _value(node: ast.expr) -> object:
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return [(_placed(key), _placed(value)) for key, value in pairs if key is not None]
    if isinstance(node, (ast.List, ast.Tuple)):
        return tuple(_placed(one) for one in node.elts)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant):
        number = node.operand.value
        return -number if isinstance(number, (int, float)) else Name("")
    if isinstance(node, ast.Name):
        return _NAMES.get(node.id, Name(node.id))
    return Name(node.attr if isinstance(node, ast.Attribute) else "")
