"""The work on the Instances of one Study: which are transformed, which only compared, and what came of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from coatcheck import worker
from coatcheck.batches import Batches
from coatcheck.deid.content import cleans
from coatcheck.deid.profile import Profile
from coatcheck.lane import Lane
from coatcheck.model import Arrival, Instance, Refusal, Staged, Unready
from coatcheck.pool import Crashed
from coatcheck.reasons import Reason
from coatcheck.transform import transform

BATCH: Final = 64


@dataclass(slots=True)
class Results:
    """What came of a Study's Instances. ``given_back`` are files that were not ready after all."""

    staged: list[Staged] = field(default_factory=list)
    duplicates: list[Staged] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    given_back: list[Unready] = field(default_factory=list)
    uids: dict[str, str] = field(default_factory=dict, repr=False)

    def forget(self) -> None:
        """Begins anew."""
        for part in (self.staged, self.duplicates, self.refused, self.given_back, self.uids):
            part.clear()

    @property
    def nothing(self) -> bool:
        """Whether every file was given back."""
        return not (self.staged or self.duplicates or self.refused)

    def refuse(self, arrival: Arrival, reason: Reason, detail: str = "") -> None:
        """One Instance alone is set aside."""
        self.refused.append(Refusal(arrival=arrival, reason=reason, detail=detail))


def may_pass(one: Instance, profile: Profile, *, pixel_risk: bool) -> bool:
    """Whether what intake was concerned about the project allows (``pixel_risk``), or the profile cleans."""
    if one.concern is Reason.PIXEL_RISK:
        return pixel_risk
    return one.concern is None or cleans(profile, one.concern, one.concern_detail)


class Workload:
    """The batches of one Study. Of several Instances with one SOP Instance UID the first by its path is worked on."""

    def __init__(
        self,
        pool: Lane,
        context: worker.Work,
        instances: Sequence[Instance],
        *,
        pixel_risk: bool,
        earlier: Callable[[Iterable[str]], Mapping[str, str]],
    ) -> None:
        """``earlier`` gives the new UIDs that an earlier system gave, of those that it is told."""
        self.results = Results()
        self._pool = pool
        self._instances = instances
        self._pixel_risk = pixel_risk
        self._earlier = earlier
        self._begin(context)

    def _begin(self, context: worker.Work) -> None:
        self.results.forget()
        self._context = context
        self._uids = dict(context.job.uids)
        self._seconds: list[tuple[Instance, bytes]] = []
        first: dict[str, Instance] = {}
        seconds = []
        for one in self._instances:
            if one.concern is not None and not may_pass(one, context.profile, pixel_risk=self._pixel_risk):
                self.results.refuse(one.arrival, one.concern, one.concern_detail)
            elif one.sop_uid in first:
                seconds.append(one)
            else:
                first[one.sop_uid] = one
        self._batches = Batches(self._pool, context.job.ticket)
        self._batches.add(transform, context, list(first.values()), self._transformed, size=BATCH)
        self._batches.add(worker.digest, context, seconds, self._digested, size=BATCH)

    def step(self) -> bool:
        """Goes on as far as it can; True when every Instance has its result. Raises OSError for weather.

        What the Instances refer to is known only now. Where an earlier system gave it other UIDs, all is done again.
        """
        if not self._batches.step():
            return False
        referred = self._earlier(self.results.uids)
        if not referred:
            return True
        job = self._context.job
        self._begin(replace(self._context, job=replace(job, uids=(*job.uids, *sorted(referred.items())))))
        return self.step()

    def compare(self, taken: dict[str, bytes]) -> None:
        """Tells new Instances from those that came before, by their content; ``taken`` maps new UIDs to digests."""
        results = self.results
        first = {one.sop_uid: one for one in results.staged}
        known = [one for one in results.staged if one.sop_uid in taken]
        results.staged = [one for one in results.staged if one.sop_uid not in taken]
        for one in known:
            self._repeated(one, one.arrival, same=one.digest == taken[one.sop_uid])
        for instance, digest in self._seconds:
            profile, secret = self._context.profile, self._context.secret
            before = first.get(self._uids.get(instance.sop_uid) or profile.uid(secret, instance.sop_uid))
            if before is None:  # The first was refused or given back: this one gets its turn.
                results.given_back.append(Unready(arrival=instance.arrival))
            else:
                self._repeated(before, instance.arrival, same=digest == before.digest)
        self._seconds = []

    def _repeated(self, before: Staged, arrival: Arrival, *, same: bool) -> None:
        if same:
            self.results.duplicates.append(replace(before, arrival=arrival, uids=()))
        else:
            self.results.refuse(arrival, Reason.DUPLICATE_DIFFERS, "(0008,0018)")

    def _transformed(self, batch: Sequence[Instance], results: list[Staged | Refusal | Unready | Crashed]) -> None:
        for instance, result in zip(batch, results, strict=True):
            if isinstance(result, Staged):
                self.results.uids.update(result.uids)
                self.results.staged.append(replace(result, arrival=instance.arrival, uids=()))
            else:
                self._without_result(instance, result)

    def _digested(self, batch: Sequence[Instance], results: list[Any]) -> None:
        for instance, result in zip(batch, results, strict=True):
            if isinstance(result, bytes):
                self._seconds.append((instance, result))
            else:
                self._without_result(instance, result)

    def _without_result(self, instance: Instance, result: Refusal | Unready | Crashed) -> None:
        if isinstance(result, Refusal):
            self.results.refused.append(result)
        elif isinstance(result, Crashed):
            self.results.refuse(instance.arrival, Reason.CRASHED)
        else:
            self.results.given_back.append(result)
