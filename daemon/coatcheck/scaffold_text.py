"""The text that `coatcheck init` writes: a configuration in which every setting is explained."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import yaml

from coatcheck.config_yaml import parse

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*")

_SETTING: Final = re.compile(r"(?P<off># )?(?P<name>[a-z_]+):(?: (?P<value>.*))?")

_TOP: Final = """\
# The configuration of coatcheck. `coatcheck check` says what is wrong in it, `coatcheck reload` makes a running
# service read it again. A setting that is commented out shows its default. Relative paths count from this folder.
# Durations: 500ms, 2s, 5m, 6h, 30d.

# Where the service keeps ledger.db and vault.db. It must be a local disk.
state_dir: {state_dir}

# Where the key of each project lies: NAME.key. Keep a copy in a safe place: without it no pseudonym can be made again
# or traced back. Under systemd a credential takes its place.
key_dir: {key_dir}

# How studies are worked on: processes, inline (in the service itself), or on a Dask cluster: dask://HOST:8786.
# executor: processes

# By what the members of a cluster know each other: {{ca: FILE, cert: FILE, key: FILE}}.
# tls: null

# How many processes on this machine: a number, or auto for one per core.
# workers: auto

# Where Prometheus may ask how it does: a Unix socket, or an address such as 127.0.0.1:9464. Needs the extra metrics.
# metrics:

# Whom it tells that a person has to look: an e-mail, a webhook or both.
# notify:

# Settings that hold for every project that does not say otherwise.
# defaults:
#   study_settle: 60s

# Each project has its own folders, profile and key. A project may also stand alone in coatcheck.d/NAME.yaml.
projects:
"""

_FOLDERS: Final = """\
# Where studies are dropped. What lies here is taken away once it is complete.
inbox: {inbox}
# Where de-identified studies appear, each whole: {{subject}}/{{StudyInstanceUID}}/…
outbox: {outbox}
# Where files are set aside that could not be delivered, in a folder for each reason.
quarantine: {quarantine}
# Where originals go after their delivery. They still name the patient.
archive: {archive}
"""

_SETTINGS: Final = """\
# How to de-identify: a built-in profile (basic, research), or the path of a YAML file.
profile: research
# How patients get their subjects, which take the place of their IDs: hashed, a keyed function of the ID;
# numbered as they come: {kind: sequential, prefix: LUNG-, digits: 4}; or from a list: {kind: list, file: subjects.csv}.
# subjects: hashed
# Names and texts for the templates of a profile.
# variables: {}
# A file is complete when nothing about it changed for so long.
# file_settle: 5s
# A study is complete when no instance came for so long.
# study_settle: 60s
# A study is released after this in any case.
# study_longest_wait: 6h
# A file of this name releases the studies of its folder at once, or off.
# done_marker: DONE
# Where to put a note for those who drop: off, beside (the inbox), or a folder. It holds names that they dropped.
# note: off
# Which files are wanted; without a rule all are. A rule is a wildcard, {regex: …} over the dropped path, or a condition
# over attributes: {when: {Modality: SR}}.
# include: []
# Which files are set aside as excluded, by rules of the same kinds.
# exclude: []
# What becomes of originals after durable delivery: archive or delete.
# originals: archive
# The fewest and the most days that dates are shifted by. Each study has its own shift, and it is never 0.
# date_shift_days: [-365, -1]
# Whether a finished study leaves at once. This version knows auto only.
# release: auto
# Images that are likely to have text burned in, and that nobody has looked at: quarantine or allow.
# pixel_risk: quarantine
# Which names results get: subject-study, flat, series, date-class, media, original, or templates of your own.
# layout: subject-study
# Whether a DICOMDIR is made for each delivery, in the layout media.
# dicomdir: no
# Whether each delivery has a receipt in .receipts of the outbox: no, yes, or checksums, with the digest of each file.
# receipt: no
# Whether the files of a delivery lie in one zip in its folder.
# zip: no
# Whether NIfTI files are made too, by dcm2niix: see the extra nifti.
# nifti: no
# A command to run after each delivery, as a list of words; {folder}, {ticket}, {subject} and others are filled in.
# after_delivery: null
# How the inbox is watched: events, polling, or auto to choose by its file system.
# watch: auto
"""


class Explained(NamedTuple):
    """What the scaffold says of a setting: its comment, and the default that it shows in YAML, or ""."""

    text: str
    default: str

    def as_schema(self) -> dict[str, Any]:
        """The same in the words of JSON schema."""
        shown = {"default": yaml.safe_load(self.default)} if self.default else {}
        return {"description": self.text, **shown}


def explained(names: Iterable[str]) -> dict[str, Explained]:
    """What the scaffold says of these settings; one that it does not explain is missing."""
    known, found = frozenset(names), {}
    comment: list[str] = []
    for line in (_TOP + _FOLDERS + _SETTINGS).splitlines():
        setting = _SETTING.fullmatch(line)
        if setting and setting["name"] in known:
            default = setting["value"] if setting["off"] and setting["value"] else ""
            found[setting["name"]] = Explained(" ".join(comment).replace("{{", "{").replace("}}", "}"), default)
        comment = [*comment, line.removeprefix("# ")] if line.startswith("# ") and not setting else []
    return found


def top_text(state_dir: str, key_dir: str) -> str:
    """A configuration up to and with the line ``projects:``."""
    return _TOP.format(state_dir=quoted(state_dir), key_dir=quoted(key_dir))


def project_text(folders: Mapping[str, str]) -> str:
    """The settings of one project, not indented. ``folders`` names inbox, outbox, quarantine and archive."""
    return _FOLDERS.format(**{role: quoted(path) for role, path in folders.items()}) + _SETTINGS


def indented(text: str, by: str) -> str:
    """Every line of the text, further to the right."""
    return "".join(by + line for line in text.splitlines(keepends=True))


def quoted(path: str) -> str:
    """A path as YAML reads it back: plain where that is safe, else in double quotes."""
    if _PLAIN.fullmatch(path) and yaml.safe_load(path) == path:
        return path
    # Escapes carry what YAML would fold or refuse: control characters, and bytes that are not UTF-8, which stand in
    # Python's text as lone surrogates.
    return '"' + "".join(_escaped(one) for one in path) + '"'


def _escaped(one: str) -> str:
    if one in '"\\':
        return f"\\{one}"
    return one if one.isprintable() else f"\\U{ord(one):08x}"


def quoted_key(name: str) -> str:
    """A project's name as a key that every YAML reader takes for text."""
    return name if yaml.safe_load(name) == name else f'"{name}"'


