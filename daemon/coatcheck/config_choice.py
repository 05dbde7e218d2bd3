"""The project's keys ``include`` and ``exclude``: lists of rules that say which files are wanted."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from coatcheck.config_values import wrong

_HINT: Final = 'write a list such as ["*.jpg", {regex: "^scout/"}, {when: {Modality: SR}}]'
_LONGEST: Final = 1000  # characters of a wildcard
_MOST: Final = 1000  # rules


def _rules(value: object) -> tuple[Any, ...]:
    if isinstance(value, tuple):  # from code, not from YAML
        return value
    if not isinstance(value, list) or len(value) > _MOST:
        raise wrong("must be a list of rules", _HINT)
    return tuple(_rule(one) for one in value)


def _rule(value: object) -> object:
    from coatcheck import choice  # Here: the language of conditions is large, and hardly a project needs it.
    from coatcheck.deid import conditions
    from coatcheck.deid.settings import SettingError, checked_pattern

    try:
        match value:
            case str() if 0 < len(value) <= _LONGEST:
                return choice.Wildcard(value)
            case {"regex": str() as expression, **more} if expression and not more:
                return choice.Matching(checked_pattern(expression))
            case {"when": condition, **more} if not more:
                return choice.Having(conditions.parse(condition))
    except SettingError as error:
        raise wrong(error.what, error.hint) from None
    raise wrong("has a rule that is neither a wildcard nor `regex:` nor `when:`", _HINT)


def _only(key: str, value: dict[str, Any], text: str) -> dict[str, Any]:
    """The schema of a rule with one key."""
    properties = {key: value | {"description": text}}
    return {"type": "object", "properties": properties, "required": [key], "additionalProperties": False}


_AS_WRITTEN: Final = {
    "type": "array",
    "maxItems": _MOST,
    "items": {
        "anyOf": [
            {"type": "string", "minLength": 1, "maxLength": _LONGEST},
            _only(
                "regex", {"type": "string", "minLength": 1}, "A regular expression that is found in the dropped path."
            ),
            _only("when", {"type": "object", "minProperties": 1}, "A condition as in a profile's `when:`."),
        ]
    },
}
Rules = Annotated[tuple[Any, ...], BeforeValidator(_rules), WithJsonSchema(_AS_WRITTEN)]
