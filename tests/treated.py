"""What tests of profiles share: a profile from its text, and all that a worker does with it, on bytes in memory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from coatcheck.deid.actions import Context, Ids
from coatcheck.deid.attributes import attributes_of
from coatcheck.deid.cleaning import Cleaner
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import new_meta
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import Profile
from coatcheck.deid.repeats import Repeats
from coatcheck.deid.rewrite import Rewriter
from coatcheck.deid.scope import Made
from coatcheck.model import Identity
from coatcheck.profile_file import load_profile
from tests.support import SECRET, SUBJECT, facts_of, opened, window_of

DATE_RANGE = (-365, -1)


def profile_of(text: str, variables: dict[str, str] | None = None) -> Profile:
    """The profile that this YAML stands for. Raises ConfigError."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "mine.yaml"
        path.write_text(text)
        return load_profile(str(path), Path(), variables)


def problems_of(folder: Path, text: str, variables: dict[str, str] | None = None) -> list[tuple[int, str, str]]:
    """What is wrong with this YAML: line, key, and what with its hint."""
    from coatcheck.problems import ConfigError

    path = folder / "mine.yaml"
    path.write_text(text)
    try:
        load_profile(str(path), folder, variables)
    except ConfigError as error:
        assert all(one.file == str(path) for one in error.problems)
        return [(one.line, one.key, f"{one.what}: {one.hint}") for one in error.problems]
    return []


class Treatment:
    """A profile on its way over Instances of one patient. ``shared``: they share what repeats, as in a batch.

    ``identity`` is what text is cleaned of; by default what the Instance itself tells.
    """

    def __init__(
        self,
        profile: Profile,
        days: int | None = None,
        *,
        shared: bool = False,
        identity: frozenset[Identity] | None = None,
    ) -> None:
        self.profile = profile
        self._days = days
        self._identity = identity
        self._shared: dict[object, Repeats[Made]] | None = {} if shared else None
        self.uids: dict[str, str] = {}

    def context(self, identity: frozenset[Identity], ids: Ids) -> Context:
        """What the actions are told."""
        profile = self.profile
        days = self._days if self._days is not None else profile.dates.shift(DATE_RANGE).days(SECRET, ids, "trial")
        cleaner = Cleaner(identity, days if profile.temporal_information == "MODIFIED" else None, profile.kept_kinds)
        return Context(
            secret=SECRET,
            subject=SUBJECT,
            shift_days=days,
            uids=self.uids,
            retains_uids=profile.retains_uids,
            project="trial",
            variables=dict(profile.variables),
            ids=ids,
            cleaner=cleaner.clean,
            masker=cleaner.mask,
            seal=lambda value: b"sealed" + bytes(byte ^ 0x55 for byte in value),
        )

    def result(self, data: bytes, *, gate: bool = True) -> bytes:
        """The result as a Part 10 file, past the gate. Raises Refused."""
        facts = facts_of(data)
        source, window, head = opened(data)
        sop_class, sop, study, series = (facts.keys[tag] for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E))
        identity = frozenset(facts.identity) if self._identity is None else self._identity
        context = self.context(identity, Ids(SUBJECT, study, series, sop))
        attributes = attributes_of(window, head.start, head.encoding, self.profile.reads)
        context.attributes = attributes
        holding = self.profile.holding(attributes)
        plan = Plan(self.profile, sop_class, holding)
        rewriter = Rewriter(window, plan, context, self._repeating((sop_class, holding, series, sop, attributes)))
        pieces = rewriter.run(head.start, head.encoding)
        body = b"".join(source[slice(*part)] if isinstance(part, tuple) else part for part in pieces.parts)
        assert len(body) == pieces.length
        meta = new_meta(sop_class, context.uid(sop), head.transfer_syntax)
        if gate:
            search = Gate(facts.identity, SUBJECT, self.profile.kept_kinds)
            search.check(window_of(meta + body), len(meta), head.encoding, rewriter.written, plan.permits)
        return meta + body

    def _repeating(self, parts: tuple[object, ...]) -> Repeats[Made] | None:
        """As transform does: shared by those Instances that are treated alike."""
        if self._shared is None:
            return None
        sop_class, holding, series, sop, attributes = parts
        varies = self.profile.varies
        key = (
            sop_class,
            holding,
            series if "series" in varies else "",
            sop if "instance" in varies else "",
            str(attributes) if "attributes" in varies else "",
        )
        return self._shared.setdefault(key, Repeats[Made]())


def treated(data: bytes, profile: Profile, days: int | None = None, *, gate: bool = True) -> bytes:
    """One Instance under a profile."""
    return Treatment(profile, days).result(data, gate=gate)
