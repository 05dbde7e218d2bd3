"""The JSON schema of the configuration, made from its models; what each setting means is said by the scaffold.

A schema knows less than `coatcheck check`: whether folders are there and apart, or a profile is right, it cannot say.
"""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from coatcheck.config import PROJECT_NAME
from coatcheck.config_model import Project, Settings
from coatcheck.config_subjects import Subjects
from coatcheck.scaffold_text import explained

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NEEDED: Final = ("inbox", "outbox", "quarantine")
Schema = dict[str, Any]


class _Plain(GenerateJsonSchema):
    """Without a title for each field: editors would show it instead of what the field means."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def config_schema() -> Schema:
    """Of a whole ``coatcheck.yaml``."""
    top, project = _model(Settings), _model(Project)
    definitions = top.pop("$defs", {}) | project.pop("$defs", {})
    definitions["Project"] = project
    told = explained(("defaults", "projects"))
    names = {"pattern": f"^{PROJECT_NAME.pattern}$"}
    projects = {"type": ["object", "null"], "additionalProperties": _or_null("Project"), "propertyNames": names}
    properties = top["properties"] | {
        "defaults": {"description": told["defaults"].text, "anyOf": _or_null("Project")["anyOf"]},
        "projects": {"description": told["projects"].text, **projects},
    }
    needed = {"properties": {"projects": {"additionalProperties": {"required": list(_NEEDED)}}}}
    return {
        **head("config", "The configuration of coatcheck."),
        "properties": properties,
        "additionalProperties": False,
        "if": {"not": {"required": ["defaults"]}},
        "then": needed,
        "$defs": definitions,
    }


def project_schema() -> Schema:
    """Of one project that stands alone in ``coatcheck.d/NAME.yaml``."""
    project = _model(Project)
    definitions = project.pop("$defs", {})
    return {**head("project", "One project of coatcheck, in a file of its own."), **project, "$defs": definitions}


def subjects_schema() -> Schema:
    """Of what ``subjects:`` may say."""
    found = TypeAdapter(Subjects).json_schema(schema_generator=_Plain)
    text = explained(Project.model_fields)["subjects"].text
    return {**head("subjects", text), "type": ["string", "object"], **found}


def head(name: str, text: str) -> Schema:
    """What a schema begins with."""
    return {"$schema": DIALECT, "title": f"coatcheck {name}", "description": text, "type": "object"}


def _or_null(name: str) -> Schema:
    """What may also be left empty: YAML reads a key with nothing after it as null."""
    return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}


def _model(model: type[BaseModel]) -> Schema:
    """A model's settings as they are written: with the scaffold's words and its defaults, none of them required."""
    found = model.model_json_schema(schema_generator=_Plain)
    names = [name for name in model.model_fields if name != "name"]  # a project's name is its key
    told = explained(names)
    properties = {}
    for name in names:
        plain = {key: value for key, value in found["properties"][name].items() if key != "default"}
        properties[name] = plain | (told[name].as_schema() if name in told else {})
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"$defs": found["$defs"]} if "$defs" in found else {})
