"""A folder through the engine, Study by Study, as the service would send it: what comes out, and what does not."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from coatcheck.deid.profile import Profile
from coatcheck.deid.pseudonyms import subject
from coatcheck.files import fingerprint
from coatcheck.model import Arrival, Identity, Instance, Job, Refusal, Staged
from coatcheck.transform import transform
from coatcheck.worker import Reading, Work, examine
from coatcheck.workload import may_pass

SECRET = b"0123456789abcdef" * 2
_DAYS = (-365, -1)


class Delivery(NamedTuple):
    """The result of each delivered file, and the reason of each other one, by its name in the inbox."""

    results: dict[str, str]
    refused: dict[str, str]


def deliver(inbox: Path, staging: Path, profile: Profile, *, pixel_risk: bool = False) -> Delivery:
    """De-identifies every file below ``inbox``. With ``pixel_risk`` images that may show text come out as well."""
    files = sorted(path for path in inbox.rglob("*") if path.is_file())
    arrivals = [
        Arrival(project="p", path=path.relative_to(inbox).as_posix(), fingerprint=fingerprint(path.stat()))
        for path in files
    ]
    delivery, studies = Delivery({}, {}), defaultdict[str, list[Instance]](list)
    for one in examine(Reading(inbox=inbox), arrivals):
        if isinstance(one, Instance) and may_pass(one, profile, pixel_risk=pixel_risk):
            studies[one.study_uid].append(one)
        elif isinstance(one, Instance):
            delivery.refused[one.arrival.path] = str(one.concern)
        elif isinstance(one, Refusal):
            delivery.refused[one.arrival.path] = one.reason.value
    for number, (study_uid, instances) in enumerate(studies.items()):
        _study(inbox, staging / str(number), profile, study_uid, instances, delivery)
    return delivery


def _study(
    inbox: Path, folder: Path, profile: Profile, study_uid: str, instances: list[Instance], delivery: Delivery
) -> None:
    folder.mkdir(parents=True)
    job = Job(
        delivery_id=1,
        project="p",
        ticket="0123456789",
        subject=subject(SECRET, instances[0].patient_id, study_uid),
        shift_days=None,  # as the profile says
        date_range=_DAYS,
        identity=frozenset[Identity]().union(*(one.identity for one in instances)),
    )
    work = Work(inbox=inbox, staging=folder, profile=profile, secret=SECRET, job=job)
    for one in transform(work, instances):
        if isinstance(one, Staged):
            delivery.results[one.arrival.path] = f"{folder.name}/{one.series_uid}/{one.sop_uid}.dcm"
        elif isinstance(one, Refusal):
            delivery.refused[one.arrival.path] = f"{one.reason.value} {one.detail}"
