"""What is fuzzed, and what must hold for any input: no exception but a refusal, nobody's name in a result, results that
others can read, and bounds of time and memory. A target raises :class:`Finding` where one of these does not hold.
"""

from __future__ import annotations

import io
import resource
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pydicom import Dataset, config, dcmread

from coatcheck.deid.cleaning import Cleaner
from coatcheck.deid.directory import is_directory
from coatcheck.deid.elements import Encoding, Ends, Window, elements, is_sequence, item_encoding, items
from coatcheck.deid.fact_reader import FactReader
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import inflate, read_head
from coatcheck.deid.pixels import PIXEL_TAGS
from coatcheck.deid.profile import Profile
from coatcheck.errors import Refused
from coatcheck.files import fingerprint
from coatcheck.ledger.guard import is_detail
from coatcheck.model import Arrival, Directory, Identity, Instance, Job, Refusal, Staged
from coatcheck.profile_file import load_profile
from coatcheck.reasons import Reason
from coatcheck.transform import transform
from coatcheck.worker import Reading, Work, examine
from coatcheck.workload import may_pass
from tests.support import SECRET, SUBJECT, window_of
from tests.tools.plant import lenient_pydicom

NAME, NUMBER = "Zyqorvald^Halmar", "MRN77Q12345"
TOKENS = (b"zyqorvald", b"mrn77q12345")
KNOWN = frozenset(
    {
        Identity("name", NAME),
        Identity("id", NUMBER),
        Identity("uid", "1.2.826.0.1.3680043.8.498.77.1"),
        Identity("date", "19410307"),
    }
)
SECONDS = 10.0  # of processor time for one small input; what takes longer would take for ever with a large one
MEMORY = 256 << 20  # bytes by which one small input may raise the peak
_INFLATED = 1 << 20
_PROFILES = Path(__file__).resolve().parents[3] / "profiles"


