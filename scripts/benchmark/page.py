"""The tables of scripts/BENCH.md and the README, written from the figures: goals and what was measured, the peers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from scripts.benchmark.told import remains, span, titled
from scripts.benchmark.wanted import Row

_BEGIN, _END = "<!-- made by scripts/bench --table: {} -->", "<!-- to here -->"
NOT_YET = "not measured"


class Goal(NamedTuple):
    """A row of the table: which measure it is of, what is wanted, how the figures say it; if the README has it."""

    measure: str
    what: str
    goal: str
    told: Callable[[Row], str]
    foremost: bool = False


def _latency(row: Row) -> str:
    return f"{span(row['seconds'])} s; the goal is {1 + row['files'] / 1000:.2f} s"


def _inbox(row: Row) -> str:
    first, *others = row["counts"]
    least = first["user"] + first["system"]
    return "; ".join(f"{one['files']:,}: {(one['user'] + one['system']) / least:.2f} ×" for one in others)


def _answers(row: Row) -> str:
    slowest = max(row["counts"], key=lambda one: float(one["status_wall"]["median"]))
    return f"{span(slowest['status_wall'])} s, user {slowest['status_user']['median']:.2f} s"


def _large(row: Row) -> str:
    return f"{span(row['served']['ratio'])} ×; against `cp` and `sync -f` {span(row['beside_durable'])} ×"


def _ledger(row: Row) -> str:
    return f"{row['instances']:,} Instances: {span(row['ratio'])} ×"


def _questions(row: Row) -> str:
    full, empty = row["full"], row["empty"]
    status = f"`status` {full['status']['median'] / empty['status']['median']:.2f} ×"
    return f"{status}; `redeem` {1000 * full['redeem_after_start']['median']:.0f} ms"


def _fairness(row: Row) -> str:
    parts = []
    for where in ("one_project", "two_projects"):
        one = row[where]
        later = f"{one['alone']['median']:.2f} s alone, {one['beside']['median']:.2f} s beside"
        parts.append(f"{where.replace('_', ' ')}: the last {later}, any held back at most {span(one['held_back'])} s")
    return "; ".join(parts)


def _start(row: Row) -> str:
    return f"{1000 * row['help']['user']['median']:.0f} ms, {1000 * row['status']['user']['median']:.0f} ms"


GOALS = (
    Goal("ct", "CT files, against two `cp -r` and `sync -f`", "≤ 1.25 ×", lambda row: span(row["ratio"]) + " ×", True),
    Goal("mr", "MR files, the same", "≤ 1.5 ×", lambda row: span(row["ratio"]) + " ×", True),
    Goal("ct", "user CPU for 1,000 CT files, all processes", "≤ 0.45 s", lambda row: span(row["user"]) + " s", True),
    Goal("mr", "user CPU for 1,000 MR files", "", lambda row: span(row["user"]) + " s"),
    Goal(
        "mf",
        "one large multi-frame file where the service runs, against `cp`",
        "≤ 1.5 ×",
        _large,
    ),
    Goal("mf", "its memory above the idle service", "≤ 10 MiB", lambda row: span(row["above_idle"], 1) + " MiB"),
    Goal("ct", "memory of all processes (PSS), CT", "≤ 150 MiB", lambda row: f"{row['pss']:.0f} MiB", True),
    Goal(
        "inbox",
        "memory of all processes (PSS), the largest inbox",
        "≤ 150 MiB",
        lambda row: f"{row['counts'][-1]['pss']:.0f} MiB",
    ),
    Goal("latency", "last file settled → Study in the outbox", "≤ 1 s + 1 ms a file", _latency, True),
    Goal("inbox", "cost of a file in a large inbox, against 2,000 (at scale 1)", "≤ 1.15 ×", _inbox, True),
    Goal("inbox", "`status` meanwhile, where it is slowest", "≤ 0.2 s", _answers),
    Goal("ledger", "processor time of the next Study, against an empty ledger", "≤ 1.10 ×", _ledger),
    Goal("ledger", "there: `status` against an empty one; `redeem` after its start", "≤ 1.10 ×, ≤ 50 ms", _questions),
    Goal("fairness", "50 small Studies beside a large one", "own work and one batch", _fairness),
    Goal("start", "user CPU of `--help` and `status`", "≤ 150 ms, ≤ 300 ms", _start),
)


def goals(rows: Mapping[str, Row]) -> str:
    """What is wanted and what was measured, each with its command."""
    lines = ["| measure | goal | measured | `scripts/bench` | load |", "|---|---|---|---|---|"]
    for one in GOALS:
        row = rows.get(one.measure)
        command = f"`--only {one.measure} --scale {row['scale']:g} --rounds {row['rounds']}`" if row else ""
        load = f"{row['load']:g}" if row else ""
        lines.append(f"| {one.what} | {one.goal} | {_measured(one, rows)} | {command} | {load} |")
    return "\n".join(lines)


def foremost(rows: Mapping[str, Row]) -> str:
    """The rows that somebody asks for first."""
    shown = [one for one in GOALS if one.foremost]
    lines = [f"| {one.what} | {one.goal} | {_measured(one, rows)} |" for one in shown]
    return "\n".join(["| measure | goal | measured |", "|---|---|---|", *lines])


def _measured(goal: Goal, rows: Mapping[str, Row]) -> str:
    return goal.told(rows[goal.measure]) if goal.measure in rows else NOT_YET


def peers(rows: Mapping[str, Row]) -> str:
    """Other tools on the same files, the quickest first."""
    lines = [
        "| tool | files | wall, against `cp` | user CPU s per 1,000 | system | MiB (PSS) | left in, elements a file |",
        "|---|---|---|---|---|---|---|",
        *_peers(rows["peers"]["tools"] if "peers" in rows else {}),
    ]
    return "\n".join(lines)


def ordered(tools: Mapping[str, Row]) -> list[tuple[str, Row]]:
    """Those that ran, by their processor time."""
    ran = [(name, one) for name, one in tools.items() if "missing" not in one]
    return sorted(ran, key=lambda pair: processor(pair[1]))


def processor(one: Row) -> float:
    """Seconds for 1,000 files, user and system."""
    return float(one["user"]["median"] + one["system"]["median"])


def _peers(tools: Mapping[str, Row]) -> Iterator[str]:
    for name, one in ordered(tools):
        shown = f"**{name}**" if name == "coatcheck" else titled(name, one)
        wall = one["wall"]["median"] / tools["cp"]["wall"]["median"]
        left = "; ".join(remains(one["left"])) or "nothing" if "left" in one else "everything"
        rates = f"{one['user']['median']:.2f} | {one['system']['median']:.2f} | {one['pss']:.0f}"
        yield f"| {shown} | {one['files']:,} | {wall:.1f} × | {rates} | {left} |"
    for name, one in tools.items():
        if "missing" in one:
            yield f"| {name} | | | | | | {one['missing']} |"


def filled(page: str, rows: Mapping[str, Row]) -> str:
    """The page with the tables of these figures between the marks that it has."""
    for name, table in (("goals", goals(rows)), ("foremost", foremost(rows)), ("peers", peers(rows))):
        begin = _BEGIN.format(name)
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(_END), re.DOTALL)
        page = pattern.sub(lambda _, text=f"{begin}\n\n{table}\n\n{_END}": text, page)  # type: ignore[misc]
    return page
