"""``python -m coatcheck`` does what ``coatcheck`` does."""

from __future__ import annotations

import sys

from coatcheck.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
