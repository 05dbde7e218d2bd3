"""What counts as identity, by tag and by VR."""

from __future__ import annotations

import pytest

from coatcheck.deid.identity import (
    DEVICE_TAGS,
    ID_TAGS,
    INSTITUTION_TAGS,
    KINDS,
    PHONE_TAGS,
    PLACE_TAGS,
    STATION_TAGS,
    kind_of,
    values,
)
from coatcheck.model import Identity


@pytest.mark.parametrize(
    ("tag", "vr", "kind"),
    [
        (0x00100020, "LO", "id"),
        (0x00080050, "SH", "id"),
        (0x00080080, "LO", "institution"),
        (0x00080081, "ST", "institution"),
        (0x00081010, "SH", "station"),
        (0x00400242, "SH", "station"),
        (0x00181000, "LO", "device"),
        (0x00181002, "UI", "device"),
        (0x00101040, "LO", "place"),
        (0x00102154, "SH", "phone"),
        (0x00100010, "PN", "name"),
        (0x00100010, "UN", "name"),
        (0x00291001, "PN", "name"),
        (0x00080020, "DA", "date"),
        (0x0008002A, "DT", "date"),
        (0x00080018, "UI", "uid"),
        (0x00080030, "TM", None),
        (0x00280010, "US", None),
        (0x00104000, "LT", None),
    ],
)
def test_the_kind_of(tag: int, vr: str, kind: str | None) -> None:
    assert kind_of(tag, vr) == kind


def test_no_tag_has_two_kinds() -> None:
    lists = [ID_TAGS, DEVICE_TAGS, STATION_TAGS, INSTITUTION_TAGS, PLACE_TAGS, PHONE_TAGS]

    assert len(frozenset().union(*lists)) == sum(map(len, lists))
    assert {kind_of(tag, "LO") for tags in lists for tag in tags} < set(KINDS)


def test_each_of_several_values_counts() -> None:
    assert values("id", b" A-1\\B-2 \0", ("latin-1",)) == [Identity("id", "A-1"), Identity("id", "B-2")]


@pytest.mark.parametrize("empty", [b"", b"  ", b"\0\0", b"\\", b"\r\n"])
def test_an_empty_value_identifies_nobody(empty: bytes) -> None:
    assert values("id", empty, ("latin-1",)) == []


def test_registered_uids_identify_nobody() -> None:
    assert values("uid", b"1.2.840.10008.1.2\\1.2.3.4", ("latin-1",)) == [Identity("uid", "1.2.3.4")]
    assert values("device", b"1.2.840.10008.1.2\\1.2.3.4", ("latin-1",)) == [Identity("device", "1.2.3.4")]


def test_a_value_is_decoded_by_its_character_set() -> None:
    assert values("name", b"\xc4\xe9\xef", ("iso8859_5",)) == [Identity("name", "Фщя")]
