"""Where fuzzing begins: small real files, objects of many kinds, and values in which names hide. No patient's data."""

from __future__ import annotations

import base64
import tempfile
import zlib
from functools import cache
from pathlib import Path
from struct import pack

from tests.support import BIG, DEFLATED, EXPLICIT, IMPLICIT, RLE, UIDS, file_of, raw, raw_file, raw_instance, raw_item
from tests.tools.fuzz.targets import NAME, NUMBER
from tests.tools.plant import plant
from tests.tools.real import real_files
from tests.tools.specimens import csa, dose_report, image, pet, siemens, therapy

_SMALL = 12 << 10


@cache
def files() -> tuple[bytes, ...]:
    """Whole files."""
    real = [path.read_bytes() for path in real_files() if path.stat().st_size <= _SMALL]
    with tempfile.TemporaryDirectory() as folder:
        plant(Path(folder))
        planted = [path.read_bytes() for path in sorted(Path(folder).glob("*.dcm")) if path.stat().st_size <= _SMALL]
    return (*real, *planted, *_made())


def _made() -> list[bytes]:
    slim = siemens(1)
    slim[0x00291020].value = csa(("MrPhoenixProtocol", "UN", [f"tPatient = {NAME}, sKSpace.lBaseResolution = 256"]))
    objects = [slim, pet(2), *therapy(), dose_report(3), image("1.2.840.10008.5.1.4.1.1.4", 4, PatientName=NAME)]
    found = [file_of(one, syntax) for one in objects for syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED)]
    fragments = pack("<HHL", 0xFFFE, 0xE000, 0) + raw_item(b"abcd") + pack("<HHL", 0xFFFE, 0xE0DD, 0)
    patient = raw(0x00100010, "PN", NAME.encode()) + raw(0x00100020, "LO", NUMBER.encode() + b" ")
    study = raw(0x0020000D, "UI", b"1.2.3.4.10") + raw(0x0020000E, "UI", b"1.2.3.4.20")
    pixels = raw(0x7FE00010, "OB", fragments, 0xFFFFFFFF)
    found.append(raw_file(UIDS, patient, study, pixels, syntax=RLE))
    found.append(raw_instance(rest=raw(0x00290010, "LO", b"MAKER ") + raw(0x00291001, "LT", NAME.encode())))
    return [one for one in found if len(one) <= 4 * _SMALL]


@cache
def values() -> tuple[bytes, ...]:
    """Values with a name in them, one way or another. The first byte chooses the VR and the character set."""
    name = NAME.encode()
    texts = [
        *(
            name,
            name.upper(),
            b"of Zyqorvald, Halmar",
            b"T1 MPRAGE sag",
            NUMBER.encode(),
            b"born 7 Mar 1941, seen 2004",
        ),
        *(base64.b64encode(b"patient " + name), name.hex().encode(), NAME.encode("utf-16-le"), b"Zyqorvald&#39;s head"),
        *(b"%5Ayqorvald", b"\\u005ayqorvald", zlib.compress(name * 3), b"1.2.826.0.1.3680043.8.498.77.1.5"),
        *(csa(("PatientName", "LO", [NAME])), "Zyqörvald Größe 山田".encode(), b"MRN-77-Q12345", b"19410307101500"),
    ]
    return tuple(bytes([choice]) + text for text in texts for choice in (0, 1, 2, 13, 21))
