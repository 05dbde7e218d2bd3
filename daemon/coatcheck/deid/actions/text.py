"""Actions on texts: replaced, searched, cleaned, masked."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.deid import texts
from coatcheck.deid.actions import numbers
from coatcheck.deid.actions.context import Context, Do
from coatcheck.deid.settings import LONGEST_SEARCHED, compiled
from coatcheck.deid.templates import Template

_BLANK = b" \0\\"  # padding, and what parts values


@dataclass(frozen=True, slots=True)
class Replace:
    """The value becomes what the template gives, whatever it was. A backslash in it parts values."""

    template: Template

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The template's text, fit for the VR and the character set; None where that cannot be."""
        names = {**context.variables, "project": context.project, "subject": context.subject}
        rendered = self.template.render(context.attributes, names)
        if vr in numbers.BINARY:
            return numbers.packed(rendered.split("\\"), vr, little=context.little)
        several = rendered.split("\\") if texts.is_several(vr) else [rendered]
        return texts.fit_all(several, vr, context.charset)


@dataclass(frozen=True, slots=True)
class Substitute:
    """In each value, what the pattern finds becomes ``replacement``, in which ``\\1`` and ``\\g<name>`` are groups."""

    expression: str
    replacement: str
    count: int = 0

    def __call__(self, value: bytes, vr: str, context: Context) -> bytes | None:
        """The value with the first ``count`` findings (0: all) replaced; None where the result does not fit the VR."""

        pattern = compiled(self.expression)

        def change(one: str) -> str | None:
            if len(one) > LONGEST_SEARCHED:
                return None
            return pattern.sub(self.replacement, one, count=self.count)

        return texts.mapped(value, vr, context.charset, change)


def clean_text(value: bytes, vr: str, context: Context) -> bytes | None:
    """What is known of this patient and Study is taken out of each text; None without a cleaner, or if nothing is left.

    A value that becomes empty may break its IOD, so the rule's fallback knows better what to do.
    """
    cleaned = None if context.cleaner is None else texts.mapped(value, vr, context.charset, context.cleaner)
    return None if cleaned is None or (value.strip(_BLANK) and not cleaned.strip(_BLANK)) else cleaned


def mask(value: bytes, vr: str, context: Context) -> bytes | None:
    """What is known of this patient and Study is overwritten in the bytes, the length stays; None without a masker."""
    if context.masker is None:
        return None
    masked = context.masker(value)
    return texts.mapped(masked, vr, context.charset, str) if vr in texts.LETTERS else masked


def reads(do: Do) -> frozenset[str]:
    """What a template depends on: other Attributes, or nothing but the Study."""
    return frozenset({"attributes"}) if isinstance(do, Replace) and do.template.reads() else frozenset()
