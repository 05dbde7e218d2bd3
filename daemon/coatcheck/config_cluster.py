"""Where work is done, as the configuration says it, and by what the members of a cluster know each other."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from coatcheck.config_values import folder, wrong
from coatcheck.problems import nearest

SCHEME: Final = "dask://"
_HERE: Final = ("processes", "inline")
_DASK: Final = re.compile(r"dask://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})")
_FILES: Final = ("ca", "cert", "key")


class Tls(BaseModel):
    """PEM files. Whoever has a certificate of ``ca`` is a member of the cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    ca: Path = Field(description="The certificate of the cluster's own authority.")
    cert: Path = Field(description="A certificate of that authority.")
    key: Path = Field(description="The private key to that certificate; for nobody but the service to read.")


def _tls(value: object, info: ValidationInfo) -> object:
    hint = "write `tls: {ca: FILE, cert: FILE, key: FILE}`"
    if value is None or isinstance(value, Tls):
        return value
    if not isinstance(value, dict) or set(value) != set(_FILES):
        raise wrong("must name three files: `ca`, `cert` and `key`", hint)
    base = (info.context or {}).get("base", Path("/"))
    return {name: folder(value[name], base, "a PEM file", hint) for name in _FILES}


def _executor(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str) or not value.startswith("dask:"):
        if value not in _HERE:
            hint = nearest(str(value), (*_HERE, "dask://HOST:8786"))
            raise wrong("must be one of processes, inline, dask://HOST:PORT", hint)
        return value
    found = _DASK.fullmatch(value)
    if found is None or not 0 < int(found[2]) < 65536:
        raise wrong("is no address of a Dask scheduler", "write `executor: dask://HOST:8786`")
    if info.data.get("tls") is None and not _is_loopback(found[1]):
        hint = "name the certificates of the cluster: `tls: {ca: FILE, cert: FILE, key: FILE}`"
        raise wrong("would send keys and identities through a network without TLS", hint)
    return value


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


Members = Annotated[Tls | None, BeforeValidator(_tls)]
Where = Annotated[
    str,
    BeforeValidator(_executor),
    WithJsonSchema({"anyOf": [{"enum": list(_HERE)}, {"type": "string", "pattern": f"^{_DASK.pattern}$"}]}),
]
