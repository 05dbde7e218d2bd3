"""What all batches of one errand need is packed once, and unpacked once in each process that works on them.

The context of a Study holds all that identifies its patient, some thousand texts. Packed with each batch it would cost
more than the batch.
"""

from __future__ import annotations

import itertools
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

Function = Callable[[Any, Sequence[Any]], Sequence[Any]]
_numbers = itertools.count()
_UNPACKED_MAX: Final = 4  # contexts that a worker keeps; each may hold a Study's identities
_unpacked: OrderedDict[tuple[int, int], object] = OrderedDict()


class Parcel:
    """A context on its way: in this process as it is, in another as one object, however many batches come with it."""

    def __init__(self, context: object) -> None:
        self.context = context
        self._name = (os.getpid(), next(_numbers))
        self._packed: bytes | None = None

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        """Packs the context the first time only."""
        if self._packed is None:
            self._packed = pickle.dumps(self.context, pickle.HIGHEST_PROTOCOL)
        return _Arrived, (self._name, self._packed)


class _Arrived:
    """A parcel in another process. It is not opened before the work on it begins, so that what goes wrong is told."""

    def __init__(self, name: tuple[int, int], packed: bytes) -> None:
        self._name = name
        self._packed = packed

    @property
    def context(self) -> object:
        """The context; the same object as long as it is among the last few."""
        if self._name not in _unpacked:
            if len(_unpacked) >= _UNPACKED_MAX:
                _unpacked.popitem(last=False)
            _unpacked[self._name] = pickle.loads(self._packed)  #
        _unpacked.move_to_end(self._name)
        return _unpacked[self._name]


def opened(context: object) -> Any:  # noqa: ANN401  # whatever was packed
    """A context that may be a parcel."""
    return context.context if isinstance(context, Parcel | _Arrived) else context


def work(function: Function, context: object, items: Sequence[Any]) -> Sequence[Any]:
    """Does a batch whose context may be a parcel."""
    return function(opened(context), items)
