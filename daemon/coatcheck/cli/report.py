"""``coatcheck report``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from coatcheck.cli.common import config_option, find_project, print_json, project_option, read_config
from coatcheck.errors import CoatcheckError
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.deid.profile import Profile
    from coatcheck.reports.study_page import StudyReport

FORMATS: Final = ("text", "html", "json")


@click.command(short_help="What was done to one study and what risk remains.")
@click.argument("study", metavar="STUDY")
@project_option(required=False)
@click.option("--profile", metavar="NAME|FILE", help="The profile as it was then, where the project's was changed.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="html for --output FILE.html, else text.")
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")
@config_option
def command(
    study: str,
    project: str | None,
    profile: str | None,
    form: str | None,
    output: Path | None,
    config_file: Path | None,
) -> None:
    """What was done to a study: removed, kept and why, by which profile, and what risk remains. No identity.

    STUDY is its ticket or its new Study Instance UID. The HTML is one page without scripts, to be printed on A4.

    \b
    Example:
      coatcheck report 7F3K9Q2MXA --output report.html
    """
    from coatcheck import __version__
    from coatcheck.reports.study import find, works
    from coatcheck.reports.study_page import StudyReport

    config = read_config(config_file)
    if project is not None:
        find_project(config, project)
    found = find(config.state_dir / "ledger.db", study, project)
    known = config.projects.get(found.project)
    report = StudyReport(
        study=found,
        works=works(found, _profiles(config, found.project, profile)),
        pixel_risk=known.pixel_risk if known else None,
        version=__version__,
        made=utc_now()[:19].replace("T", " ") + " UTC",
    )
    form = form or ("html" if output is not None and output.suffix.lower() in (".html", ".htm") else "text")
    _write(report, form, output)


def _profiles(config: Config, project: str, named: str | None) -> list[Profile]:
    """The profiles at hand: the one that was named, and the project's. Where the latter is wrong by now, none is."""
    from coatcheck.profile_file import load_profile, profile_of

    found = []
    if named is not None:
        variables = config.projects[project].variables if project in config.projects else None
        found.append(load_profile(named, Path.cwd(), variables))
    if project in config.projects:
        try:
            found.append(profile_of(config.projects[project], config.path.parent))
        except CoatcheckError as error:
            click.echo(f"coatcheck: the project's profile cannot be asked: {error.what}", err=True)
    return found


def _write(report: StudyReport, form: str, output: Path | None) -> None:
    import json

    from coatcheck.reports.document import as_html, as_text

    if form == "json" and output is None:
        print_json(report.as_json())
        return
    text = json.dumps(report.as_json(), indent=2) + "\n" if form == "json" else ""
    text = text or (as_html if form == "html" else as_text)(report.document())
    save(text, output)


def save(text: str, output: Path | None) -> None:
    """Prints a text, or writes it to a file. Raises CoatcheckError."""
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CoatcheckError(f"{output} cannot be written ({error.strerror})", "name another file") from None
    click.echo(f"wrote {output}", err=True)
