"""What a systemd unit lets its service do with paths and keys, read from the text of the unit and its drop-ins.

Only what matters to coatcheck is read: see systemd.exec(5), "Sandboxing" and "Credentials", and systemd.syntax(7).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Final

_HOMES: Final = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY: Final = (Path("/tmp"), Path("/var/tmp"))
_KERNEL: Final = (Path("/dev"), Path("/proc"), Path("/sys"))
_SYSTEM: Final = (Path("/usr"), Path("/boot"), Path("/efi"))
_PROTECTED: Final = {"yes": _SYSTEM, "full": (*_SYSTEM, Path("/etc"))}
_OWN_FOLDERS: Final = {
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
    "RuntimeDirectory": "/run",
}
_LISTS: Final = frozenset(
    {"ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "BindPaths", "BindReadOnlyPaths", *_OWN_FOLDERS}
    | {"SupplementaryGroups", "Environment", "LoadCredential", "LoadCredentialEncrypted"}
)
_WHOLE: Final = frozenset({"LoadCredential", "LoadCredentialEncrypted"})  # one value on a line, with any spaces
_SPECIFIERS: Final = {"%": "%", "S": "/var/lib", "C": "/var/cache", "L": "/var/log", "E": "/etc", "t": "/run"}
_YES: Final = frozenset({"1", "yes", "y", "true", "t", "on"})


class Access(IntEnum):
    """What the service may do with a path, whatever the rights of files allow it."""

    HIDDEN = 0
    READ = 1
    WRITE = 2


@dataclass(frozen=True, slots=True)
class Credential:
    """A key that systemd hands to the service."""

    source: Path
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a unit says. Paths are as the disk has them, links followed."""

    user: str = "root"
    group: str = ""
    groups: tuple[str, ...] = ()
    config: Path | None = None  # the configuration that its command names, if it names one
    system: str = "no"  # ProtectSystem
    home: str = "no"  # ProtectHome
    private_tmp: bool = False
    writable: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    bound: tuple[Path, ...] = ()
    credentials: Mapping[str, Credential] = field(default_factory=dict)

    def access(self, path: Path) -> Access:
        """What the service may do with a path and with what lies below it."""
        if _nearest(path, self.hidden):
            return Access.HIDDEN
        if _nearest(path, self.bound):
            return Access.WRITE
        if _nearest(path, self.veiled):
            return Access.HIDDEN
        marks = dict(self._marks())
        place = _nearest(path, marks)
        return marks[place] if place else Access.WRITE

    @property
    def veiled(self) -> tuple[Path, ...]:
        """Folders in whose place the service sees empty ones of its own, but for what is bound into them."""
        homes = _HOMES if self.home in ("yes", "tmpfs") else ()
        return (*homes, *(_TEMPORARY if self.private_tmp else ()))

    def mount(self, path: Path) -> Path | None:
        """The mount of its own inside the service that this path lies below, or None.

        Each path that is bound or made writable is one, unless it lies below another. No file can be renamed from one
        into another.
        """
        bound = _nearest(path, self.bound)
        if bound:
            return bound
        marks = dict(self._marks())
        found = None
        for place in (path, *path.parents):
            if marks.get(place) is Access.WRITE:
                found = place
            elif place in marks and found is not None:
                break
        return found

    def _marks(self) -> Iterator[tuple[Path, Access]]:
        """Paths from which on something else holds. What comes later wins over the same path before."""
        if self.system == "strict":
            yield Path("/"), Access.READ
            yield from ((place, Access.WRITE) for place in (*_KERNEL, *_HOMES))
        elif self.system in _PROTECTED:
            yield from ((place, Access.READ) for place in _PROTECTED[self.system])
        if self.home == "read-only":
            yield from ((place, Access.READ) for place in _HOMES)
        yield from ((place, Access.READ) for place in self.read_only)
        yield from ((place, Access.WRITE) for place in self.writable)


def _nearest(path: Path, places: Iterable[Path]) -> Path | None:
    """The deepest of the places that is the path or lies above it."""
    above = [place for place in places if path == place or place in path.parents]
    return max(above, key=lambda place: len(place.parts), default=None)


