"""What can be done to a value. Each action is one function from an encoded value to another one, or to None.

None means that the action cannot be done to this value; the rule's fallback is done then. Values come without regard
to padding and leave without it. What comes out is legal for the VR and can be written in the character set.
"""

from coatcheck.deid.actions.context import Context, Do, Kind, Maker
from coatcheck.deid.actions.registry import ACTIONS, KINDS
from coatcheck.deid.shifts import Ids

__all__ = ["ACTIONS", "KINDS", "Context", "Do", "Ids", "Kind", "Maker"]
