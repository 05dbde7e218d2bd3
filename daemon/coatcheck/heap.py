"""What Python looks through for garbage: what a start has made stays until the end, and is never looked through."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_YOUNG: Final = 20_000  # objects made since the last search; a batch makes some hundred, and next to no garbage


@contextmanager
def growing() -> Iterator[None]:
    """While things are made that stay."""
    gc.disable()
    try:
        yield
    finally:
        grown()
        gc.enable()


def grown() -> None:
    """All that stays is there. What workers have is in memory that they share, as long as nobody looks through it."""
    keep()
    gc.set_threshold(_YOUNG)


def keep() -> None:
    """Whatever is there now is never looked through again, also not when Python ends."""
    gc.freeze()
