"""Where text hides: in other encodings, behind escapes, in base64 and hexadecimal digits, and in deflated streams."""

from __future__ import annotations

import html
import re
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator

_CODECS = (
    *("utf-8", "utf-16-le", "utf-16-be", "latin-1", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr", "cp437"),
    *("iso8859-2", "iso8859-3", "iso8859-4", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-9"),
    *("cp850", "cp874", "cp1250", "cp1251", "koi8-r", "mac-roman"),
)
_ESCAPES = re.compile(rb"\x1b[$(][@-B()J]?")
_HIDDEN_MIN = 6  # letters of a text that is searched in base64 and hexadecimal digits
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}|&#?[0-9A-Za-z]{2,31};|\\u[0-9A-Fa-f]{4}")
_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_BACKSLASH_U = re.compile(r"\\u([0-9A-Fa-f]{4})")
_STREAM = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|PK\x03\x04")
INFLATED_MAX = 1 << 24  # bytes, of one value
_PIECE = 1 << 14
_PLAUSIBLE = 6  # inflated bytes; fewer hold nothing that is searched


def encoded(text: str) -> Iterator[bytes]:
    """A text beyond ASCII as bytes in the encodings in which it may lie in a value that does not say so."""
    for form in {text, text.lower(), text.upper(), text.title()}:
        if form.isascii():
            continue
        for codec in _CODECS:
            data = _bytes_of(form, codec)
            if len(data) > 3:
                yield data
        yield form.encode("utf-8", "replace").decode("latin-1").encode()  # UTF-8 taken for Latin-1
        for data in _ESCAPES.split(_bytes_of(form, "iso2022_jp")):
            if len(data) > 3:
                yield data


def _bytes_of(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return b""


def in_base64(text: str) -> Iterator[str]:
    """What stands in base64 of anything that holds the text, wherever in it: what its own bits alone decide."""
    for form in _cases(text):
        data = form.encode("utf-8", "replace")
        for before in range(3):
            letters = (len(data) + before) * 8 // 6
            whole = b64encode(bytes(before) + data + b"\0\0").decode()[(before * 8 + 5) // 6 : letters]
            yield whole
            yield whole.translate({ord("+"): "-", ord("/"): "_"})


def in_hex(text: str) -> Iterator[str]:
    """The text in hexadecimal digits, in lower case."""
    for form in _cases(text):
        yield form.encode("utf-8", "replace").hex()


def _cases(text: str) -> set[str]:
    return {text, text.lower(), text.upper(), text.title()} if len(text) >= _HIDDEN_MIN else set()


def unescaped(text: str) -> str:
    """The text with the characters for percent signs, entities of HTML and escapes of JSON, and read as UTF-8 where it
    was taken for Latin-1; the same text where there is nothing of the kind."""
    if _ESCAPED.search(text) is not None:
        text = _PERCENT.sub(lambda match: _from_percent(match[0]), text)
        text = _BACKSLASH_U.sub(lambda match: chr(int(match[1], 16)), text) if "\\u" in text else text
        text = html.unescape(text) if "&" in text else text
    return text if text.isascii() else _as_utf8(text)


def _from_percent(text: str) -> str:
    data = bytes.fromhex(text.replace("%", ""))
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _as_utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


Read = Callable[[int, int], bytes]


def streams(piece: bytes, at: int, end: int, read: Read) -> Iterator[tuple[int, int, Iterator[bytes]]]:
    """Each deflated stream (zlib, gzip, zip) that begins in ``piece``, which stands at ``at``: where it begins, where
    its data do, and its content bit by bit. The content ends where the stream does, or is none."""
    for match in _STREAM.finditer(piece):
        begin = at + match.start()
        if match[0] != b"PK\x03\x04":
            yield begin, begin, inflated(read, begin, end, 47)
            continue
        head = read(begin, min(begin + 30, end))
        if len(head) == 30:
            data = begin + 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            yield begin, data, inflated(read, data, end, -15)


def inflated(read: Read, begin: int, end: int, window: int) -> Iterator[bytes]:
    """The content of a deflated stream, in pieces, as far as it can be read. ``window`` is that of zlib: 47 for zlib
    and gzip, -15 for a stream without a head."""
    engine = zlib.decompressobj(window)
    for place in range(begin, end, _PIECE):
        data = read(place, min(place + _PIECE, end))
        while data:
            try:
                content = engine.decompress(data, _PIECE)
            except zlib.error:
                return
            if content:
                yield content
            data = engine.unconsumed_tail
        if engine.eof:
            return
