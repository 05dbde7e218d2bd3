"""Items of sequences, made in one line."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence


def item(**attributes: object) -> Dataset:
    """An item with these attributes, by keyword."""
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """A coded entry."""
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def content_item(value_type: str, concept: Dataset, **attributes: object) -> Dataset:
    """A content item that its parent contains."""
    head = {"RelationshipType": "CONTAINS", "ValueType": value_type, "ConceptNameCodeSequence": Sequence([concept])}
    return item(**head, **attributes)
