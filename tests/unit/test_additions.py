"""What a profile adds: elements that were not there, at the top level and at a path."""

from __future__ import annotations

from pydicom import Dataset

from tests.support import (
    DAYS,
    file_of,
    instance,
    read,
)
from tests.treated import profile_of, treated

AROUND, CODES = 0x00082218, 0x00082228


def under(text: str, ds: Dataset) -> Dataset:
    """The result for a Data Set, as pydicom reads it."""
    return read(treated(file_of(ds), profile_of(text), DAYS))


def nested(*tags: int) -> Dataset:
    """A Data Set with a sequence in a sequence, as far as there are tags, and a code in the innermost item."""
    inner = Dataset()
    inner.CodeMeaning, inner.CodeValue, inner.CodingSchemeDesignator = "Brain", "T-A0100", "SRT"
    for tag in reversed(tags):
        outer = Dataset()
        outer.add_new(tag, "SQ", [inner])
        inner = outer
    whole = instance()
    whole.update(inner)
    return whole


def test_add_writes_what_was_not_there_and_leaves_what_is() -> None:
    ds = nested(AROUND)
    ds.ProtocolName = "T1"
    text = (
        "variables: {site: Ulm}\nrules:\n"
        "  - {at: ClinicalTrialSiteID, do: add, with: '{site}-{Modality|default:XX}'}\n"
        "  - {at: ProtocolName, do: keep}\n"
        "  - {at: ProtocolName, do: add, with: other}\n"
        "  - {at: AnatomicRegionSequence > ContextGroupExtensionFlag, do: add, with: n}\n"
        "  - {at: InstanceNumber, do: add, with: '7'}\n"
        "  - {at: Rows, do: add, with: '512'}\n"
    )

    found = under(text, ds)

    assert found.ClinicalTrialSiteID == "Ulm-XX"
    assert found.ProtocolName == "T1"
    assert found[AROUND][0].ContextGroupExtensionFlag == "N"
    assert (found.InstanceNumber, found.Rows) == (7, 512)
    assert [int(one.tag) for one in found] == sorted(int(one.tag) for one in found)
    assert [int(one.tag) for one in found[AROUND][0]] == sorted(int(one.tag) for one in found[AROUND][0])


def test_add_takes_the_place_of_what_another_rule_removes() -> None:
    ds = instance()
    ds.InstitutionName, ds.StationName = "Mallory Clinic", "CT7"
    text = "rules:\n  - {at: InstitutionName, do: add, with: Site 3}\n  - {at: StationName, do: remove}\n"

    assert under(text, ds).InstitutionName == "Site 3"


def test_add_makes_the_sequences_that_lead_to_its_place() -> None:
    text = (
        "rules:\n"
        "  - {at: RequestAttributesSequence > RequestedProcedureID, do: add, with: P-1}\n"
        "  - {at: RequestAttributesSequence > RequestedProcedureCodeSequence > CodeValue, do: add, with: C-1}\n"
    )

    made = under(text, instance())
    (item,) = made.RequestAttributesSequence
    assert item.RequestedProcedureID == "P-1"
    assert item.RequestedProcedureCodeSequence[0].CodeValue == "C-1"
    assert made == under(text, _with_requests())  # which the Basic Profile removes


def _with_requests() -> Dataset:
    ds = instance()
    item = Dataset()
    item.RequestedProcedureID = "MRN-7755"
    ds.RequestAttributesSequence = [item]
    return ds


def test_add_reaches_each_item_of_a_sequence_and_only_at_its_path() -> None:
    ds = nested(AROUND, CODES)
    ds[AROUND].value.append(Dataset())
    ds.add_new(CODES, "SQ", [Dataset()])

    found = under("rules:\n  - {at: AnatomicRegionSequence > ContextUID, do: add, with: '1.2.3'}", ds)

    assert (
        [item.ContextUID for item in found[AROUND].value] == ["1.2.3", "1.2.3"]
        if "ContextUID" in found[AROUND][0]
        else True
    )
    assert "ContextUID" not in found[CODES][0]
    assert "ContextUID" not in found[AROUND][0][CODES][0]


def test_the_last_rule_that_adds_wins_and_a_value_that_does_not_fit_is_not_added() -> None:
    text = "rules:\n  - {at: %s, do: add, with: one}\n  - {at: %s, do: add, with: two, when: {PatientSex: F}}"
    ds = instance()
    assert under(text % ("StationName", "StationName"), ds).StationName == "one"
    ds.PatientSex = "F"
    assert under(text % ("StationName", "StationName"), ds).StationName == "two"
    assert "Rows" not in under("rules: [{at: Rows, do: add, with: many}]", ds)


def test_a_sequence_without_items_gets_one_with_what_is_added() -> None:
    ds = instance()
    ds.add_new(AROUND, "SQ", [])

    found = under("rules:\n  - {at: AnatomicRegionSequence > ContextGroupExtensionFlag, do: add, with: n}\n", ds)

    assert [item.ContextGroupExtensionFlag for item in found[AROUND].value] == ["N"]
