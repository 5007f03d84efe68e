"""What a job becomes, and what came of it: the values between a job and its answer.

One job: name them. Pure. It must not know any tool.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from auxot_tools.connect.captured import Captured
from auxot_tools.connect.frames import JobAnswer
from auxot_tools.messages import exact_json
from auxot_tools.types import JSON, ToolResult

# The end of a script is told on stderr, where its return value may be 64 Ki characters of JSON.
_STDERR_TAIL_BYTES = 512 * 2**10


@dataclass(slots=True)
class Ran:
    """A call that has ended: what it wrote as it ran, and its result."""

    result: ToolResult
    stdout: Captured = field(default_factory=Captured)
    stderr: Captured = field(default_factory=lambda: Captured(_STDERR_TAIL_BYTES))
    duration_ms: int = 0

    @property
    def text(self) -> str:
        """The text blocks of the result."""
        blocks = [block.get("text") for block in self.result.content if block["type"] == "text"]
        return "\n".join(text for text in blocks if isinstance(text, str))

    @property
    def images(self) -> tuple[tuple[str, str], ...]:
        """The images of the result: media type and base64 text."""
        sources = [block["source"] for block in self.result.content if block["type"] == "image"]
        return tuple((str(one["media_type"]), str(one["data"])) for one in sources)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The call of one of our tools that a job asks for, and how its result is told."""

    tool_name: str
    input_json: bytes
    answer: Callable[[Ran], JobAnswer]

    @classmethod
    def of(cls, tool_name: str, arguments: JSON, answer: Callable[[Ran], JobAnswer]) -> "Prepared":
        return cls(tool_name, exact_json.encode(arguments), answer)


class Usage(ValueError):
    """The arguments cannot be used; the text is for the model."""
