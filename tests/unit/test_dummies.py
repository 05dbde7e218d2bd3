"""Dummy items are legal: their tags ascend, their values fit their VRs, and pydicom reads them."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import pytest
from pydicom import config
from pydicom.filereader import read_dataset
from pydicom.valuerep import validate_value

from coatcheck.deid import standard
from coatcheck.deid.dictionary import vrs_of
from coatcheck.deid.dummies import DUMMY_ITEMS, Item, dummy_sequence, element
from coatcheck.deid.elements import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, Encoding

ENCODINGS = (EXPLICIT_LITTLE, IMPLICIT_LITTLE, EXPLICIT_BIG)


def every_item(item: Item) -> Iterator[Item]:
    yield item
    for _, _, value in item:
        for inner in value if isinstance(value, list) else ():
            yield from every_item(inner)


EVERY = [inner for item in DUMMY_ITEMS.values() for inner in every_item(item)]


def test_the_tags_of_every_item_ascend() -> None:
    for item in EVERY:
        tags = [tag for tag, _, _ in item]
        assert tags == sorted(set(tags))


def test_every_value_is_legal_for_its_vr_and_every_vr_is_the_dictionarys() -> None:
    for tag, vr, value in (one for item in EVERY for one in item):
        assert vr in vrs_of(tag)
        if isinstance(value, bytes) and vr not in ("FL", "US", "OB"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                validate_value(vr, value.decode("ascii"), config.RAISE)


def test_every_sequence_with_the_code_d_has_a_dummy_item() -> None:
    wanted = {tag for tag, row in standard.annex_e().items() if row.vr == "SQ" and "D" in row.basic}

    assert wanted - set(DUMMY_ITEMS) == set()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("tag", sorted(DUMMY_ITEMS))
def test_pydicom_reads_a_dummy_sequence(tag: int, encoding: Encoding) -> None:
    data = element(tag, "SQ", dummy_sequence(tag, encoding), encoding)

    ds = read_dataset(io.BytesIO(data), not encoding.explicit, encoding.little)

    assert [element.tag for element in ds] == [tag]
    (item,) = ds[tag].value
    assert [int(found.tag) for found in item] == [one for one, _, _ in DUMMY_ITEMS[tag]]
    assert str(item)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("vr", ["LO", "UI", "OB", "UT", "SQ"])
@pytest.mark.parametrize("value", [b"", b"ab", b"abc"])
def test_an_element_has_an_even_length(value: bytes, vr: str, encoding: Encoding) -> None:
    assert len(element(0x00080104, vr, value, encoding)) % 2 == 0


def test_a_value_that_its_vr_cannot_hold_is_an_error() -> None:
    with pytest.raises(OverflowError):
        element(0x00080104, "LO", bytes(1 << 16), EXPLICIT_LITTLE)
