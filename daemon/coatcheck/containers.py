"""What is in a zip, tar or tar.gz, read as from an enemy: names are checked, and nothing but content is taken over.

A link is never made, and never followed: what it says becomes the content of a small file. Rights, owners and times are
not taken over either.
"""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from lzma import LZMAError
from typing import IO, Any, Final, NamedTuple, Protocol

from coatcheck.errors import Refused
from coatcheck.intake.names import is_litter
from coatcheck.reasons import Reason
from coatcheck.source import Changed

_LONGEST_NAME: Final = 255  # bytes
_LONGEST_PATH: Final = 1500
_DEEPEST: Final = 64
_BLOCK: Final = 1 << 16
_MOST_PADDING: Final = 1 << 30
_DAMAGE: Final = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, struct.error),
    *(LZMAError, ValueError, KeyError, IndexError, OverflowError, AttributeError, TypeError, AssertionError),
)
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # of the general purpose flags: content, strongly, names


class Readable(Protocol):
    """What gives its next bytes, and none at its end."""

    def read(self, size: int, /) -> bytes | None:
        """The next bytes."""


class Member(NamedTuple):
    """One file of an archive: the names that lead to it, and what opens its content."""

    names: tuple[str, ...]
    open: Callable[[], IO[bytes]]


def members(fd: int) -> Iterator[Member]:
    """The files of an archive, each to be read before the next. Folders and litter are passed over.

    Raises Refused for what is damaged, encrypted or leads out of its own folder; Changed where it cannot be read.
    """
    source = Source(fd)
    with damage():
        if source.begins_with(b"PK"):
            yield from _zipped(source)
        elif source.begins_with(b"\x1f\x8b"):
            yield from _tarred(gzip.GzipFile(fileobj=source, mode="rb"))
        else:
            yield from _tarred(source)


@contextmanager
def damage() -> Iterator[None]:
    """Turns what an archive's damage makes a reader raise into Refused. Errors of the disk are let through."""
    try:
        yield
    except EOFError:
        raise bad("truncated") from None
    except tarfile.ReadError as error:
        raise bad("truncated" if "unexpected end" in str(error) else "invalid") from None
    except NotImplementedError:
        raise bad("unsupported encoding") from None
    except _DAMAGE:
        raise bad("invalid") from None
    except RuntimeError as error:
        if isinstance(error, RecursionError):
            raise
        raise bad("invalid") from None


def bad(detail: str) -> Refused:
    """The refusal of a whole archive; ``detail`` is made of words that the ledger knows."""
    return Refused(Reason.BAD_ARCHIVE, detail)


class Source(io.RawIOBase):
    """A descriptor as a file to read. An error of the disk is raised as Changed, so that it is no verdict."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._at = 0

    def begins_with(self, magic: bytes) -> bool:
        """Whether these are its first bytes."""
        found = self._pread(len(magic), 0) == magic
        return found

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves within the file or behind its end; ValueError before its beginning."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError("before the beginning")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fills the buffer as far as the file goes."""
        data = self._pread(len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _pread(self, length: int, at: int) -> bytes:
        if at >= self._size:
            return b""
        try:
            return os.pread(self._fd, min(length, self._size - at), at)
        except OSError as error:
            raise Changed from error


def _zipped(source: Source) -> Iterator[Member]:
    with zipfile.ZipFile(io.BufferedReader(source)) as archive:
        infos = archive.infolist()
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            raise Refused(Reason.ENCRYPTED)
        for info in infos:
            names = _names(info.filename.replace("\\", "/"))
            if names and not info.is_dir() and not any(map(is_litter, names)):
                yield Member(names, lambda info=info: archive.open(info))  # type: ignore[misc]


def _tarred(source: Readable) -> Iterator[Member]:
    forward = _Forward(source)
    with tarfile.open(fileobj=forward, mode="r|") as archive:  # type: ignore[call-overload]
        for info in archive:
            archive.members = []  # It would remember all of them.
            names = _names(info.name)
            if names and not info.isdir() and not any(map(is_litter, names)):
                yield Member(names, lambda info=info: _content(archive, info))  # type: ignore[misc]
        forward.finish(archive.offset)


def _content(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    """A file's content. What is none becomes a file that tells what it was, and is set aside."""
    if info.isreg():
        content = archive.extractfile(info)
        assert content is not None  # of a regular file
        return content
    said = f"a link to {info.linkname}" if info.issym() or info.islnk() else "a pipe or a device"
    return io.BytesIO(said.encode("utf-8", "surrogateescape"))


class _Forward:
    """A tar file that is read to its end. A reader of tar files stops without a word where something is wrong."""

    def __init__(self, source: Readable) -> None:
        self._source = source
        self._last = b""
        self._end = 0  # of what was read so far, in the tar file

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._source.read(size) or b""
        self._end += len(data)
        self._last = data or self._last
        return data

    def finish(self, stopped: int) -> None:
        """Raises Refused unless zeros alone follow where the reader stopped, EOFError where the end of gzip lacks."""
        begin = self._end - len(self._last)
        tail = self._last[stopped - begin :] if stopped >= begin else b"?"
        if not tail:
            raise bad("truncated")
        for _ in range(_MOST_PADDING // _BLOCK):
            if tail.strip(b"\0"):
                raise bad("invalid")
            tail = self.read(_BLOCK)
            if not tail:
                return
        raise bad("data larger than the limit")


def _names(path: str) -> tuple[str, ...]:
    """The names that lead to a file of an archive. Raises Refused where they lead elsewhere, or cannot be names."""
    names = tuple(name for name in path.split("/") if name not in ("", "."))
    try:
        longest = max((len(os.fsencode(name)) for name in names), default=0)
        whole = len(os.fsencode(path))
    except UnicodeEncodeError:
        raise bad("name invalid") from None
    if ".." in names or "\0" in path:
        raise bad("name invalid")
    if longest > _LONGEST_NAME or whole > _LONGEST_PATH or len(names) > _DEEPEST:
        raise bad("name exceeds limit")
    return names