class _Gap(NamedTuple):
    line: int  # insert before this line, counted from 0
    indent: str  # of a project's name


def with_project(before: bytes, name: str, block: Callable[[str], str]) -> bytes | None:
    """A configuration with one project more, every other byte kept; None where that cannot be done safely.

    ``block`` gives the project's text for an indentation. The result is read back: unless it says what it said
    before, and the new project, it is not given out.
    """
    lines = before.splitlines(keepends=True)
    newline = b"\r\n" if b"\r\n" in before else b"\n"
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += newline
    gap = _gap(before, lines)
    if gap is None:
        return None
    new = ("\n" + block(gap.indent)).encode().replace(b"\n", newline)
    after = b"".join(lines[: gap.line]) + new + b"".join(lines[gap.line :])
    return after if _adds_only(before, after, name) else None


def _gap(before: bytes, lines: list[bytes]) -> _Gap | None:
    """Where a project's text goes: below the last project and the comments that belong to it."""
    root = yaml.compose(before, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    found = [(key, value) for key, value in pairs if key.value == "projects"]
    if not found:
        return None
    key, projects = found[0]
    if isinstance(projects, yaml.ScalarNode):  # nothing below `projects:` yet
        return _Gap(key.end_mark.line + 1, "  ")
    if projects.flow_style or not projects.value:
        return None
    column = projects.value[0][0].start_mark.column
    line = _last_line(projects) + 1
    while line < len(lines) and _is_comment(lines[line], deeper_than=column):
        line += 1
    return _Gap(line, " " * column)


def _last_line(node: yaml.Node) -> int:
    """The last line with text of this node: the end of a mapping itself lies after the comments that follow."""
    if isinstance(node, yaml.MappingNode) and not node.flow_style:
        return max(max(_last_line(key), _last_line(value)) for key, value in node.value)
    return int(node.end_mark.line)


def _is_comment(line: bytes, *, deeper_than: int) -> bool:
    text = line.lstrip(b" ")
    return text.startswith(b"#") and len(line) - len(text) > deeper_than


def _adds_only(before: bytes, after: bytes, name: str) -> bool:
    old, new = parse("", before).value, parse("", after)
    if new.problems or not isinstance(old, dict) or not isinstance(new.value, dict):
        return False
    projects = new.value.get("projects")
    if not isinstance(projects, dict) or not isinstance(projects.get(name), dict):
        return False
    return new.value == old | {"projects": (old.get("projects") or {}) | {name: projects[name]}}
