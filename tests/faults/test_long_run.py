"""A service that runs for days does not grow: not in memory, descriptors, threads or the cost of a listing. What it
writes down grows with the work and with nothing else.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

import pytest

from tests.acceptance.house import House
from tests.faults.conftest import Report
from tests.faults.long_run import LongRun, Trend

MIB = 1 << 20
SWEEP, SMALL = (200, 1000), (12, 125)  # waves, and files in each


@pytest.mark.slow
def test_days_of_work_leave_the_service_as_it_was(tmp_path: Path, sweep: bool, report: Report) -> None:
    waves, files = SWEEP if sweep else SMALL
    house = House(tmp_path / "house", executor="processes", workers=2, profile="research", originals="delete")
    house.configure(study_settle="50ms")
    with house.service() as service:
        run = LongRun(house, service, seed=1)
        for _ in range(waves):
            run.wave(files)

    print("", *run.samples[:: max(1, waves // 20)], sep="\n")
    trend, done = Trend(run.samples), "FROM deliveries WHERE state = 'done'"
    told = [house.rows(f"SELECT SUM({column}) {done}")[0][0] for column in ("instances", "duplicates")]
    assert run.taken == run.instances
    assert told == [run.instances + run.duplicates, run.duplicates]
    assert dict(house.refusals()) == {"not-dicom": run.junk}
    for what, slack in (("service", 6 * MIB), ("workers", 12 * MIB)):
        before, after = trend.most(attrgetter(what))
        assert after <= 1.1 * before + slack, what
    for what in ("descriptors", "threads", "watches"):
        before, after = trend.most(attrgetter(what))
        assert after <= before + 4, what
    before, after = trend.each(attrgetter("records"), attrgetter("instances"))
    assert after <= 1.3 * before + 200
    before, after = trend.each(attrgetter("log"), attrgetter("studies"))
    assert after <= 1.3 * before
    if sweep:  # The cost of a listing is time, which a few samples beside other tests do not tell.
        before, after = trend.middle(attrgetter("seconds"))
        assert after <= 3 * before + 0.005
    last = run.samples[-1]
    assert last.log / last.studies < 1000
    report("an Instance among those of days", fired=run.instances)
