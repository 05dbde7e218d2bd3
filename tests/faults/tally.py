"""What became of dropped files: each one delivered once and whole, or set aside, or still waiting."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from tests.acceptance import studies
from tests.acceptance.house import House, tree


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Names of dropped files that are nowhere, or came out twice; and how many results are no dropped file's."""

    lost: list[str]
    doubled: list[str]
    partial: int

    @property
    def numbers(self) -> dict[str, int]:
        """As the table of faults has it."""
        return {"lost": len(self.lost), "doubled": len(self.doubled), "partial": self.partial}


def image(study: int, number: int, *, side: int = 8) -> bytes:
    """An Instance whose pixels are like no other's, so that a result can be told by them."""
    pixels = random.Random(f"{study} {number}").randbytes(side * side * 2)
    return studies.instance(study, number, side=side, PixelData=pixels)


def pixels_of(content: bytes) -> str:
    """What tells an image from others."""
    return sha256(studies.read(content).PixelData).hexdigest()


def tally(house: House, dropped: Mapping[str, bytes], *, delivered: bool = True) -> Tally:
    """Compare what lies in a house with what was dropped whole. With ``delivered`` each must have come out."""
    out = Counter(pixels_of(content) for content in house.delivered().values())
    kept = {sha256(content).digest() for folder in (house.archive, house.inbox) for content in tree(folder).values()}
    wanted = {name: pixels_of(content) for name, content in dropped.items()}
    lost = [
        name
        for name, content in dropped.items()
        if sha256(content).digest() not in kept or (delivered and not out[wanted[name]])
    ]
    return Tally(
        lost=lost,
        doubled=[name for name, pixels in wanted.items() if out[pixels] > 1],
        partial=sum(count for pixels, count in out.items() if pixels not in wanted.values()),
    )
