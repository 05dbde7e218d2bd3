"""What tests of the transform share: small files, and the steps of a worker on bytes in memory."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path
from struct import pack

from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID

from coatcheck.deid.actions import Context
from coatcheck.deid.elements import Window
from coatcheck.deid.fact_reader import FactReader
from coatcheck.deid.facts import Facts
from coatcheck.deid.gate import Gate
from coatcheck.deid.part10 import Head, inflate, new_meta, read_head
from coatcheck.deid.plan import Plan
from coatcheck.deid.profile import Profile
from coatcheck.deid.rewrite import Rewriter
from coatcheck.deid.same import Known
from coatcheck.errors import Refused
from coatcheck.profile_file import load_profile
from coatcheck.reasons import Reason
from tests.tools.plant import lenient_pydicom

SECRET = b"0123456789abcdef" * 2
SUBJECT = "SSUBJECT"
DAYS = -100
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
NATIVE = (IMPLICIT, EXPLICIT, BIG)
CT, MR, SC = (f"1.2.840.10008.5.1.4.1.1.{kind}" for kind in ("2", "4", "7"))
_LONG = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"})


def raw(tag: int, vr: str, value: bytes, length: int | None = None, *, big: bool = False) -> bytes:
    """One explicit Data Element exactly as told: nothing is padded, and the length may be a lie."""
    length = len(value) if length is None else length
    order = ">" if big else "<"
    head = pack(order + "HH", tag >> 16, tag & 0xFFFF) + vr.encode()
    head += b"\0\0" + pack(order + "L", length) if vr in _LONG else pack(order + "H", length)
    return head + value


def raw_implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """One implicit little endian Data Element exactly as told."""
    return pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def raw_item(content: bytes, length: int | None = None) -> bytes:
    """An item; of undefined length (0xFFFFFFFF) with its delimiter."""
    end = pack("<HHL", 0xFFFE, 0xE00D, 0) if length == 0xFFFFFFFF else b""
    return pack("<HHL", 0xFFFE, 0xE000, len(content) if length is None else length) + content + end


SEQUENCE_END = pack("<HHL", 0xFFFE, 0xE0DD, 0)

UIDS = raw(0x00080016, "UI", CT.encode() + b"\0") + raw(0x00080018, "UI", b"1.2.3.4.30")
PATIENT = raw(0x00100010, "PN", b"Mallory^Eve ") + raw(0x00100020, "LO", b"MRN-7755")
STUDY = raw(0x0020000D, "UI", b"1.2.3.4.10") + raw(0x0020000E, "UI", b"1.2.3.4.20")


def raw_file(*parts: bytes, syntax: str = EXPLICIT) -> bytes:
    """A Part 10 file around these bytes."""
    return new_meta(CT, "1.2.3.4.30", syntax) + b"".join(parts)


def raw_instance(group_8: bytes = b"", group_10: bytes = b"", group_18: bytes = b"", rest: bytes = b"") -> bytes:
    """A whole Instance of patient Mallory^Eve, MRN-7755, with more elements at four places."""
    return raw_file(UIDS, group_8, PATIENT, group_10, group_18, STUDY, rest)


def instance(sop_class: str = CT) -> Dataset:
    """A Data Set with the UIDs and the patient that every Instance needs."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = UID(sop_class), UID("1.2.3.4.30")
    ds.StudyInstanceUID, ds.SeriesInstanceUID = UID("1.2.3.4.10"), UID("1.2.3.4.20")
    ds.PatientName, ds.PatientID = "Mallory^Eve", "MRN-7755"
    return ds


def file_of(ds: Dataset, syntax: str = EXPLICIT) -> bytes:
    """A Data Set as a Part 10 file, written by pydicom."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    out = io.BytesIO()
    with lenient_pydicom():
        whole = FileDataset(io.BytesIO(), ds, file_meta=meta, preamble=bytes(128))
        dcmwrite(out, whole, enforce_file_format=True)
    return out.getvalue()


def read(data: bytes) -> FileDataset:
    """A file as pydicom reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dcmread(io.BytesIO(data), force=True)


def window_of(data: bytes) -> Window:
    """Bytes in memory as the engine sees a file."""
    return Window(lambda offset, length: data[offset : offset + length], len(data))


def opened(data: bytes) -> tuple[bytes, Window, Head]:
    """The file as it can be walked; inflated where that is needed."""
    window = window_of(data)
    head = read_head(window)
    if not head.deflated:
        return data, window, head
    out = io.BytesIO()
    inflate(window, head.start, out)
    return out.getvalue(), window_of(out.getvalue()), head._replace(start=0, deflated=False)


def facts_of(data: bytes, known: Known | None = None) -> Facts:
    """What intake reads of a file."""
    _, window, head = opened(data)
    return FactReader(window, head, known).read()


@cache
def profile(name: str) -> Profile:
    """A built-in profile."""
    return load_profile(name, Path())


def context(days: int = DAYS) -> Context:
    """What actions know in these tests."""
    return Context(secret=SECRET, subject=SUBJECT, shift_days=days)


def rewritten(data: bytes, name: str = "basic", days: int = DAYS) -> bytes:
    """The result without the gate, as a Part 10 file."""
    result, _, _ = _rewrite(data, name, days)
    return result


def _rewrite(data: bytes, name: str, days: int) -> tuple[bytes, int, Rewriter]:
    source, window, head = opened(data)
    keys = FactReader(window, head).read().keys
    known = context(days)
    rewriter = Rewriter(window, Plan(profile(name), keys[0x00080016]), known)
    pieces = rewriter.run(head.start, head.encoding)
    parts = [source[slice(*part)] if isinstance(part, tuple) else part for part in pieces.parts]
    body = b"".join(parts)
    assert len(body) == pieces.length
    meta = new_meta(keys[0x00080016], known.uid(keys[0x00080018]), head.transfer_syntax)
    return meta + body, len(meta), rewriter


def deidentified(data: bytes, name: str = "basic", days: int = DAYS) -> bytes:
    """All that a worker does: read, rewrite, gate. Raises Refused."""
    facts = facts_of(data)
    if facts.concern is not None and facts.concern != Reason.PIXEL_RISK:
        raise Refused(facts.concern, facts.concern_detail)
    result, start, rewriter = _rewrite(data, name, days)
    encoding = opened(data)[2].encoding
    Gate(facts.identity, SUBJECT).check(window_of(result), start, encoding, rewriter.written)
    return result


def refusal(data: bytes, name: str = "basic") -> Refused | None:
    """Why a file does not come out, or None where it does."""
    try:
        deidentified(data, name)
    except Refused as refused:
        return refused
    return None
