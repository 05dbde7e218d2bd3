"""Metrics, health and notices: what they say, to whom, how often, and that nobody can hold them up."""

from __future__ import annotations

import json
import re
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from coatcheck.config import load
from coatcheck.config_watching import Host, Mail, Notify, Webhook
from coatcheck.errors import CoatcheckError
from coatcheck.ledger import Counts, FaultRow
from coatcheck.monitoring.bulletin import Bulletin, Notice
from coatcheck.monitoring.messenger import Channel, Messenger, post, send_mail
from coatcheck.monitoring.metrics import MetricsServer
from coatcheck.service_lock import Service
from coatcheck.standing import Word
from coatcheck.status import ProjectStatus, StatusReport
from tests.unit.test_status import LIVE

ROOT = Path(__file__).resolve().parents[2]
NOW = "2026-11-21T10:00:00.000Z"
FULL = FaultRow(
    id=1,
    at=NOW,
    project="lung",
    kind="work",
    what="the disk is full (ENOSPC)",
    hint="make room",
    count=1,
    last_at=NOW,
)


def report(word: Word = Word.IDLE, *, silent: float | None = None, **refusals: int) -> StatusReport:
    """How one project stands."""
    counts = Counts(
        studies=3,
        folders=4,
        deliveries={},
        instances={"delivered": 9},
        refusals={name.replace("_", "-"): files for name, files in refusals.items()},
        last_delivery=NOW,
    )
    faults = (FULL,) if word in (Word.WAITING, Word.ATTENTION) else ()
    lung = ProjectStatus(live=LIVE, counts=counts, faults=faults, word=word)
    service = Service(running=True, pid=1, started=NOW, updated=NOW)
    return StatusReport(service=service, projects={"lung": lung}, faults=(), silent=silent)


def told(bulletin: Bulletin, *looks: tuple[float, StatusReport]) -> list[tuple[float, str, str]]:
    return [(now, one.kind, one.subject) for now, said in looks for one in bulletin.look(now, said)]


def test_what_stands_long_enough_is_told_once_and_its_end_too() -> None:
    bulletin = Bulletin(after=300, every=3600, quarantine=True)
    bad, well = report(Word.ATTENTION), report(Word.WORKING)

    said = told(
        bulletin, (0, well), (10, bad), (100, well), (200, bad), (499, bad), (500, bad), (900, bad), (1000, well)
    )
    assert said == [(500, "attention", "lung: attention")]
    assert told(bulletin, (1299, well), (1300, well), (9000, well)) == [(1300, "well", "lung: well again")]


