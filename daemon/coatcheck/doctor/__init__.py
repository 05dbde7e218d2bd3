"""`coatcheck doctor`: is what ARCHITECTURE.md promises true of the data that lie here, whether or not a service runs?

Everything is read in short looks and bounded memory. An examination takes a `Visit` and gives `Finding`s.
"""

from __future__ import annotations

from coatcheck.doctor.examination import examine
from coatcheck.doctor.findings import Finding, Level

__all__ = ["Finding", "Level", "examine"]
