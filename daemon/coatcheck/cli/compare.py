"""``coatcheck compare``."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import config_option, credentials, find_project, json_option, project_option, read_config
from coatcheck.cli.sheet import (
    csv_option,
    one_format,
    only_changed_option,
    print_sheet,
    search_option,
    wanted,
    write_csv,
)
from coatcheck.errors import CoatcheckError, Refused
from coatcheck.reasons import EXPLANATIONS

if TYPE_CHECKING:
    from coatcheck.deid.compare import Seen

_SHEET: Final = {"path": 60, "tag": 11, "vr": 2, "before": 44, "after": 44}
_CSV: Final = ("before_file", "after_file", "path", "tag", "keyword", "vr", "before", "after", "changed")
_SOP_INSTANCE: Final = 0x00080018
Uid = Callable[[str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Two files side by side, as records. ``problem`` says why they cannot be compared."""

    before: str
    after: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    changed: int = 0
    elements: int = 0
    problem: str = ""


@click.command()
@click.argument("before", type=click.Path(exists=True, path_type=Path))
@click.argument("after", type=click.Path(exists=True, path_type=Path))
@project_option(required=False)
@only_changed_option
@search_option
@csv_option
@json_option
@click.option("--xml", "as_xml", is_flag=True, help="Print XML.")
@config_option
def command(
    before: Path,
    after: Path,
    project: str | None,
    only_changed: bool,
    search: str,
    as_csv: bool,
    as_json: bool,
    as_xml: bool,
    config_file: Path | None,
) -> None:
    """Two files, or the files of two folders, side by side. It ends with 0 whether they differ or not.

    In folders, originals and results find each other by the project's key, which --project names; else files with the
    same SOP Instance UID are a pair, and else those at the same relative path. Files without a partner are named. What
    is printed identifies patients.

    \b
    Example:
      coatcheck compare --only-changed disc/CT_small.dcm result.dcm
      coatcheck compare --project lung-trial site/lung-trial/archive site/lung-trial/outbox
    """
    one_format(as_csv=as_csv, as_json=as_json, as_xml=as_xml)
    if before.is_dir() != after.is_dir():
        raise click.UsageError("name two files, or two folders")
    uid = _uid_of(project, config_file) if project is not None else None
    pairs, alone = _paired(before, after, uid) if before.is_dir() else ([(before, after)], [])
    compared = (_compare(*pair, only_changed, search) for pair in pairs)
    show = _write_csv if as_csv else _write_json if as_json else _write_xml if as_xml else _print
    show(compared, alone)


def _uid_of(name: str, config_file: Path | None) -> Uid:
    """From an original UID to the one that the project gives it."""
    from coatcheck.custody import project_key
    from coatcheck.profile_file import profile_of

    config = read_config(config_file)
    project = find_project(config, name)
    secret = project_key(config, name, credentials()).pseudonym_secret
    profile = profile_of(project, config.path.parent)
    return lambda original: profile.uid(secret, original)


def _paired(before: Path, after: Path, uid: Uid | None) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """The pairs in two folders, and the files without a partner; in the order of their paths."""
    left, right = _below(before), _below(after)
    uids = {path: _sop_uid(path) for path in (*left, *right)}
    keys: list[Callable[[Path], object]] = [] if uid is None else [lambda path: uid(uids[path]) if uids[path] else ""]
    found = dict[Path, Path]()
    for key in keys:
        _match(found, left, right, key, lambda path: uids[path])
    _match(found, left, right, lambda path: uids[path], lambda path: uids[path])
    _match(found, left, right, lambda path: path.relative_to(before), lambda path: path.relative_to(after))
    alone = [path for path in left if path not in found]
    alone += [path for path in right if path not in found.values()]
    return sorted(found.items()), alone


def _match(
    found: dict[Path, Path],
    left: Sequence[Path],
    right: Sequence[Path],
    key: Callable[[Path], object],
    other: Callable[[Path], object],
) -> None:
    """Adds the pairs with equal keys among those that have no partner yet; an empty key is none."""
    taken = set(found.values())
    free: dict[object, Path] = {}
    for path in right:
        if path not in taken and other(path):
            free.setdefault(other(path), path)
    for path in left:
        if path not in found and key(path) and key(path) in free:
            found[path] = free.pop(key(path))


def _below(folder: Path) -> list[Path]:
    """The files below a folder, without those that an inbox leaves alone too."""
    from coatcheck.intake.scan import scan

    return [folder / name for name in sorted(scan(folder).files, key=os.fsencode)]