def parse(texts: Sequence[str], real: Callable[[Path], Path] = lambda path: path) -> Unit:
    """Read a unit and its drop-ins, in the order in which systemd reads them. ``real`` follows links."""
    said = _settings(texts)

    def one(key: str, default: str) -> str:
        return said.get(key, [default])[-1]

    def paths(*keys: str) -> tuple[Path, ...]:
        return tuple(real(Path(text.lstrip("-+"))) for key in keys for text in said.get(key, ()))

    own = [f"{root}/{_name(text)}" for key, root in _OWN_FOLDERS.items() for text in said.get(key, ())]
    return Unit(
        user=one("User", "root"),
        group=one("Group", ""),
        groups=tuple(said.get("SupplementaryGroups", ())),
        config=_config(said),
        system=_choice(one("ProtectSystem", "no")),
        home=_choice(one("ProtectHome", "no")),
        private_tmp=_choice(one("PrivateTmp", "no")) == "yes",
        writable=(*(real(Path(path)) for path in own), *paths("ReadWritePaths")),
        read_only=(*paths("ReadOnlyPaths"), *_bound(said, "BindReadOnlyPaths", real)),
        hidden=paths("InaccessiblePaths"),
        bound=tuple(_bound(said, "BindPaths", real)),
        credentials=_credentials(said),
    )


def _choice(text: str) -> str:
    if text.lower() in _YES:
        return "yes"
    return text if text in ("strict", "full", "read-only", "tmpfs", "disconnected") else "no"


def _settings(texts: Iterable[str]) -> dict[str, list[str]]:
    """The values of each setting of [Service]: those of a list together, an empty one forgets what came before."""
    said: dict[str, list[str]] = {}
    for text in texts:
        for key, value in _assignments(text):
            if not value:
                said.pop(key, None)
            elif key in _WHOLE:
                said.setdefault(key, []).append(_plain(value))
            elif key in _LISTS:
                said.setdefault(key, []).extend(map(_plain, _words(value)))
            else:
                said[key] = [_plain(value)]
    return said


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", ";"))]
    for line in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines():
        stripped = line.strip()
        if stripped.startswith("["):
            section = stripped
        elif section == "[Service]" and "=" in stripped:
            key, _, value = stripped.partition("=")
            yield key.strip(), value.strip()


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:  # quotes without an end
        return value.split()


def _plain(value: str) -> str:
    """The value with the specifiers that are the same on every machine, systemd.unit(5)."""
    return re.sub(r"%(.)", lambda found: _SPECIFIERS.get(found[1], found[0]), value)


def _name(text: str) -> str:
    return text.split(":")[0]  # what follows is a link to it


def _bound(said: Mapping[str, Sequence[str]], key: str, real: Callable[[Path], Path]) -> Iterator[Path]:
    """Where in the service something is bound: ``SOURCE:TARGET:OPTIONS``."""
    for text in said.get(key, ()):
        parts = text.split(":")
        yield real(Path((parts[1] if len(parts) > 1 and parts[1] else parts[0]).lstrip("-")))


def _credentials(said: Mapping[str, Sequence[str]]) -> dict[str, Credential]:
    found = {}
    for key in ("LoadCredential", "LoadCredentialEncrypted"):
        for text in said.get(key, ()):
            name, _, source = text.partition(":")
            found[name] = Credential(Path(source or name), key == "LoadCredentialEncrypted")
    return found


def _config(said: Mapping[str, Sequence[str]]) -> Path | None:
    """The configuration that the service's own command names, by its option or its environment."""
    words = _words(said.get("ExecStart", [""])[-1])
    for number, word in enumerate(words):
        if word == "--config" and number + 1 < len(words):
            return Path(words[number + 1])
        if word.startswith("--config="):
            return Path(word.removeprefix("--config="))
    named = [word.partition("=")[2] for word in said.get("Environment", ()) if word.startswith("COATCHECK_CONFIG=")]
    return Path(named[-1]) if named else None


def drop_in(
    *,
    writable: Sequence[Path] = (),
    bound: Sequence[Path] = (),
    homes: bool = False,
    mounts: Sequence[Path] = (),
    credentials: Mapping[str, Path] | None = None,
) -> str:
    """The lines that give a service these paths and keys, or "" where it needs none.

    A path that does not exist at the start is passed over, for it may be a share that is away; ``mounts`` are waited
    for, and the service does not run without them. With ``homes`` those of ``bound`` lie in home folders.
    """
    unit = [f"RequiresMountsFor={_quoted(path)}" for path in mounts]
    service = ["ProtectHome=tmpfs"] if homes else []
    service += [f"BindPaths={_quoted(path, '-')}" for path in bound]
    service += [f"ReadWritePaths={_quoted(path, '-')}" for path in writable]
    service += [f"LoadCredential={name}:{_doubled(path)}" for name, path in (credentials or {}).items()]
    sections = (("[Unit]", unit), ("[Service]", service))
    return "\n".join("\n".join([head, *lines, ""]) for head, lines in sections if lines)


def _doubled(path: Path) -> str:
    return str(path).replace("%", "%%")


def _quoted(path: Path, prefix: str = "") -> str:
    text = prefix + _doubled(path).replace("\\", "\\\\")
    if re.search(r"""[\s"']""", text):
        text = '"' + text.replace('"', '\\"') + '"'
    return text
