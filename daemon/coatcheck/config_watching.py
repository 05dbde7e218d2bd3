"""The keys ``metrics`` and ``notify``: where the service may be asked how it does, and whom it tells by itself."""

from __future__ import annotations

import ipaddress
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, model_validator

from coatcheck.config_values import duration, folder, wrong
from coatcheck.units import DURATION

_HOST: Final = re.compile(r"\[?([A-Za-z0-9.:_-]+?)\]?:([0-9]{1,5})")
_ADDRESS: Final = re.compile(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+")
_WHERE: Final = "write the path of a Unix socket, or 127.0.0.1:9464"


class Host(NamedTuple):
    """A host and a port."""

    name: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, and no other can reach it."""
        try:
            return ipaddress.ip_address(self.name).is_loopback
        except ValueError:
            return self.name == "localhost"


def _host(value: object, hint: str) -> Host:
    match = _HOST.fullmatch(value) if isinstance(value, str) else None
    if match is None or not 0 < int(match[2]) < 65536:
        raise wrong("must be a host and a port", hint)
    return Host(match[1], int(match[2]))


def _metrics(value: object, info: ValidationInfo) -> Path | Host | None:
    if value is None or isinstance(value, Path | Host):
        return value
    if find_spec("prometheus_client") is None:
        raise wrong("needs the package prometheus-client", "install coatcheck with its extra `metrics`")
    if isinstance(value, str) and "/" in value:
        return folder(value, (info.context or {}).get("base", Path("/")), "a Unix socket", _WHERE)
    host = _host(value, _WHERE)
    if not host.is_loopback:
        raise wrong("may be asked for on this machine only", _WHERE)
    return host


def _server(value: object) -> Host:
    return value if isinstance(value, Host) else _host(value, "write `server: smtp.example.org:587`")


def _file(value: object, info: ValidationInfo) -> Path | None:
    return None if value is None else folder(value, (info.context or {}).get("base", Path("/")), "a file")


def _address(value: object) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise wrong("must be an address of e-mail", "write it as name@example.org")
    return value


def _addresses(value: object) -> tuple[str, ...]:
    found = (value,) if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not found:
        raise wrong("must be addresses of e-mail", "write `to: [name@example.org]`")
    return tuple(map(_address, found))


def _url(value: object) -> str:
    hint = "write `url: https://example.org/hook`"
    try:
        parts = urlsplit(value if isinstance(value, str) else "")
        here = Host(parts.hostname or "", parts.port or 0).is_loopback
    except ValueError:
        raise wrong("must be a URL", hint) from None
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username:
        raise wrong("must be a URL without a user", hint)
    if parts.scheme == "http" and not here:
        raise wrong("would go over the network without TLS", hint)
    return str(value)


_TEXT: Final = WithJsonSchema({"type": "string"})
_TEXTS: Final = WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}})
File = Annotated[Path | None, BeforeValidator(_file), _TEXT]
Wait = Annotated[
    float, BeforeValidator(duration), WithJsonSchema({"type": "string", "pattern": f"^{DURATION.pattern}$"})
]
Metrics = Annotated[
    Path | Host | None, BeforeValidator(_metrics), WithJsonSchema({"type": ["string", "null"], "minLength": 1})
]


class Mail(BaseModel):
    """An e-mail. ``password_file`` may be a systemd credential of that name."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    server: Annotated[Host, BeforeValidator(_server), _TEXT] = Field(description="The server, as HOST:PORT.")
    sender: Annotated[str, BeforeValidator(_address)] = Field(description="The address that it comes from.")
    to: Annotated[tuple[str, ...], BeforeValidator(_addresses), _TEXTS] = Field(description="Whom it goes to.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="starttls (587), tls from the first byte (465), or none to this very machine."
    )
    user: str | None = Field(default=None, description="The user at the server, with password_file.")
    password_file: File = Field(
        default=None, description="A file with the password; a systemd credential of its name wins."
    )

    @model_validator(mode="after")
    def _is_safe(self) -> Mail:
        if self.tls == "none" and not self.server.is_loopback:
            raise wrong("would go over the network without TLS", "write `tls: starttls` or `tls: tls`")
        if (self.user is None) != (self.password_file is None):
            raise wrong("needs `user` and `password_file` together", "write both, or neither")
        return self


class Webhook(BaseModel):
    """A POST of JSON. What stands in ``token_file`` goes along as a bearer token."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: Annotated[str, BeforeValidator(_url)] = Field(description="Where JSON is posted to, by https.")
    token_file: File = Field(
        default=None, description="A file with a bearer token; a systemd credential of its name wins."
    )


class Notify(BaseModel):
    """Whom the service tells that a person has to look, and how soon."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    mail: Mail | None = Field(default=None, description="An e-mail.")
    webhook: Webhook | None = Field(default=None, description="A POST of JSON, as chat programs take it.")
    after: Wait = Field(default=300.0, description="For how long something must stand so before it is told.")
    at_most_every: Wait = Field(default=3600.0, description="The same thing is told at most once in this time.")
    quarantine: bool = Field(default=True, description="Whether what was set aside is told of too, in numbers.")

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Notify:
        if self.mail is None and self.webhook is None:
            raise wrong("goes nowhere", "write `mail:` or `webhook:` below it")
        return self