def _sop_uid(path: Path) -> str:
    """The SOP Instance UID of a file; "" where there is none, or where it is no DICOM."""
    from coatcheck.deid.attributes import attributes_of
    from coatcheck.source import Changed, plain_source

    try:
        with _opened(path) as fd, plain_source(fd) as (_, window, head):
            found = attributes_of(window, head.start, head.encoding, frozenset({_SOP_INSTANCE}))
            return next(iter(found.get(_SOP_INSTANCE, ())), "")
    except (Refused, Changed, OSError):
        return ""


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _compare(before: Path, after: Path, only_changed: bool, search: str) -> Compared:
    from coatcheck.deid.compare import row_of, side_by_side

    try:
        pairs = side_by_side(_listing(before), _listing(after))
    except CoatcheckError as error:
        return Compared(before=str(before), after=str(after), problem=error.what)
    records = [asdict(row_of(pair)) for pair in pairs]
    changed = sum(record["changed"] for record in records)
    shown = [record for record in records if wanted(record, search, only_changed)]
    return Compared(before=str(before), after=str(after), rows=shown, changed=changed, elements=len(records))


def _listing(path: Path) -> list[Seen]:
    """All elements of a file. Raises CoatcheckError with what is wrong with it."""
    from coatcheck.deid.compare import DataSet, listing, meta
    from coatcheck.source import Changed, plain_source, windowed

    try:
        with _opened(path) as fd, plain_source(fd) as (_, window, head):
            return [*meta(windowed(fd)), *listing(DataSet(window, head.start, head.encoding))]
    except Refused as refused:
        raise CoatcheckError(f"{path}: {EXPLANATIONS[refused.reason].what}") from None
    except (Changed, OSError):
        raise CoatcheckError(f"{path} cannot be read, or changed while it was read") from None


def _print(compared: Iterable[Compared], alone: Sequence[Path]) -> None:
    for number, one in enumerate(compared):
        if number:
            click.echo()
        click.echo(f"{one.before} -> {one.after}")
        click.echo(f"  {one.problem or f'{one.changed} of {one.elements} elements differ'}")
        if one.rows:
            print_sheet(_SHEET, one.rows)
    for path in alone:
        click.echo(f"without a partner: {path}")


def _write_csv(compared: Iterable[Compared], alone: Sequence[Path]) -> None:
    write_csv(_CSV, [])
    for one in compared:
        if one.problem:
            click.echo(f"coatcheck: {one.problem}", err=True)
        files = {"before_file": one.before, "after_file": one.after}
        write_csv(_CSV, [files | row for row in one.rows], head=False)
    for path in alone:
        click.echo(f"coatcheck: without a partner: {path}", err=True)


def _write_json(compared: Iterable[Compared], alone: Sequence[Path]) -> None:
    """Pair by pair, so that folders of any size need no memory."""
    sys.stdout.write('{"version": 1, "pairs": [')
    for number, one in enumerate(compared):
        sys.stdout.write((",\n" if number else "\n") + json.dumps(asdict(one)))
    sys.stdout.write('\n], "alone": ' + json.dumps([str(path) for path in alone]) + "}\n")


def _write_xml(compared: Iterable[Compared], alone: Sequence[Path]) -> None:
    click.echo('<?xml version="1.0" encoding="UTF-8"?>\n<comparison version="1">')
    for one in compared:
        click.echo(f"  <pair before={_attribute(one.before)} after={_attribute(one.after)}>")
        if one.problem:
            click.echo(f"    <problem>{escape(_plain(one.problem))}</problem>")
        for row in one.rows:
            click.echo(_element(row))
        click.echo("  </pair>")
    for path in alone:
        click.echo(f"  <alone file={_attribute(str(path))}/>")
    click.echo("</comparison>")


def _element(row: dict[str, Any]) -> str:
    named = " ".join(f"{key}={_attribute(row[key])}" for key in ("path", "tag", "keyword", "vr"))
    changed = "true" if row["changed"] else "false"
    sides = (f"<{side}>{escape(_plain(row[side]))}</{side}>" for side in ("before", "after") if row[side] is not None)
    return f'    <element {named} changed="{changed}">{"".join(sides)}</element>'


def _attribute(text: str) -> str:
    from xml.sax.saxutils import quoteattr  # It brings urllib along, which the help of all commands can do without.

    return quoteattr(_plain(text))


def _plain(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold; they stand as their numbers."""
    fit = (letter in "\t\n\r" or (letter >= " " and not "\ud800" <= letter <= "\udfff") for letter in text)
    pairs = zip(text, fit, strict=True)
    return "".join(
        letter if good and letter not in "\ufffe\uffff" else f"\\x{ord(letter):02x}" for letter, good in pairs
    )
