"""Sends notices by e-mail and webhook, from a thread of its own: a server that is away or hangs holds nothing up."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from coatcheck.config_watching import Mail, Notify, Webhook
from coatcheck.errors import CoatcheckError
from coatcheck.monitoring.bulletin import Bulletin, Notice
from coatcheck.status import StatusReport

if TYPE_CHECKING:
    from email.message import EmailMessage

logger = logging.getLogger("coatcheck")
_PERIOD: Final = 5.0  # seconds between two looks
_TIMEOUT: Final = 20.0  # seconds for each step of a conversation
_BACK_OFF: Final = (30.0, 3600.0)  # seconds: the first pause after a failure, and the longest
_MOST: Final = 50  # notices that wait; the oldest goes first
_LARGEST: Final = 4096  # bytes of a secret


@dataclass(slots=True, kw_only=True)
class Channel:
    """One way out. What could not be sent waits, in order, and is tried again with growing pauses."""

    name: str
    send: Callable[[Notice], None]
    waiting: deque[Notice] = field(default_factory=lambda: deque(maxlen=_MOST))
    delay: float = 0.0
    until: float = float("-inf")

    def step(self, now: float) -> None:
        """Sends what waits, unless it pauses. Raises nothing."""
        while self.waiting and now >= self.until:
            try:
                self.send(self.waiting[0])
            except Exception as error:
                if not self.delay:
                    logger.warning("a notice by %s cannot be sent now (%s)", self.name, type(error).__name__)
                self.delay = min(max(_BACK_OFF[0], 2 * self.delay), _BACK_OFF[1])
                self.until = now + self.delay
                return
            if self.delay:
                logger.info("notices by %s can be sent again", self.name)
            self.delay = 0.0
            self.waiting.popleft()


def channels(notify: Notify, environ: Mapping[str, str]) -> list[Channel]:
    """The ways out that a configuration names."""
    found = []
    if notify.mail is not None:
        mail = notify.mail
        found.append(Channel(name="mail", send=lambda notice: send_mail(mail, notice, environ)))
    if notify.webhook is not None:
        hook = notify.webhook
        found.append(Channel(name="webhook", send=lambda notice: post(hook, notice, environ)))
    return found


def secret(path: Path, environ: Mapping[str, str]) -> str:
    """What stands in a file, or in a systemd credential of its name, which wins. Raises OSError, ValueError.

    It is read anew for each message, so that a changed one needs no restart.
    """
    handed_over = Path(environ["CREDENTIALS_DIRECTORY"]) / path.name if "CREDENTIALS_DIRECTORY" in environ else None
    with open(handed_over if handed_over is not None and handed_over.exists() else path, encoding="utf-8") as source:
        return source.read(_LARGEST).strip()


def send_mail(mail: Mail, notice: Notice, environ: Mapping[str, str]) -> None:
    """One e-mail to all. Raises OSError, of which smtplib's own errors are."""
    import smtplib
    import ssl

    secure = ssl.create_default_context()
    if mail.tls == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail.server.name, mail.server.port, timeout=_TIMEOUT, context=secure)
    else:
        server = smtplib.SMTP(mail.server.name, mail.server.port, timeout=_TIMEOUT)
    try:
        if mail.tls == "starttls":
            server.starttls(context=secure)
        if mail.user is not None and mail.password_file is not None:
            server.login(mail.user, secret(mail.password_file, environ))
        server.send_message(_written(mail, notice))
        with suppress(OSError):  # It is on its way, however the server says goodbye.
            server.quit()
    finally:
        server.close()


def _written(mail: Mail, notice: Notice) -> EmailMessage:
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    host = socket.gethostname()
    message = EmailMessage()
    message["Subject"] = f"coatcheck on {host}: {notice.subject}"
    message["From"], message["To"] = mail.sender, ", ".join(mail.to)
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=mail.sender.rpartition("@")[2])
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join((*notice.lines, "", "See `coatcheck status` on this machine.")) + "\n")
    return message


def post(hook: Webhook, notice: Notice, environ: Mapping[str, str]) -> None:
    """One POST of JSON; ``text`` is what chat programs show. Raises OSError, also where it is redirected or refused."""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            """The token goes nowhere but to where it was meant to."""

    host = socket.gethostname()
    text = "\n".join((f"coatcheck on {host}: {notice.subject}", *notice.lines))
    body: dict[str, Any] = {"version": 1, "host": host, "text": text, **asdict(notice)}
    headers = {"Content-Type": "application/json", "User-Agent": "coatcheck"}
    if hook.token_file is not None:
        headers["Authorization"] = f"Bearer {secret(hook.token_file, environ)}"
    with build_opener(Stay).open(Request(hook.url, json.dumps(body).encode(), headers), timeout=_TIMEOUT) as answer:
        answer.read(1)


class Messenger:
    """The thread. ``read`` gives the status; what it cannot read it looks at again later."""

    def __init__(
        self,
        notify: Notify,
        read: Callable[[], StatusReport],
        ways: list[Channel],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bulletin = Bulletin(after=notify.after, every=notify.at_most_every, quarantine=notify.quarantine)
        self._read = read
        self._ways = ways
        self._clock = clock
        self._ended = threading.Event()

    @classmethod
    def begin(cls, notify: Notify, read: Callable[[], StatusReport]) -> Messenger:
        """Begins to watch."""
        made = cls(notify, read, channels(notify, os.environ))
        threading.Thread(target=made.run, name="notices", daemon=True).start()
        return made

    def run(self) -> None:
        """Looks every few seconds until it is stopped."""
        while not self._ended.wait(_PERIOD):
            self.step()

    def step(self) -> None:
        """One look, and what has to be sent."""
        try:
            notices = self._bulletin.look(self._clock(), self._read())
        except (CoatcheckError, OSError):
            notices = []  # It is looked at again; what it means is a fault that the loop meets itself.
        for way in self._ways:
            way.waiting.extend(notices)
            way.step(self._clock())

    def stop(self) -> None:
        """Watches no longer. What is being sent is not waited for."""
        self._ended.set()
