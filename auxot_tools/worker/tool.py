"""One tool that can be called, as the worker keeps it; and one that cannot, with the reason.

One job: these values and small facts derived from them. It must not know files or how a call is
run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from auxot_tools.ports import BoxLimits, Isolation
from auxot_tools.types import JSON, ToolSpec
from auxot_tools.worker.program import Recipe
from auxot_tools.worker.validation import InputValidator

# box: a program in a sandbox. hosted: the worker's own. host: a program on the worker's machine.
Runs = Literal["box", "hosted", "host"]


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool that can be called.

    ``limits``, ``isolation`` and ``hosts`` are the tool's own, within what the operator allows.
    ``timeout_from_input`` names the input field by which the model lowers ``limits.timeout_s``;
    ``default_timeout_s`` counts when that field is left out. ``session_field`` names the boolean
    field by which the model asks for a session; empty: there is none. A ``hosted`` tool has an
    empty recipe.
    """

    spec: ToolSpec
    validator: InputValidator
    recipe: Recipe
    limits: BoxLimits
    isolation: Isolation = "call"
    hosts: tuple[str, ...] = ()
    timeout_from_input: str = ""
    default_timeout_s: float | None = None
    path: Path = Path()
    runs: Runs = "box"
    session_field: str = ""
    session_default: bool = False

    def chosen_timeout_s(self, arguments: JSON) -> float | None:
        """The time limit that the input asks for, in seconds; ``None`` when it asks for none."""
        if not self.timeout_from_input:
            return None
        chosen = arguments.get(self.timeout_from_input, self.default_timeout_s)
        return chosen if is_positive_number(chosen) else None

    def wants_session(self, arguments: JSON) -> bool:
        """Whether a call with this input keeps a session, whatever ``isolation`` says."""
        if not self.session_field:
            return False
        return arguments.get(self.session_field, self.session_default) is True


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A tool that is not offered, and why, in one or more sentences."""

    name: str
    reason: str
    path: Path


def is_positive_number(value: object) -> bool:
    """Whether it is a JSON number above zero."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
