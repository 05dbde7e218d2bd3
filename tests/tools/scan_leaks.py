"""Judge a folder of outputs: ``python -m tests.tools.scan_leaks KEY.json IN OUT [MAP.tsv] [--also PATH]…``.

MAP.tsv has ``input<TAB>output`` lines, or is the CSV of ``coatcheck mapping export --kind uid``. The exit code is 1
when something leaked or is not as the answer key says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tests.tools.judge import judge, mapping_by_uid, read_mapping, search_elsewhere
from tests.tools.key import read_key


def main() -> int:
    """Print the judgement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("key", type=Path)
    parser.add_argument("in_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("map", type=Path, nargs="?")
    parser.add_argument("--also", type=Path, action="append", default=[], help="another file or folder to search")
    parser.add_argument("--dates-shifted", action="store_true")
    parser.add_argument("--keeps-safe-private", action="store_true")
    given = parser.parse_args()
    key, mapping = read_key(given.key), None
    if given.map is not None:
        by_uid = given.map.suffix == ".csv"
        mapping = mapping_by_uid(key, given.in_dir, given.out_dir, given.map) if by_uid else read_mapping(given.map)
    report = judge(
        key,
        given.in_dir,
        mapping,
        given.out_dir,
        dates_shifted=given.dates_shifted,
        keeps_safe_private=given.keeps_safe_private,
    )
    elsewhere = search_elsewhere(key, given.also)
    print(report)
    print(len(elsewhere), "tokens elsewhere")
    for found in elsewhere:
        print(f"  {found.file} {found.path} {found.problem}")
    return 0 if report.ok and not elsewhere else 1


if __name__ == "__main__":
    sys.exit(main())