class Finding(Exception):
    """Something that must not be. ``key`` is the same for inputs that show the same mistake."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def bounded(target: Callable[[bytes], None], data: bytes) -> None:
    """The target on one input, with its bounds. Raises Finding; any other exception becomes one by its place."""
    peak, begun = _peak(), time.process_time()
    try:
        target(data)
    except Finding:
        raise
    except Exception as error:
        raise Finding(_place(error)) from error
    if time.process_time() - begun > SECONDS:
        raise Finding("slow")
    if _peak() - peak > MEMORY:
        raise Finding("large")


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}" if trace else ""
    return f"{type(error).__name__} in {where}"


def walker(data: bytes) -> None:
    """The head, every element at every depth, and the facts of a file."""
    window = window_of(data)
    try:
        head = read_head(window)
        if head.deflated:
            out = io.BytesIO()
            inflate(window, head.start, out, _INFLATED)
            window, head = window_of(out.getvalue()), head._replace(start=0, deflated=False)
        _walked(window, head.start, window.size, head.encoding, {}, 0)
        is_directory(window, head)
        FactReader(window, head).read()
    except Refused as refused:
        _harmless(refused)


def _walked(window: Window, begin: int, end: int, encoding: Encoding, ends: Ends, depth: int) -> None:
    """Each element lies in its parent, behind the one before it."""
    at = begin
    for one in elements(window, begin, end, encoding, ends, depth):
        if not (at == one.start < one.value <= one.value_end <= one.end <= end):
            raise Finding("an element lies outside of its place")
        at = one.end
        if is_sequence(one):
            inside = item_encoding(one, encoding)
            for first, last in items(window, one, inside, ends, depth + 1):
                if not one.value < first <= last <= one.value_end:
                    raise Finding("an item lies outside of its sequence")
                _walked(window, first, last, inside, ends, depth + 1)


def _harmless(refused: Refused) -> None:
    if not is_detail(refused.detail):
        raise Finding("a detail that the ledger may not hold")


class Worker:
    """All that a worker does with a file: it is examined, transformed by one of the profiles, and passes the gate.

    The Study is known to be of one patient, and nothing of that patient may be in a result, whatever the input is.
    """

    def __init__(self, root: Path) -> None:
        self._inbox, self._staging = root / "inbox", root / "staging"
        self._inbox.mkdir()
        self._staging.mkdir()

    def __call__(self, data: bytes) -> None:
        """The input under the profile that it chooses by its checksum."""
        names = profiles()
        self.under(data, names[zlib.crc32(data) % len(names)])

    def under(self, data: bytes, profile: Profile) -> str:
        """The input under one profile; gives the reason of the refusal, or ""."""
        path = self._inbox / "f"
        path.write_bytes(data)
        arrival = Arrival(project="p", path="f", fingerprint=fingerprint(path.stat()))
        (found,) = examine(Reading(inbox=self._inbox), [arrival])
        if isinstance(found, Directory):
            return "directory"
        if isinstance(found, Refusal):
            return _judged(found)
        if not isinstance(found, Instance):
            raise Finding("a file that nobody touched is not ready")
        if not may_pass(found, profile, pixel_risk=True):
            return str(found.concern)
        (staged,) = transform(self._work(found, profile), [found])
        if isinstance(staged, Refusal):
            return _judged(staged)
        if not isinstance(staged, Staged):
            raise Finding("a file that nobody touched is not ready")
        result = self._staging / staged.series_uid / f"{staged.sop_uid}.dcm"
        content = result.read_bytes()
        result.unlink()
        result.parent.rmdir()
        _check(content, staged)
        return ""

    def _work(self, found: Instance, profile: Profile) -> Work:
        job = Job(
            delivery_id=1,
            project="p",
            ticket="7F3K9Q2MXA",
            subject=SUBJECT,
            shift_days=None if profile.dates.scope in ("series", "instance") else -100,
            identity=found.identity | KNOWN,
        )
        return Work(inbox=self._inbox, staging=self._staging, profile=profile, secret=SECRET, job=job)


@cache
def profiles() -> tuple[Profile, ...]:
    """Every profile that ships."""
    return tuple(load_profile(path.stem, Path()) for path in sorted(_PROFILES.glob("*.yaml")))


def _judged(refusal: Refusal) -> str:
    """A refusal is fine, but for one that tells of a mistake or of a file that took too long."""
    if refusal.reason in (Reason.FAILED, Reason.TIMED_OUT):
        raise Finding(f"{refusal.reason} {refusal.detail}".strip())
    if not is_detail(refusal.detail):
        raise Finding("a detail that the ledger may not hold")
    return refusal.reason.value


def _check(content: bytes, staged: Staged) -> None:
    if len(content) != staged.size:
        raise Finding("a result of another size than was told")
    window = window_of(content)
    head = read_head(window)
    _walked(window, head.start, window.size, head.encoding, {}, 0)
    pixels = [one for one in elements(window, head.start, window.size, head.encoding, {}) if one.tag in PIXEL_TAGS]
    end = pixels[0].start if pixels else len(content)
    if any(token in form for token in TOKENS for form in _forms(content[:end])):
        raise Finding("a name in a result")
    _read_by_others(content)


def _forms(data: bytes) -> tuple[bytes, ...]:
    folded = data.lower()
    return folded, folded.replace(b"\0", b"")


def _read_by_others(content: bytes) -> None:
    with lenient_pydicom():
        config.convert_wrong_length_to_UN = True  # what was a wrong number in the original may stay one
        config.replace_un_with_known_vr = True
        try:
            _entered(dcmread(io.BytesIO(content)))
        except Exception as error:
            raise Finding(f"pydicom cannot read a result: {_place(error)}") from error
        finally:
            config.convert_wrong_length_to_UN = False


def _entered(ds: Dataset) -> None:
    """Opens every sequence; values are not asked for, since those of the original may be wrong and stay."""
    for tag in ds.keys():  # noqa: SIM118 - iterating the Data Set itself decodes values
        if ds.get_item(tag).VR == "SQ":
            for item in ds[tag].value:
                _entered(item)


class Search:
    """The gate and the cleaning of text and bytes on one value, its VR and character set chosen by its first byte."""

    _SETS = (("latin-1",), ("utf-8",), ("iso8859", "iso2022_jp_2"), ("shift_jis",), ("gb18030",))
    _VRS = ("LO", "LT", "OB", "PN", "SH", "UN", "UT", "CS", "OW", "UC")

    def __init__(self) -> None:
        self._gate = Gate(KNOWN, SUBJECT)
        self._cleaner = Cleaner(KNOWN, None)

    def __call__(self, data: bytes) -> None:
        """What passes the gate names nobody, and what was cleaned passes the gate."""
        choice, value = (data[0] if data else 0), data[1:]
        vr, charset = self._VRS[choice % len(self._VRS)], self._SETS[choice // len(self._VRS) % len(self._SETS)]
        try:
            if self._gate.kind_in(value, vr, charset) is None and any(token in value.lower() for token in TOKENS):
                raise Finding("the gate let a name pass")
            text = value.decode("utf-8", "replace")
            cleaned = self._cleaner.clean(text)
            if self._gate.kind_in(cleaned.encode(), "LT", ("utf-8",)) is not None:
                raise Finding("a cleaned text names somebody")
            if self._cleaner.clean(cleaned) != cleaned:
                raise Finding("a cleaned text is cleaned again")
            masked = self._cleaner.mask(value)
            if len(masked) != len(value):
                raise Finding("masked bytes have another length")
            if self._gate.kind_in(masked, "OB", ()) is not None:
                raise Finding("masked bytes name somebody")
        except Refused as refused:
            _harmless(refused)


NAMES = ("walker", "worker", "gate")


def made(name: str, root: Path | None = None) -> Callable[[bytes], None]:
    """A target by its name; ``root`` is an empty folder for what the worker writes."""
    if name == "walker":
        return walker
    return Search() if name == "gate" else Worker(root or Path(tempfile.mkdtemp()))