def test_what_comes_and_goes_is_told_no_more_often_than_was_asked_for() -> None:
    bulletin = Bulletin(after=10, every=3600, quarantine=True)
    looks = [(now, report(Word.WAITING if now // 100 % 2 else Word.IDLE)) for now in range(0, 7200, 5)]

    assert [kind for _, kind, _ in told(bulletin, *looks)].count("attention") == 2


def test_what_is_in_the_way_is_told_with_what_to_do() -> None:
    bulletin = Bulletin(after=0, every=0, quarantine=True)
    [notice] = bulletin.look(0, report(Word.WAITING))
    assert notice.lines == ("lung: waiting for disk", f"lung: since {NOW}: the disk is full (ENOSPC): make room")
    [silent] = bulletin.look(1, report(Word.ATTENTION, silent=125.0))
    assert silent.lines == ("the service: it has not been able to say anything for 2m 5s",)


def test_what_was_set_aside_is_counted_from_what_was_known() -> None:
    bulletin = Bulletin(after=60, every=600, quarantine=True)
    first = bulletin.look(0, report(truncated=5))
    assert first == []  # it lay there when the service started
    assert not bulletin.look(10, report(truncated=7, pixel_risk=1))
    [notice] = bulletin.look(70, report(truncated=7, pixel_risk=2))
    assert [line.split(":")[1] for line in notice.lines] == [
        " 2 files were set aside as pixel-risk",
        " 2 files were set aside as truncated",
    ]
    assert not bulletin.look(80, report(truncated=8))  # others were dropped meanwhile
    assert not bulletin.look(600, report(truncated=8))
    assert len(bulletin.look(670, report(truncated=8))) == 1
    assert told(Bulletin(after=0, every=0, quarantine=False), (0, report()), (9, report(truncated=1))) == []


NOTICE = Notice(kind="attention", subject="lung: attention", lines=("lung: attention",))


def test_a_server_that_is_away_is_tried_again_with_growing_pauses_and_nothing_is_lost() -> None:
    tried: list[float] = []
    now = [0.0]

    def send(notice: Notice) -> None:
        tried.append(now[0])
        if now[0] < 200:
            raise ConnectionRefusedError

    way = Channel(name="mail", send=send)
    settings = Notify(webhook=Webhook(url="http://127.0.0.1:1/"), after=0.0, at_most_every=0.0)
    messenger = Messenger(settings, lambda: report(Word.ATTENTION), [way], lambda: now[0])
    for second in range(0, 400, 5):
        now[0] = float(second)
        messenger.step()

    assert tried == [0, 30, 90, 210]
    assert not way.waiting


def test_what_cannot_be_read_ends_no_thread() -> None:
    def read() -> StatusReport:
        raise CoatcheckError("no ledger")

    Messenger(Notify(webhook=Webhook(url="http://127.0.0.1:1/")), read, []).step()


class Caught(BaseHTTPRequestHandler):
    """Keeps what was posted; /elsewhere redirects."""

    posts: list[tuple[dict[str, str], Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Caught.posts.append((dict(self.headers), body))
        self.send_response(302 if self.path == "/elsewhere" else 204)
        if self.path == "/elsewhere":
            self.send_header("Location", "http://127.0.0.1:9/")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[str]:
    Caught.posts = []
    with HTTPServer(("127.0.0.1", 0), Caught) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_webhook_gets_json_and_the_token_of_a_credential(tmp_path: Path) -> None:
    (tmp_path / "hook.token").write_text("old\n")
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/hook.token").write_text("handed over\n")
    with listening() as url:
        hook = Webhook(url=url, token_file=tmp_path / "hook.token")
        post(hook, NOTICE, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
        with pytest.raises(OSError):
            post(Webhook(url=f"{url}/elsewhere"), NOTICE, {})

    headers, body = Caught.posts[0]
    assert headers["Authorization"] == "Bearer handed over"
    assert (body["version"], body["kind"], body["lines"]) == (1, "attention", ["lung: attention"])
    assert "lung: attention" in body["text"]


def test_a_mail_goes_to_all_and_says_what_status_says() -> None:
    heard: list[bytes] = []

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 here\r\n")
            data = False
            for line in lines:
                heard.append(line)
                data = (data or line.startswith(b"data")) and line != b".\r\n"
                if line.startswith(b"data"):
                    connection.sendall(b"354 go on\r\n")
                elif not data:
                    connection.sendall(b"250 ok\r\n")  # to QUIT too, which is wrong: the mail was sent all the same

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        where = Host("127.0.0.1", server.getsockname()[1])
        send_mail(Mail(server=where, sender="c@example.org", to=("a@b.org", "d@e.org"), tls="none"), NOTICE, {})

    assert sum(line.startswith(b"rcpt TO:") for line in heard) == 2
    text = b"".join(heard)
    mail = message_from_bytes(text[text.index(b"Subject:") :])
    assert str(mail["Subject"]).endswith(": lung: attention")
    assert "lung: attention" in str(mail.get_payload())


def asked(path: Path, what: str) -> tuple[int, str]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
        with client.makefile("rb") as answer:
            said = answer.read().decode()
    return int(said.split()[1]), said.partition("\r\n\r\n")[2]


def test_the_end_point_tells_every_metric_and_whether_the_loop_turns(tmp_path: Path) -> None:
    turned = [1.0]
    where = tmp_path / "socket"
    server = MetricsServer(where, lambda: report(Word.WAITING, truncated=2), lambda: turned[0])
    try:
        assert where.stat().st_mode & 0o777 == 0o660
        code, text = asked(where, "/metrics")
        assert code == 200
        assert 'coatcheck_project_state{project="lung",word="waiting for disk"} 1.0' in text
        assert 'coatcheck_quarantined_files{project="lung",reason="truncated"} 2.0' in text
        assert 'coatcheck_instances_delivered_total{project="lung"} 9.0' in text
        stamp = datetime(2026, 11, 21, 10, tzinfo=UTC).timestamp()
        assert float(text.split('seconds{project="lung"} ')[-1].split()[0]) == stamp
        assert set(re.findall(r"(\w+)=\"", text)) == {"project", "word", "reason"}
        assert asked(where, "/health")[0] == 200
        turned[0] = 31.0
        assert asked(where, "/health")[0] == 503
        assert asked(where, "/")[0] == 404
    finally:
        server.stop()
    assert not where.exists()


def test_records_that_cannot_be_read_leave_the_health_as_it_is(tmp_path: Path) -> None:
    def read() -> StatusReport:
        raise CoatcheckError("no ledger")

    server = MetricsServer(Host("127.0.0.1", 0), read, lambda: 0.0)
    port = server._server.server_address[1] or server._server.socket.getsockname()[1]
    try:
        with pytest.raises(OSError, match="503"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=10) as answer:
            assert answer.status == 200
    finally:
        server.stop()


def test_every_metric_of_the_alerts_and_the_dashboard_exists(tmp_path: Path) -> None:
    server = MetricsServer(tmp_path / "socket", lambda: report(Word.IDLE, truncated=1), lambda: 0.0)
    text = asked(tmp_path / "socket", "/metrics")[1]
    server.stop()
    there = set(re.findall(r"^(coatcheck_\w+)[ {]", text, re.M))
    folder = ROOT / "systemd/monitoring"
    rules = yaml.safe_load((folder / "alerts.yaml").read_text())["groups"][0]["rules"]
    dashboard = json.loads((folder / "dashboard.json").read_text())
    asked_for = [rule["expr"] for rule in rules]
    asked_for += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = set(re.findall(r"\bcoatcheck_\w+", " ".join(asked_for)))

    assert named
    assert named <= there
    words = set(re.findall(r'word="([^"]+)"', " ".join(asked_for)))
    assert words <= set(Word)


CONFIG = "projects: {}\n"


@pytest.mark.parametrize(
    "text",
    [
        "metrics: 0.0.0.0:9464",
        "metrics: 192.0.2.7:9464",
        "metrics: example.org:9464",
        "metrics: 9464",
        "metrics: 127.0.0.1:99999",
        "notify: {}",
        "notify: {mail: {server: mx.example.org:25, sender: a@b.org, to: c@d.org, tls: none}}",
        "notify: {mail: {server: mx.example.org:25, sender: a@b.org, to: c@d.org, user: me}}",
        'notify: {mail: {server: mx.example.org:25, sender: a@b.org, to: "c@d.org\\nBcc: e@f.org"}}',
        "notify: {webhook: {url: http://example.org/}}",
        "notify: {webhook: {url: file:///etc/passwd}}",
    ],
)
def test_what_would_be_open_to_others_or_go_nowhere_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(f"{text}\nprojects:\n")
    with pytest.raises(CoatcheckError, match=r"c\.yaml:1: (metrics|notify)"):
        load(tmp_path / "c.yaml", may_be_empty=True)


@pytest.mark.parametrize("text", ["127.0.0.1:9464", "localhost:9464", "'[::1]:9464'", "./state/metrics.sock"])
def test_a_place_on_this_machine_is_taken(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(f"metrics: {text}\nprojects:\n")
    found = load(tmp_path / "c.yaml", may_be_empty=True).metrics
    assert found == tmp_path / "state/metrics.sock" if "/" in text else isinstance(found, Host)


def test_the_example_of_the_documentation_is_right(tmp_path: Path) -> None:
    text = (ROOT / "systemd/RUNNING.md").read_text()
    [example] = re.findall(r"^```yaml\n(notify:.*?)^```", text, re.M | re.S)
    (tmp_path / "c.yaml").write_text(f"{example}\nprojects:\n")
    found = load(tmp_path / "c.yaml", may_be_empty=True).notify
    assert found is not None
    assert (found.after, found.at_most_every, found.quarantine) == (300.0, 3600.0, True)
