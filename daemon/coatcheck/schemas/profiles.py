"""The JSON schema of a profile, made from the registries that profiles are read with.

A schema knows less than `coatcheck profile lint`: whether a selector names an Attribute, a regular expression is safe
or an action makes sense on a VR, it cannot say.
"""

from __future__ import annotations

from typing import Final

from coatcheck.deid import standard
from coatcheck.deid.actions import KINDS
from coatcheck.deid.actions.keyed import LONGEST_HASH, SHORTEST_HASH, Hash
from coatcheck.deid.actions.lookup import OTHERWISE
from coatcheck.deid.profile import AVAILABLE
from coatcheck.deid.shifts import MOST_DAYS, SCOPES
from coatcheck.profile_file import RULE_KEYS, built_in
from coatcheck.schemas.settings import Schema, head

_DAY: Final = {"type": "integer", "minimum": -MOST_DAYS, "maximum": MOST_DAYS}
_DAYS: Final = {"anyOf": [_DAY, {"type": "array", "items": _DAY, "minItems": 2, "maxItems": 2}]}
_DATES: Final[Schema] = {
    "scope": {"enum": list(SCOPES), "description": "Within it intervals stay.", "default": "study"},
    "days": {**_DAYS, "description": "From the fewest to the most days, such as [-365, -1], or one number."},
    "whole_weeks": {"type": "boolean", "description": "Only multiples of 7, so that weekdays stay.", "default": False},
}
_TEMPLATE: Final = "A text, or a template: {subject}, {project}, variables, attributes with filters: {Modality|lower}."
_AMOUNT: Final = {"type": "number", "exclusiveMinimum": 0}
ACTIONS: Final[dict[str, str]] = {
    "keep": "As it is; the gate lets it pass.",
    "allow": "Nothing, but the gate lets the value pass; say because of what.",
    "remove": "Gone. A Type 1 gets a dummy, a Type 2 stays empty.",
    "empty": "No value. A Type 1 gets a dummy.",
    "dummy": "A legal value that says nothing.",
    "uid": "The new UID.",
    "subject": "The patient's subject.",
    "add": "An attribute that was not there, at any path.",
    "replace": "A text or a template.",
    "substitute": "What a regular expression finds is replaced.",
    "hash": "A keyed code, equal for equal values.",
    "encrypt": "Sealed with the project's key, to be redeemed.",
    "redact": "The year of dates, no time, ages over 89 as 090Y.",
    "shift-dates": "Dates moved, by a shift of its own where it has settings.",
    "perturb": "A keyed disturbance of a number, the same each time.",
    "generalise": "To a year, month, decade, or to bands.",
    "lookup": "A new value from a CSV with the columns `old,new`.",
    "clean-text": "Text without what identifies.",
    "mask": "Identity overwritten by X; the length stays.",
}
"""What each action does, in a few words."""

SETTINGS: Final[dict[str, Schema]] = {
    "add": {"with": {"type": "string", "description": _TEMPLATE}},
    "replace": {"with": {"type": "string", "description": _TEMPLATE}},
    "substitute": {
        "pattern": {"type": "string", "format": "regex", "description": "The regular expression, Python's `re`."},
        "with": {"type": "string", "description": r"What comes in its place; `\1` is a group of the pattern."},
        "count": {"type": "integer", "minimum": 0, "default": 0, "description": "At most so many times; 0 means all."},
    },
    "hash": {
        "length": {
            "type": "integer",
            "minimum": SHORTEST_HASH,
            "maximum": LONGEST_HASH,
            "default": Hash().length,
            "description": "How many letters and digits the code has.",
        }
    },
    "encrypt": {
        "too_short": {
            "enum": ["remove", "empty", "hash"],
            "default": "remove",
            "description": "What is done where the VR has no room for the sealed text.",
        }
    },
    "shift-dates": _DATES,
    "perturb": {
        "span": {**_AMOUNT, "description": "At most this amount up or down."},
        "proportional": {**_AMOUNT, "description": "At most this share of the number up or down: 0.05 is 5 %."},
        "fixed": {**_AMOUNT, "description": "Exactly this amount, up or down."},
        "round_to": {**_AMOUNT, "description": "The result is a multiple of this."},
    },
    "generalise": {
        "to": {"enum": ["year", "month", "decade"], "description": "How far a date is told."},
        "bands": {**_AMOUNT, "description": "The width of a band: in years for dates and ages."},
    },
    "lookup": {
        "list": {"type": "string", "description": "The CSV file, with the header `old,new`."},
        "otherwise": {
            "enum": list(OTHERWISE),
            "default": "remove",
            "description": "What is done to a value that is not on the list.",
        },
    },
}
"""The settings of those actions that have some."""

NEEDED: Final = {
    "add": ["with"],
    "replace": ["with"],
    "substitute": ["pattern", "with"],
    "lookup": ["list"],
    "allow": ["because"],
}
"""The settings that an action cannot do without."""


