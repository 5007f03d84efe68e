"""What a run is asked to do: the model, the endpoint's tool and its inputs, times and marks.

One job: these values, and the inputs made of their patterns. Pure. It must not know exchanges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from auxot_tools.types import JSON

CLIENT_TOOL: JSON = {
    "name": "roundtrip_note",
    "description": "Keeps a note for the user, and answers with what it did.",
    "input_schema": {
        "type": "object",
        "properties": {"note": {"type": "string"}},
        "required": ["note"],
    },
}
CLIENT_TOOL_NAME = str(CLIENT_TOOL["name"])
NOBODYS_TOOL = "roundtrip_tool_of_nobody"

DEFAULT_TOOL = "code_executor"
# Patterns of inputs. In a text MARK becomes a word that the result is to repeat, and SECONDS a
# number; a text that is SECONDS alone becomes the number itself.
DEFAULT_INPUTS: Mapping[str, JSON] = {
    "echo": {"language": "python", "code": "print('MARK')"},
    "bad": {"language": "python", "code": 5},
    "slow": {"language": "python", "code": "import time; time.sleep(SECONDS); print('MARK')"},
    "unique": {"language": "python", "code": "import uuid; print(uuid.uuid4().hex)"},
    "failing": {"language": "python", "code": "import sys; print('MARK'); sys.exit(3)"},
}
INPUT_KINDS = tuple(DEFAULT_INPUTS)
INPUTS_MEAN = {
    "echo": "a good input; its result repeats MARK",
    "bad": "an input that breaks the tool's schema",
    "slow": "an input whose call takes SECONDS",
    "unique": "an input whose result is another one each time that it runs",
    "failing": "an input of a program that ends with an exit code other than 0",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do.

    ``quiet_s``: a stream may be silent for so long; slow tools and upstreams take 20 percent more.
    ``hold_s``: how long a call takes whose client leaves; ``look_s``: how long that client stays
    once its call runs, or its answer comes; ``settle_s``: how long after the call would have ended
    its next turn would have begun. ``most_rounds``: after so many rounds of calls the scripted
    upstream gives in.
    """

    model: str
    run_id: str
    tool: str = DEFAULT_TOOL
    inputs: Mapping[str, JSON] = field(default_factory=lambda: DEFAULT_INPUTS)
    has_upstream: bool = True
    quiet_s: float = 15.0
    hold_s: float = 4.0
    look_s: float = 0.7
    settle_s: float = 2.0
    most_rounds: int = 25

    @property
    def slow_s(self) -> float:
        """Longer than a stream may be silent."""
        return round(self.quiet_s * 1.2, 3)

    def seconds_of(self, scene: str) -> float:
        """How long a slow call of a scene takes."""
        return self.hold_s if scene == "leaves-in-call" else self.slow_s

    def call_input(self, kind: str, mark: str = "", seconds: float = 0.0) -> JSON:
        """The input of a call of the endpoint's tool. Raises ``KeyError`` without its pattern."""
        filled = _filled(self.inputs[kind], mark, seconds)
        return filled if isinstance(filled, dict) else {}

    def mark(self, name: str, number: int = 1) -> str:
        """A word that no result has by chance."""
        return f"roundtrip-{self.run_id}-{name}-{number}"

    def marker(self, scene: str) -> str:
        """What stands in a user's text, so that the scripted upstream knows what to play."""
        return f"[[roundtrip {self.run_id} {scene}]]"

    def call_id(self, scene: str, number: int) -> str:
        """The id of a scripted call."""
        return f"toolu_{self.run_id}_{scene}_{number}"


def _filled(value: Any, mark: str, seconds: float) -> Any:
    if value == "SECONDS":
        return seconds
    if isinstance(value, str):
        return value.replace("MARK", mark).replace("SECONDS", f"{seconds:g}")
    if isinstance(value, dict):
        return {name: _filled(each, mark, seconds) for name, each in value.items()}
    if isinstance(value, list):
        return [_filled(each, mark, seconds) for each in value]
    return value
