from __future__ import annotations

import io
import logging
import os
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck import journal, libsystemd, log_text
from coatcheck.errors import CoatcheckError

SECRET = "DOE^JANE"
logger = logging.getLogger("coatcheck.test")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root, own = logging.getLogger(), logging.getLogger("coatcheck")
    before = (
        root.handlers[:],
        root.level,
        own.level,
        threading.excepthook,
        sys.unraisablehook,
        logging.raiseExceptions,
    )
    yield
    logging.captureWarnings(False)
    root.handlers[:], level, own_level, threading.excepthook, sys.unraisablehook, logging.raiseExceptions = before
    root.setLevel(level)
    own.setLevel(own_level)


@pytest.fixture
def lines() -> io.StringIO:
    """What a process that is configured with a clock that stands still writes to stderr."""
    stream = io.StringIO()
    journal.configure(stream, {}, clock=lambda: 0.0)
    return stream


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """A datagram socket in the journal's place."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(5)
    listener.bind(str(tmp_path / "journal"))
    yield listener
    listener.close()


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "stderr").open("w+") as stream:
        yield stream


def leading_to(stream: TextIO) -> dict[str, str]:
    found = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}


def decoded(datagram: bytes) -> dict[str, str]:
    """The journal's native protocol, read as systemd's page about it says."""
    found: dict[str, str] = {}
    while datagram:
        name, _, rest = datagram.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            datagram = rest
        else:
            length = int.from_bytes(rest[:8], "little")
            value, datagram = rest[8 : 8 + length], rest[8 + length + 1 :]
        found[name.decode()] = value.decode()
    return found


def fail_with_a_value() -> None:
    raise ValueError(f"{SECRET} is no date")


def test_a_line_has_time_level_project_ticket_and_message(lines: io.StringIO) -> None:
    record = logger.makeRecord(
        logger.name, logging.INFO, __file__, 1, "delivered", (), None, extra={"project": "lung", "study": "7F3K9Q2MXA"}
    )
    record.created = 1795255200.9

    logger.handle(record)

    assert lines.getvalue() == "2026-11-21T10:00:00Z info lung 7F3K9Q2MXA: delivered\n"


def test_a_record_without_project_and_study_keeps_its_columns(lines: io.StringIO) -> None:
    logger.warning("the state folder is almost full")

    assert lines.getvalue().split(" ", 1)[1] == "warning - -: the state folder is almost full\n"


def test_a_record_is_always_one_line(lines: io.StringIO) -> None:
    logger.info("one\n2026-11-21T10:00:00Z info lung -: forged")

    assert lines.getvalue().count("\n") == 1


def test_a_foreign_exception_is_named_with_its_places_and_without_its_words(lines: io.StringIO) -> None:
    try:
        fail_with_a_value()
    except ValueError:
        logger.exception("the file could not be read")

    assert "the file could not be read: ValueError at unit/test_journal.py:" in lines.getvalue()
    assert "fail_with_a_value < " in lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_causes_are_named_too_and_only_our_own_errors_keep_their_words(lines: io.StringIO) -> None:
    try:
        try:
            fail_with_a_value()
        except ValueError as error:
            raise CoatcheckError("the vault is damaged", "restore it") from error
    except CoatcheckError:
        logger.exception("stopped")

    assert "CoatcheckError (the vault is damaged: restore it) at " in lines.getvalue()
    assert ", because of ValueError at " in lines.getvalue()
    assert SECRET not in lines.getvalue()


@pytest.mark.parametrize("template", ["failed: %s", "failed: %r"])
def test_an_exception_given_as_an_argument_loses_its_words(lines: io.StringIO, template: str) -> None:
    logger.error(template, ValueError(SECRET))

    assert "ValueError" in lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_an_exception_given_as_the_message_loses_its_words(lines: io.StringIO) -> None:
    logger.error(ValueError(SECRET))

    assert lines.getvalue().endswith("error - -: ValueError\n")


def test_a_message_that_does_not_fit_its_arguments_is_still_a_line(lines: io.StringIO) -> None:
    logger.error("%d files", SECRET)

    assert "cannot be put into words" in lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_a_librarys_words_are_left_out(lines: io.StringIO) -> None:
    logging.getLogger("a_library").warning("Invalid value for VR DA: %s", SECRET)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)  # pytest's own recording of warnings stands in between
        warnings.warn(f"Invalid value for VR DA: {SECRET}", stacklevel=1)

    assert "warning - -: a_library reported something at unit/test_journal.py:" in lines.getvalue()
    assert "py.warnings reported something at " in lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_a_librarys_small_talk_is_not_logged_at_all(lines: io.StringIO) -> None:
    logging.getLogger("pydicom").info("reading %s", SECRET)

    assert lines.getvalue() == ""


def test_a_thread_that_dies_tells_its_place_and_not_its_words(lines: io.StringIO) -> None:
    thread = threading.Thread(target=fail_with_a_value)
    thread.start()
    thread.join()

    assert "critical - -: a thread ended: ValueError at " in lines.getvalue()
    assert SECRET not in lines.getvalue()


def test_a_closed_stderr_ends_nothing_and_prints_nothing(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stream = (tmp_path / "stderr").open("w")
    journal.configure(stream, {})
    stream.close()

    logger.error("a message")

    assert capfd.readouterr().err == ""


def test_the_same_message_passes_once_a_minute_and_says_what_was_left_out() -> None:
    stream, now = io.StringIO(), [0.0]
    journal.configure(stream, {}, clock=lambda: now[0])
    for second in range(120):
        now[0] = float(second)
        logger.warning("the inbox is absent", extra={"project": "lung"})

    first, second_line = stream.getvalue().splitlines()
    assert first.endswith("lung -: the inbox is absent")
    assert second_line.endswith("lung -: the inbox is absent (and 59 more like this were left out)")


def test_projects_and_messages_do_not_silence_each_other(lines: io.StringIO) -> None:
    for project in ("lung", "heart"):
        for inbox in ("absent", "back"):
            logger.warning("the inbox is %s", inbox, extra={"project": project})

    assert lines.getvalue().count("\n") == 4


def test_the_rate_limit_forgets_messages_that_are_long_past() -> None:
    limit = log_text.RateLimit(lambda: 0.0)
    for number in range(5000):
        assert limit.filter(logging.LogRecord("coatcheck", logging.INFO, "", 1, f"message {number}", None, None))

    assert len(limit._seen) <= 1000


def test_a_stderr_that_is_the_journal_gets_fields_instead_of_lines(
    journald: socket.socket, stderr: TextIO, tmp_path: Path
) -> None:
    journal.configure(stderr, leading_to(stderr), journal_socket=str(tmp_path / "journal"))

    logger.error("set aside: %s", "truncated", extra={"project": "lung", "study": "7F3K9Q2MXA"})

    found = decoded(journald.recv(65536))
    line = found.pop("CODE_LINE")
    assert line.isdigit()
    assert found == {
        "MESSAGE": "set aside: truncated",
        "PRIORITY": "3",
        "SYSLOG_IDENTIFIER": "coatcheck",
        "COATCHECK_PROJECT": "lung",
        "COATCHECK_STUDY": "7F3K9Q2MXA",
        "CODE_FILE": __file__,
        "CODE_FUNC": "test_a_stderr_that_is_the_journal_gets_fields_instead_of_lines",
    }
    assert Path(stderr.name).read_text() == ""


def test_a_very_long_message_is_cut_and_still_arrives(journald: socket.socket, stderr: TextIO, tmp_path: Path) -> None:
    journal.configure(stderr, leading_to(stderr), journal_socket=str(tmp_path / "journal"))

    logger.error("x" * 1_000_000)

    assert decoded(journald.recv(65536))["MESSAGE"].endswith("xxx [cut]")


def test_a_journal_that_is_away_leaves_a_line_on_stderr(stderr: TextIO, tmp_path: Path) -> None:
    journal.configure(stderr, leading_to(stderr), journal_socket=str(tmp_path / "nobody"))

    logger.error("a message")

    assert Path(stderr.name).read_text().endswith("error - -: a message\n")


def test_another_journal_stream_than_ours_is_not_the_journal(stderr: TextIO, tmp_path: Path) -> None:
    assert journal.leads_to_journal(stderr, leading_to(stderr))
    assert not journal.leads_to_journal(stderr, {"JOURNAL_STREAM": "1:2"})
    assert not journal.leads_to_journal(stderr, {})
    assert not journal.leads_to_journal(io.StringIO(), leading_to(stderr))


@pytest.mark.parametrize(
    ("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3"), ("critical", "2")]
)
def test_levels_become_the_journals_priorities(level: str, priority: str) -> None:
    record = logging.LogRecord("coatcheck", getattr(logging, level.upper()), "", 1, "m", None, None)

    assert journal.fields(record)["PRIORITY"] == priority


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,9}", fullmatch=True), st.text()))
def test_any_text_survives_the_journals_protocol(content: dict[str, str]) -> None:
    assert decoded(journal.datagram(content)) == content


def test_a_text_that_is_no_unicode_is_sent_all_the_same() -> None:
    assert decoded(journal.datagram({"MESSAGE": "a\udcffb"})) == {"MESSAGE": "a?b"}


@pytest.mark.skipif(libsystemd.journal is None, reason="systemd-python is not installed (the extra `systemd`)")
def test_systemd_python_takes_our_fields(stderr: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[list[bytes]] = []
    monkeypatch.setattr("systemd.journal.sendv", lambda *fields: sent.append(list(fields)))
    journal.configure(stderr, leading_to(stderr))

    logger.error("a message", extra={"project": "lung"})

    assert b"MESSAGE=a message" in sent[0]
    assert b"COATCHECK_PROJECT=lung" in sent[0]
    assert len([field for field in sent[0] if field.startswith(b"CODE_")]) == 3


def test_a_real_process_writes_plain_lines_to_its_stderr() -> None:
    program = (
        "import logging, os, sys; from coatcheck import journal; journal.configure(sys.stderr, os.environ);"
        "logging.getLogger('coatcheck').info('hello')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stderr.endswith("Z info - -: hello\n")
