"""The smallest exchange with a tool, as requests and as curl commands.

One job: bodies and words. It makes no request. No key is ever in a command: it names the variable.
Facts: Messages API reference, "Tool use" (`messages-api.md` section 6.8: each `tool_use` is
answered in the next message, results first, the assistant's content repeated as it came).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from auxot_tools.doctor.probes import VERSION
from auxot_tools.types import JSON, ToolSpec

MAX_TOKENS = 1024
ID_PLACE = "TOOL_USE_ID"  # in the second command: the id from the first answer
_KEY_LINE = '-H "x-api-key: $ANTHROPIC_API_KEY"'


@dataclass(frozen=True, slots=True)
class Sketch:
    """What is sketched: ``inputs`` has one sample for each of ``tools``."""

    url: str
    model: str
    tools: Sequence[ToolSpec]
    inputs: Sequence[JSON]
    result: str = ""

    @property
    def prompt(self) -> str:
        """What the user says. The `demo` model understands the words about code."""
        if len(self.tools) == 1 and self.inputs[0].get("code") == "print(6 * 7)":
            return f"Use {self.tools[0].name}. Please run this python: print(6 * 7)"
        wanted = [
            f"{tool.name} with the input {json.dumps(value, ensure_ascii=False)}"
            for tool, value in zip(self.tools, self.inputs, strict=True)
        ]
        return f"Call {', and '.join(wanted)}. Then say what came back."

    def result_of(self, name: str) -> str:
        """The text that stands for the tool's answer."""
        return self.result or f"This is what {name} answered (a sample)."


def endpoint_request(sketch: Sketch) -> JSON:
    """The one request where the endpoint runs the tool: it offers the tool itself."""
    return {
        "model": sketch.model,
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": sketch.prompt}],
    }


def first_request(sketch: Sketch) -> JSON:
    """The client offers the tool, and asks for a call."""
    one = len(sketch.tools) == 1
    choice = {"type": "tool", "name": sketch.tools[0].name} if one else {"type": "any"}
    tools = [
        {"name": one.name, "description": _short(one.description), "input_schema": one.input_schema}
        for one in sketch.tools
    ]
    return endpoint_request(sketch) | {"tools": tools, "tool_choice": choice}


def can_be_answered(content: Sequence[Any]) -> bool:
    """Whether it is what an assistant's content must be: blocks, and calls with id and name."""
    needed = {"tool_use": ("type", "id", "name")}
    return all(
        isinstance(block, dict)
        and all(isinstance(block.get(name), str)
                for name in needed.get(str(block.get("type")), ("type",)))
        for block in content
    )  # fmt: skip


def second_request(sketch: Sketch, content: Sequence[JSON]) -> JSON:
    """The answer's ``content`` as it came, and a result for each `tool_use` in it.

    Every block has a `type`, and a `tool_use` its `id` and `name`: see `can_be_answered`.
    """
    results = [
        {
            "type": "tool_result",
            "tool_use_id": block["id"],
            "content": sketch.result_of(block["name"]),
        }
        for block in content
        if block["type"] == "tool_use"
    ]
    body = first_request(sketch)
    del body["tool_choice"]  # else the model must call again
    body["messages"] += [
        {"role": "assistant", "content": list(content)},
        {"role": "user", "content": results},
    ]
    return body


def example_content(sketch: Sketch) -> list[JSON]:
    """What the first answer will hold."""
    return [
        {
            "type": "tool_use",
            "id": ID_PLACE if number == 0 else f"{ID_PLACE}_{number + 1}",
            "name": tool.name,
            "input": value,
        }
        for number, (tool, value) in enumerate(zip(sketch.tools, sketch.inputs, strict=True))
    ]


def curl(url: str, body: JSON) -> str:
    """The request as a shell command; the key is a variable of the shell."""
    text = _laid_out(body).replace("'", "'\\''")
    return "\n".join(
        [
            f"curl -sS {_quoted(url)} \\",
            f"  -H 'content-type: application/json' -H 'anthropic-version: {VERSION}' \\",
            f"  {_KEY_LINE} \\",
            f"  -d '{text}'",
        ]
    )


def _laid_out(body: JSON) -> str:
    """JSON with a line for each member, and for each message: short, and still to be read."""
    members = [f" {json.dumps(name)}: {_member(value)}" for name, value in body.items()]
    return "{\n" + ",\n".join(members) + "\n}"


def _member(value: Any) -> str:
    if not isinstance(value, list) or not value:
        return json.dumps(value, ensure_ascii=False)
    items = [f"  {json.dumps(one, ensure_ascii=False)}" for one in value]
    return "[\n" + ",\n".join(items) + "]"


def _short(description: str) -> str:
    """Its first sentence: the exchange is to be small."""
    first = description.partition("\n")[0].partition(". ")[0]
    return first if first.endswith(".") else f"{first}."


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def endpoint_lines(sketch: Sketch) -> list[str]:
    """The form with one request, in words and as a command."""
    names = ", ".join(tool.name for tool in sketch.tools)
    return [
        f"# A. The endpoint runs the tool: ONE request is enough. The router offers {names}",
        "#    to the model, runs the call and sends the tool_result upstream itself. For that the",
        "#    tool must be in router.allowed_tools; `tools` is not in the request.",
        curl(sketch.url, endpoint_request(sketch)),
        "",
    ]


def client_lines(sketch: Sketch) -> list[str]:
    """The form with two requests."""
    content = example_content(sketch)
    return [
        "# B. The client runs the tool: TWO requests.",
        "# 1. Offer the tool.",
        curl(sketch.url, first_request(sketch)),
        "",
        '#    The answer has "stop_reason": "tool_use", and in its content for each call:',
        *(f"#      {json.dumps(block, ensure_ascii=False)}" for block in content),
        "#    Run the tool with that input.",
        "# 2. Send the conversation with the result. The assistant's content is repeated exactly",
        f"#    as it came (the real id in place of {ID_PLACE}), all results are in one message.",
        curl(sketch.url, second_request(sketch, content)),
        "",
        '#    The answer has "stop_reason": "end_turn" and the model\'s words.',
    ]
