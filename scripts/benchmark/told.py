"""What a person reads on the terminal of each measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scripts.benchmark.wanted import Row


def span(values: Row, digits: int = 2) -> str:
    """The middle value, and the least and the most."""
    return f"{values['median']:.{digits}f} ({values['least']:.{digits}f} to {values['most']:.{digits}f})"


def lines(name: str, row: Row) -> Iterator[str]:
    """Each line begins with the name of the measure."""
    for line in _TELL.get(name, _beside)(row):
        yield f"{name}: {line}"


def _beside(row: Row) -> Iterator[str]:
    walls = f"copy {span(row['copy_wall'])} s, run {span(row['wall'])} s"
    yield f"{row['files']} files; ratio {span(row['ratio'])}: {walls}"
    yield f"processor s per 1,000 files: user {span(row['user'])}, system {span(row['system'])}"
    yield f"memory MiB: {row['pss']:.0f} in all (PSS), {row['largest']:.0f} in the largest process"
    if "served" in row:
        yield f"beside plain cp, dropped where the service runs: ratio {span(row['served']['ratio'])}"
        yield f"beside cp and sync -f: ratio {span(row['beside_durable'])}"
        yield f"MiB above the idle service: {span(row['above_idle'], 1)}"


def _latency(row: Row) -> Iterator[str]:
    yield f"{row['files']} files; from the last one settled to the outbox {span(row['seconds'])} s"


def _inbox(row: Row) -> Iterator[str]:
    first = row["counts"][0]
    for one in row["counts"]:
        processor, least = (counted["user"] + counted["system"] for counted in (one, first))
        yield (
            f"{one['files']} files of {one['file_bytes'] / 1000:.0f} kB; s per 1,000 files: wall {one['wall']:.2f}, "
            f"user {one['user']:.2f}, system {one['system']:.2f}, which is {processor / least:.2f} of the first; "
            f"status {span(one['status_wall'])} s, user {span(one['status_user'])}; "
            f"memory MiB: {one['pss']:.0f} in all (PSS), {one['largest']:.0f} in the largest process"
        )


def _ledger(row: Row) -> Iterator[str]:
    yield f"{row['instances']} Instances; the next {row['files']} files cost {span(row['ratio'])} × as in an empty one"
    for name in ("empty", "full"):
        one = row[name]
        yield (
            f"{name}: next Study {span(one['study'])} s, user s of status {span(one['status'])}, redeem "
            f"{span(one['redeem'])}, which takes {span(one['redeem_after_start'])} s longer than --help"
        )


def _fairness(row: Row) -> Iterator[str]:
    yield f"{row['small']} Studies of {row['small_files']} files beside one of {row['large_files']}, seconds"
    for where in ("one_project", "two_projects"):
        one = row[where]
        yield (
            f"{where.replace('_', ' ')}: small ones alone {span(one['alone'])}, beside {span(one['beside'])}, "
            f"held back at most {span(one['held_back'])}; large one alone {span(one['large_alone'])}, "
            f"beside {span(one['large_beside'])}"
        )


def _start(row: Row) -> Iterator[str]:
    for name in ("help", "status"):
        yield f"{name}: user {span(row[name]['user'], 3)} s, wall {span(row[name]['wall'], 3)} s"


def _peers(row: Row) -> Iterator[str]:
    for name, one in row["tools"].items():
        if "missing" in one:
            yield f"{name}: {one['missing']}"
            continue
        yield (
            f"{titled(name, one)}: {one['files']} files; s per 1,000 files: wall {span(one['wall'])}, "
            f"user {span(one['user'])}, system {span(one['system'])}; {one['pss']:.0f} MiB"
        )
        if "left" in one:
            yield f"{name} left in: {'; '.join(remains(one['left'])) or 'nothing'}"


def titled(name: str, tool: Row) -> str:
    """A tool with its version, where that was asked for."""
    return f"{name} {tool['version']}" if "version" in tool else name


def remains(left: Row) -> Iterator[str]:
    """What a tool left in, elements in each file, and what it tore apart."""
    for kind, places in left["kinds"].items():
        if places:
            yield f"{kind} ({', '.join(f'{count:.0f} {where}' for where, count in places.items())})"
    if left["private"]:
        yield f"{left['private']:.0f} private elements"
    if left["results"] != left["originals"]:
        yield f"{left['results']} results of {left['originals']} files"
    if left["studies"] != 1:
        yield (
            f"one Study of {left['results']} images became {left['studies']}"
            if left["studies"]
            else "no Study Instance UID"
        )
    if left["instances"] != left["results"]:
        yield f"{left['results']} images share {left['instances']}" if left["instances"] else "no SOP Instance UID"
    if left["references"] and left["resolved"] < 1:
        yield f"{100 * (1 - left['resolved']):.0f} % of the references between images lead nowhere"


_TELL: dict[str, Callable[[Row], Iterator[str]]] = {
    **{
        "latency": _latency,
        "inbox": _inbox,
        "ledger": _ledger,
        "fairness": _fairness,
        "start": _start,
        "peers": _peers,
    },
}
