"""What ``quarantine retry`` and ``quarantine drop`` share: what they work on, who does it, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from coatcheck.cli.common import credentials, find_project, print_json, project_option, read_config, who
from coatcheck.errors import CoatcheckError
from coatcheck.reasons import Reason
from coatcheck.units import utc_now

if TYPE_CHECKING:
    from coatcheck.config import Config
    from coatcheck.ledger import LedgerReader, RefusalRow

Function = TypeVar("Function", bound=Callable[..., Any])
_THERE: Final = ("planned", "quarantined")


def reason_option(function: Function) -> Function:
    """``--reason REASON``."""
    kind = click.Choice([str(reason) for reason in Reason])
    return click.option("--reason", type=kind, help="Only with this reason.")(function)


def study_option(function: Function) -> Function:
    """``--study TICKET``."""
    return click.option("--study", metavar="TICKET", help="Only of this study.")(function)


def age_option(function: Function) -> Function:
    """``--older-than AGE``."""
    help_text = "Only what was set aside longer ago than this, such as 30d or 12h."
    return click.option("--older-than", metavar="AGE", callback=_age, help=help_text)(function)


def _age(ctx: click.Context, option: click.Parameter, value: str | None) -> float | None:
    from coatcheck.units import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def wanted(
    config: Config, *, project: str | None, reason: str | None, study: str | None, older_than: float | None
) -> list[RefusalRow]:
    """Everything that lies in quarantine, or is on its way there, and matches all that is given; oldest first."""
    from datetime import UTC, datetime, timedelta

    if project is not None:
        find_project(config, project)
    with closing(open_ledger(config)) as ledger:
        found = ledger.refusals(project, reason, ticket=study and study.upper())
    limit = datetime.now(UTC) - timedelta(seconds=older_than or 0.0)
    young = older_than is not None
    return [one for one in found if one.state in _THERE and not (young and datetime.fromisoformat(one.at) > limit)]


def selection(function: Function) -> Function:
    """What `retry` and `drop` work on: numbers, or a project with a reason, a study, an age or all of it."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="All that lies in the project's quarantine."),
        age_option,
        study_option,
        reason_option,
        project_option(required=False),
        click.argument("numbers", metavar="[ID]...", type=int, nargs=-1),
    ):
        function = option(function)
    return function


def chosen(
    numbers: tuple[int, ...],
    project: str | None,
    reason: str | None,
    study: str | None,
    older_than: float | None,
    everything: bool,
    config_file: Path | None,
) -> tuple[Config, list[RefusalRow]]:
    """What lies in quarantine and was asked for. Raises a usage error where that is not clear."""
    described = reason or study or older_than is not None or everything
    if numbers and described:
        raise click.UsageError("name numbers, or --reason, --study, --older-than or --all, and not both")
    if not numbers and not (project and described):
        raise click.UsageError("name numbers, or --project with --reason, --study, --older-than or --all")
    config = read_config(config_file)
    if not numbers:
        found = wanted(config, project=project, reason=reason, study=study, older_than=older_than)
        return config, [refusal for refusal in found if refusal.state == "quarantined"]
    if project is not None:
        find_project(config, project)
    with closing(open_ledger(config)) as ledger:
        return config, [_by_number(ledger, number, project) for number in dict.fromkeys(numbers)]


def _by_number(ledger: LedgerReader, number: int, project: str | None) -> RefusalRow:
    refusal = ledger.refusal(number)
    if refusal is None or (project is not None and refusal.project != project):
        raise CoatcheckError(f"nothing in quarantine has the number {number}", "see `coatcheck quarantine list`")
    if refusal.state != "quarantined":
        hint = "try again in a moment" if refusal.state == "planned" else "see `coatcheck quarantine list`"
        raise CoatcheckError(f"{number} is {refusal.state}, and does not lie in quarantine", hint)
    return refusal


def carry_out(config: Config, action: str, refusals: Sequence[RefusalRow]) -> list[dict[str, Any]]:
    """Has it done, project by project, by the service if one runs. Raises CoatcheckError."""
    from coatcheck.fates import Fate
    from coatcheck.returns_alone import carry_out_alone
    from coatcheck.service_lock import service_pid

    results = []
    for name in dict.fromkeys(refusal.project for refusal in refusals):
        project = find_project(config, name)
        numbers = [refusal.id for refusal in refusals if refusal.project == name]
        answer = _asked(config, action, name, numbers) if service_pid(config.state_dir) is not None else None
        if answer is None:
            done = carry_out_alone(
                config, project, Fate(action), numbers, who=who(), credentials=credentials(), utc=utc_now
            )
            answer = [one.as_json() for one in done]
        results += answer
    return results


def _asked(config: Config, action: str, project: str, numbers: list[int]) -> list[dict[str, Any]] | None:
    """What the service answers; None where it ended first."""
    from coatcheck.request_box import ask

    request = {"action": action, "project": project, "refusals": numbers, "who": who()}
    answer = ask(config.state_dir, request)
    if answer is None:
        return None
    if answer.get("fault"):
        raise CoatcheckError(f"it is not done yet: {answer['fault']}")
    return list(answer.get("refusals", ()))


def report(results: list[dict[str, Any]], done: str, *, as_json: bool) -> int:
    """Says what was done; gives the exit code: 1 if something could not be done."""
    problems = [one for one in results if one["problem"]]
    files = sum(one["found"] for one in results)
    if as_json:
        print_json({"version": 1, "refusals": results})
    else:
        click.echo(f"{files} files were {done}" if results else "nothing in quarantine is like that")
    for one in results:
        if one["problem"]:
            click.echo(f"coatcheck: {one['id']}: {one['problem']}", err=True)
        elif one["found"] < one["files"]:
            missing = one["files"] - one["found"]
            click.echo(
                f"coatcheck: {one['id']}: {missing} of {one['files']} files did not lie there any more", err=True
            )
    return 1 if problems else 0


def open_ledger(config: Config) -> LedgerReader:
    """The ledger, to read. Raises StateError."""
    from coatcheck.ledger import LedgerReader

    return LedgerReader.open(config.state_dir / "ledger.db")
