"""Originals, opened for reading: nothing can be swapped underneath, and what changed meanwhile is noticed."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from coatcheck.deid.elements import Window
from coatcheck.deid.part10 import Head, inflate, read_head
from coatcheck.errors import Refused
from coatcheck.files import Folders, fingerprint, open_regular
from coatcheck.intake.writers import is_being_written
from coatcheck.model import Arrival
from coatcheck.reasons import Reason


class Changed(Exception):
    """The original is not (any more) the file that settled."""


class Originals(Folders):
    """The originals of one inbox, opened one by one. Files on ``device_here``, where all writers are on this machine,
    must not be open for writing.
    """

    def __init__(self, inbox: Path, device_here: int | None = None) -> None:
        super().__init__(inbox)
        self._device_here = device_here

    @contextmanager
    def open(self, arrival: Arrival) -> Iterator[int]:
        """The original; checked to be the file that settled, before and after it is used."""
        try:
            fd, status = open_regular(*self.holding(arrival.path))
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise Refused(Reason.NOT_A_FILE) from None
            raise Changed from error
        try:
            if fingerprint(status) != arrival.fingerprint:
                raise Changed
            if arrival.fingerprint.device == self._device_here and is_being_written(fd):
                raise Changed
            try:
                yield fd
            except Refused:
                if fingerprint(os.fstat(fd)) == arrival.fingerprint:
                    raise
                raise Changed from None  # What looks broken is being written.
            if fingerprint(os.fstat(fd)) != arrival.fingerprint:
                raise Changed
        finally:
            os.close(fd)


@contextmanager
def original(inbox: Path, arrival: Arrival, device_here: int | None = None) -> Iterator[int]:
    """One original alone, opened as :class:`Originals` does."""
    with Originals(inbox, device_here) as originals, originals.open(arrival) as fd:
        yield fd


def windowed(fd: int, size: int | None = None) -> Window:
    """A file's bytes for the walker: the first ``size`` or all. Raises Changed where they cannot be read."""

    def read(offset: int, length: int) -> bytes:
        try:
            data = os.pread(fd, length, offset)
        except OSError as error:
            raise Changed from error  # One file that cannot be read now is tried again, and holds up no other.
        if len(data) != length:
            raise Changed
        return data

    return Window(read, os.fstat(fd).st_size if size is None else size)


@contextmanager
def plain_source(fd: int, size: int | None = None) -> Iterator[tuple[int, Window, Head]]:
    """The file as it can be walked: (descriptor, window, head). A deflated one is inflated into a nameless file."""
    window = windowed(fd, size)
    head = read_head(window)
    if not head.deflated:
        yield fd, window, head
        return
    with ExitStack() as stack:
        try:
            inflated = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            inflate(window, head.start, inflated)
        except OSError as error:
            raise Changed from error  # There is no room for this file now. Others need none.
        plain = inflated.fileno()
        yield plain, windowed(plain), head._replace(start=0, deflated=False)
