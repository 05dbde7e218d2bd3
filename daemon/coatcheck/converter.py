"""Where the program dcm2niix is, which makes NIfTI of DICOM."""

from __future__ import annotations

import shutil
from contextlib import suppress


def dcm2niix() -> str | None:
    """The path of the program: the package's own, or the system's; None where it is not installed."""
    with suppress(ImportError):
        import dcm2niix

        return str(dcm2niix.bin)
    return shutil.which("dcm2niix")
