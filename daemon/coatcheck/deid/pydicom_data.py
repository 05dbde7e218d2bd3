"""pydicom's dictionaries (PS3.6, and what is known of private elements) without the rest of pydicom.

They are modules that hold data and import nothing. The package around them imports decoders, a downloader and HTTP,
which no worker needs: without it each process begins in half of the time and has less to carry.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

Entry = tuple[str, str, str, str, str]
"""VR, VM, name, whether it is retired, keyword."""


@cache
def attributes() -> Mapping[int, Entry]:
    """The Attributes of PS3.6 by their tags."""
    found: Mapping[int, Entry] = _module("_dicom_dict").DicomDictionary
    return found


@cache
def repeaters() -> Mapping[str, Entry]:
    """The Attributes of PS3.6 that have many tags, by the digits of those, with an x for any digit."""
    found: Mapping[str, Entry] = _module("_dicom_dict").RepeatersDictionary
    return found


@cache
def uids() -> Mapping[str, tuple[str, str, str, str, str]]:
    """The UIDs of PS3.6 Annex A: name, type, information, whether it is retired, keyword."""
    found: Mapping[str, tuple[str, str, str, str, str]] = _module("_uid_dict").UID_dictionary
    return found


def private_vr(tag: int, creator: str) -> str | None:
    """The VR of a private element; None where nobody told pydicom of it."""
    group, number = f"{tag >> 16:04X}", f"{tag & 0xFFFF:04X}"
    known = _private().get(creator, {})
    for digits in (group + number, f"{group}xx{number[2:]}", f"{group[:2]}xxxx{number[2:]}"):
        if digits in known:
            return known[digits][0]
    return None


@cache
def _private() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    found: Mapping[str, Mapping[str, tuple[str, ...]]] = _module("_private_dict").private_dictionaries
    return found


def _module(name: str) -> ModuleType:
    if "pydicom" in sys.modules:
        return import_module(f"pydicom.{name}")
    package = find_spec("pydicom")  # is found, and not imported
    assert package is not None and package.submodule_search_locations
    spec = spec_from_file_location(f"coatcheck{name}", Path(package.submodule_search_locations[0]) / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
