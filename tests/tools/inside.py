"""A command run inside this process: what it costs is not a start of Python."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple

from coatcheck.cli.main import main


class Done(NamedTuple):
    """Exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


def inside(*arguments: object) -> Done:
    """Run a command; nothing is read from a terminal."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(one) for one in arguments])
    out.seek(0)
    return Done(code, out.read(), err.getvalue())