def profile_schema() -> Schema:
    """Of a profile's file."""
    return {
        **head("profile", "A profile of coatcheck: options of PS3.15 Annex E, and rules of its own over them."),
        "properties": _PROPERTIES | {"options": _options(), "extends": _extends()},
        "additionalProperties": False,
        "$defs": {"rule": _rule(), "condition": _CONDITION},
    }


_PROPERTIES: Final[Schema] = {
    "title": {"type": "string", "description": "What the profile is for, in one line."},
    "unlisted": {
        "enum": ["keep", "remove"],
        "default": "keep",
        "description": "What becomes of attributes that neither Table E.1-1 nor a rule names.",
    },
    "private": {
        "enum": ["remove", "safe", "keep-listed"],
        "default": "remove",
        "description": "Private attributes: all go, safe ones stay (retain-safe-private), or those that rules name.",
    },
    "dates": {
        "type": "object",
        "properties": _DATES,
        "additionalProperties": False,
        "description": "By how much dates move under retain-longitudinal-modified-dates.",
    },
    "variables": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "propertyNames": {"pattern": "^[a-z_][a-z0-9_]*$", "not": {"enum": ["project", "subject"]}},
        "description": "Names and texts for templates. Those of the project win.",
    },
    "rules": {
        "type": "array",
        "items": {"$ref": "#/$defs/rule"},
        "description": "What is done otherwise than the options say. The later rule wins.",
    },
}


def _options() -> Schema:
    known = [
        {"const": name, "description": f"{option.meaning} (CID 7050, {option.code})."}
        for name, option in standard.options().items()
        if name in AVAILABLE
    ]
    text = "Options of Annex E over the Basic Profile. Full and modified dates exclude each other."
    return {"type": "array", "items": {"anyOf": known}, "uniqueItems": True, "description": text}


def _extends() -> Schema:
    text = "The profile that this one comes over: a built-in name, or the path of a file."
    return {"anyOf": [{"enum": built_in()}, {"type": "string", "pattern": r"/|\.ya?ml$"}], "description": text}


_SELECTOR: Final[Schema] = {"type": "string", "minLength": 1}


def _rule() -> Schema:
    """One rule; which settings it may have depends on its action."""
    actions = [{"const": name, "description": text} for name, text in ACTIONS.items()]
    common: Schema = {
        "at": {
            "anyOf": [_SELECTOR, {"type": "array", "items": _SELECTOR, "minItems": 1}],
            "description": "What it is about: PatientName, (0010,0010), (60xx,3000), VR:PN, /Physician/,"
            ' (0029,"CREATOR",10), RequestAttributesSequence > StudyDate, top > StudyDate; or a list of them.',
        },
        "do": {"anyOf": actions, "description": "The action."},
        "when": {"$ref": "#/$defs/condition"},
        "because": {"type": "string", "description": "Why, for those who read the profile and its reports."},
    }
    every: Schema = {name: {} for settings in SETTINGS.values() for name in settings}
    return {
        "type": "object",
        "description": "What is done to some attributes, and when.",
        "properties": every | common,
        "required": ["at", "do"],
        "allOf": [_of_action(name, list(RULE_KEYS)) for name in KINDS],
    }


def _of_action(name: str, common: list[str]) -> Schema:
    settings = SETTINGS.get(name, {})
    then: Schema = {"propertyNames": {"enum": [*common, *settings]}}
    then |= {"properties": settings} if settings else {}
    then |= {"required": NEEDED[name]} if name in NEEDED else {}
    return {"if": {"properties": {"do": {"const": name}}, "required": ["do"]}, "then": then}


_VALUE: Final[Schema] = {"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "number"}]}
_TESTS: Final[Schema] = {
    "equals": {**_VALUE, "description": "One value is this."},
    "in": {"type": "array", "items": _VALUE, "minItems": 1, "description": "One value is one of these."},
    "matches": {"type": "string", "format": "regex", "description": "This regular expression is found in one value."},
    "exists": {"type": "boolean", "description": "It is there and not empty; false: it is absent or empty."},
}
_SEVERAL: Final[Schema] = {"type": "array", "items": {"$ref": "#/$defs/condition"}, "minItems": 1}
_CONDITION: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "description": "When the rule holds, by top-level attributes: {Modality: MR}, {Modality: {in: [MR, CT]}},"
    " {SliceThickness: {exists: true}}, {not: {…}}. Several keys mean all.",
    "properties": {
        "all": {**_SEVERAL, "description": "Each of these holds."},
        "any": {**_SEVERAL, "description": "At least one of these holds."},
        "not": {"$ref": "#/$defs/condition", "description": "The condition does not hold."},
    },
    "additionalProperties": {
        "anyOf": [_VALUE, {"type": "object", "properties": _TESTS, "additionalProperties": False, "minProperties": 1}]
    },
}
