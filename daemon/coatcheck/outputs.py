"""What a project wants to be made of its results: what the worker that seals them is told, and what people are told."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from coatcheck import __version__
from coatcheck.bench import Bench
from coatcheck.config import Project
from coatcheck.deid.standard import EDITION
from coatcheck.delivery import folder
from coatcheck.delivery.finishing import Finished, Finishing, finish
from coatcheck.ledger import StudyRow
from coatcheck.model import Job
from coatcheck.workload import Results

Sealing = tuple[Callable[[Any, Sequence[Path]], Sequence[Any]], object]


def sealing(bench: Bench, job: Job, study: StudyRow, results: Results, dropped: Mapping[str, str]) -> Sealing:
    """What makes the results durable, for the pool, and its context; nothing more where nothing is asked for.

    ``dropped`` are paths as people dropped them, of originals that lie elsewhere now.
    """
    project = bench.project
    if not words(project) and project.receipt == "no":
        return folder.seal, frozenset(f"{one.series_uid}/{one.sop_uid}.dcm" for one in results.staged)
    number = bench.ledger.next_number(study.id)
    return finish, Finishing(
        layout=project.arranged,
        variables={"site": ""} | project.variables | {"project": project.name, "subject": study.subject},
        study_uid=study.study_uid,
        identity=job.identity,
        kept=bench.profile.kept_kinds,
        results=tuple(results.staged),
        session=job.ticket + (f"x{number}" if number > 1 else ""),
        receipt=None if project.receipt == "no" else _receipt(bench, study, results),
        checksums=project.receipt == "checksums",
        dicomdir=project.dicomdir,
        nifti=project.nifti,
        zip=project.zip,
        dropped=dropped,
    )


def words(project: Project) -> str:
    """The layout and what else is made, as the ledger keeps it: "" for results that lie as they are made."""
    layout = "" if project.arranged.is_plain else project.arranged.name or "own"
    more = [word for word in ("zip", "dicomdir", "nifti") if getattr(project, word)]
    return " ".join([layout or Project.model_fields["layout"].default.name, *more]) if layout or more else ""


def folder_of(bench: Bench, finished: Finished | bool | None, study: StudyRow) -> tuple[int, str]:
    """The delivery's number and its folder in the outbox."""
    wanted = finished.folder if isinstance(finished, Finished) else f"{study.subject}/{study.study_uid}"
    taken = partial(bench.ledger.is_taken, bench.project.name)
    return folder.folder_name(bench.project.outbox, wanted, bench.ledger.next_number(study.id), taken)


def tell(bench: Bench, finished: Finished | bool | None, ticket: str) -> None:
    """Says in the log what happened to names, and what gave no NIfTI; never a name."""
    if not isinstance(finished, Finished):
        return
    for count, text in (
        (finished.numbered, "%d names were taken already in this delivery and got a number: see the layout"),
        (finished.replaced, "%d names were not fit for the outbox, UIDs took their place: see the layout"),
        (finished.unconverted, "%d Series could not be converted to NIfTI"),
    ):
        if count:
            bench.log(logging.WARNING, text, count, ticket=ticket)


def _receipt(bench: Bench, study: StudyRow, results: Results) -> dict[str, Any]:
    """What a receipt says before the files have their names: counts and the method, and nothing of the patient.

    It holds no time and no number of a delivery, so that work which is repeated writes the same.
    """
    series = Counter(one.series_uid for one in results.staged)
    refused = Counter(one.reason.value for one in results.refused)
    counts = {"delivered": len(results.staged), "duplicates": len(results.duplicates), "refused": refused.total()}
    profile = bench.profile
    return {
        "version": 1,
        "coatcheck": __version__,
        "project": bench.project.name,
        "ticket": study.ticket,
        "subject": study.subject,
        "study_instance_uid": study.study_uid,
        "instances": {"received": sum(counts.values()), **counts},
        "refused": dict(sorted(refused.items())),
        "series": [{"series_instance_uid": uid, "instances": series[uid]} for uid in sorted(series)],
        "layout": words(bench.project) or bench.project.layout.name,
        "profile": {"name": profile.name, "digest": profile.digest},
        "edition": EDITION,
        "methods": [{"code": one.code, "meaning": one.meaning} for one in profile.methods],
    }
