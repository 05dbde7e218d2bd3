"""What `coatcheck check` says of a cluster: whether it may be used, answers, and has workers that may be given work."""

from __future__ import annotations

import os
import ssl
import stat
from collections.abc import Iterator
from typing import Literal

from coatcheck.cluster_pool import cluster_of
from coatcheck.config import Config, Problem
from coatcheck.config_cluster import SCHEME
from coatcheck.errors import CoatcheckError

_PLAIN = "is spoken to without certificates: every user of this machine can make its workers do anything"


def check_cluster(config: Config) -> list[Problem]:
    """All problems and notes of the cluster that ``executor`` names; none where it names none."""
    if not config.executor.startswith(SCHEME):
        return []
    found = list(_tls(config))
    if config.tls is None:
        found.append(
            _problem(config, "executor", _PLAIN, "name certificates with `tls`, unless nobody else is", "note")
        )
    if all(problem.level == "note" for problem in found):
        found += _answers(config)
    return found


def _tls(config: Config) -> Iterator[Problem]:
    if config.tls is None:
        return
    key = config.tls.key
    try:
        context = ssl.create_default_context(cafile=config.tls.ca)
        context.load_cert_chain(config.tls.cert, key)
        if stat.S_IMODE(os.stat(key).st_mode) & 0o007:
            yield _problem(config, "tls", "its key can be read by everybody", f"`chmod 640 {key}`")
    except OSError as error:  # an SSLError is one
        what = f"cannot be used ({error.strerror or type(error).__name__})"
        yield _problem(config, "tls", what, "name three PEM files that this user can read: `ca`, `cert` and its `key`")


def _answers(config: Config) -> Iterator[Problem]:
    try:
        cluster = cluster_of(config)
        try:
            _, others = cluster.survey()
        finally:
            cluster.stop()
    except CoatcheckError as error:
        yield _problem(config, "executor", error.what, error.hint)
        return
    if others:
        what = f"{others} of its workers get no work: they are no units of coatcheck, or of another build"
        yield _problem(config, "executor", what, "install the same version there and restart them", "note")


def _problem(config: Config, key: str, what: str, hint: str, level: Literal["problem", "note"] = "problem") -> Problem:
    file, line = config.place(key)
    return Problem(file=file, line=line, key=key, what=what, hint=hint, level=level)
