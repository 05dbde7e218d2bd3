"""Read by every Python process that a house starts: coatcheck runs as it is installed, without what only tests need.

NumPy, where it is there, is imported by sqlite-utils and pydicom, and makes each start a fifth slower.
"""

import sys

sys.modules["numpy"] = None  # type: ignore[assignment]  # an import of it fails
