"""``coatcheck profile import``: a profile made of the rules of another tool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli.common import json_option, print_json
from coatcheck.errors import CoatcheckError

if TYPE_CHECKING:
    from coatcheck.deid.profile import Profile
    from coatcheck.moving_in.weighing import Verdict, Weighed

KINDS: Final = ("ctp", "microsoft", "mmiv", "kitware", "deid")
_PARTS: Final = ("carried", "loosenings", "refused", "same")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "kind", type=click.Choice(KINDS), help="What FILE is; else it is told from its content.")
@click.option("--base", default="basic", show_default=True, metavar="NAME", help="The profile that it comes over.")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="A new file; else it is printed.")
@json_option
@click.pass_context
def import_profile(
    ctx: click.Context, file: Path, kind: str | None, base: str, output: Path | None, as_json: bool
) -> None:
    """Make a profile of the rules of another tool, over one of ours.

    Read are: CTP's DicomAnonymizer.script and RSNA Anonymizer's (ctp), the DICOM configuration of Microsoft's Tools for
    Health Data Anonymization (microsoft), the exported rules of mmiv-center's DICOMAnonymizer (mmiv), dictionaries of
    KitwareMedical's dicom-anonymizer (kitware) and recipes of pydicom's deid (deid).

    Each rule becomes one of ours, with its line in a comment, or is listed with the reason why not. What FILE lets
    through and the base does not is a loosening: it stands in the profile as a comment, for you to decide.

    \b
    Example:
      coatcheck profile import DicomAnonymizer.script --output profiles/trial.yaml
      coatcheck profile import recipe.deid --from deid --base research > trial.yaml
    """
    from coatcheck.moving_in import kinds, weighing, writing
    from coatcheck.profile_file import load_profile

    extended = base if "/" not in base and not base.endswith((".yaml", ".yml")) else os.path.abspath(base)
    over = load_profile(extended, Path.cwd())
    try:
        content = file.read_bytes()
    except OSError as error:
        raise CoatcheckError(f"{file} cannot be read ({error.strerror})", "check the path") from None
    name, foreign = kinds.read(content, kind)
    verdict = weighing.weigh(foreign, over)
    title = kinds.KINDS[name].title
    text = writing.profile_text(foreign, verdict, title=title, base=extended, file=file.name)
    notes = _checked(text)
    if output is not None:
        _write(output, text)
    if as_json:
        print_json({"version": 1, "kind": name, "base": base, "profile": text} | _described(verdict))
        return
    if output is None:
        click.echo(text, nl=False)
    _tell(verdict, title, notes)


def _checked(text: str) -> list[str]:
    """What lint notes of the profile, which it can be loaded as. Raises ConfigError."""
    from tempfile import TemporaryDirectory

    from coatcheck.deid.lint import lint
    from coatcheck.profile_file import load_profile

    with TemporaryDirectory(prefix="coatcheck-") as folder:
        path = Path(folder, "imported.yaml")
        path.write_text(text, encoding="utf-8")
        profile: Profile = load_profile(str(path), Path(folder))
    return [f"line {one.place.rpartition(':')[2]}: {one.what}: {one.hint}" for one in lint(profile)]


def _write(output: Path, text: str) -> None:
    try:
        with output.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        raise CoatcheckError(f"{output} is there already", "nothing was changed: name a new file") from None
    except OSError as error:
        raise CoatcheckError(f"{output} cannot be written ({error.strerror})", "name another place") from None


def _described(verdict: Verdict) -> dict[str, Any]:
    return {part: [_one(weighed) for weighed in getattr(verdict, part)] for part in _PARTS}


def _one(weighed: Weighed) -> dict[str, Any]:
    rule = weighed.written.written() if weighed.written is not None else None
    return {"line": weighed.rule.line, "said": weighed.rule.said, "rule": rule, "reason": weighed.reason}


def _tell(verdict: Verdict, title: str, notes: list[str]) -> None:
    carried, loose, refused, same = (len(getattr(verdict, part)) for part in _PARTS)
    click.echo(f"{title}: {carried} rules carried over, {same} as the base has it", err=True)
    for weighed in verdict.refused:
        click.echo(f"line {weighed.rule.line}: not carried over: {weighed.reason}", err=True)
    for weighed in verdict.loosenings:
        click.echo(f"line {weighed.rule.line}: a loosening, not in force: {weighed.reason}", err=True)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    if loose or refused:
        click.echo(f"{loose} loosenings to decide, {refused} not carried over: see the profile's comments", err=True)
