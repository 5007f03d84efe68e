"""The embedded default upstream `demo`: for machines without a model or a key.

One job: answer a Messages request by fixed rules, and say that it is no language model. It turns
"run this python: …" into real `tool_use` blocks and reads the `tool_result` blocks back. It must
not run anything itself, nor know who runs the tools. The same request gets the same answer.
"""

import hashlib
import json
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import (
    JSON,
    Block,
    Script,
    ScriptedRequest,
    TextBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.sse import input_text

TOOL_NAME = "code_executor"
DELTA_DELAY_S = 0.004  # fast to read, slow enough to see that it streams
QUOTE_LIMIT_CHARS = 4000  # of one result; the whole is in the conversation anyway
CALLS_LIMIT = 16  # more in one message is a mistake, not a demonstration

INTRODUCTION = (
    "I am the demo model of auxot-tools: no language model, only a few fixed rules that turn your "
    "text into real tool calls. Try: run this python: print(6 * 7)"
)

_LANGUAGES = {
    "python": "python",
    "py": "python",
    "bash": "bash",
    "shell": "bash",
    "sh": "bash",
    "javascript": "javascript",
    "js": "javascript",
    "node": "javascript",
}
_PHRASE = re.compile(
    rf"\brun (?:this|the following) ({'|'.join(_LANGUAGES)})(?: code)?[ \t]*:[ \t]*", re.IGNORECASE
)
_FENCED = re.compile(r"\s*```[^\n`]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
_FENCED_INLINE = re.compile(r"```(.+?)```")
_ONE_LINE = re.compile(r"[^\n]+(?:\n[ \t]+[^\n]*)*")


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """A piece of code that the user's text asks to run."""

    language: str
    code: str


def demo_model(*, delta_delay_s: float = DELTA_DELAY_S) -> ScriptedModel:
    """The `demo` upstream, ready to be asked. It remembers no request: people use it."""
    script = demo_script(delta_delay_s=delta_delay_s)
    return ScriptedModel(script, requests_kept=0, models=("demo",))


def demo_script(*, delta_delay_s: float = DELTA_DELAY_S) -> Script:
    """The rules of the `demo` upstream, with this pause between the pieces of a stream."""

    def script(request: ScriptedRequest) -> Turn:
        turn = _within_max_tokens(_answer(request.body), request.body.get("max_tokens"))
        return turn.model_copy(update={"delta_delay_s": delta_delay_s})

    return script


def code_requests(text: str) -> tuple[CodeRequest, ...]:
    """What ``text`` asks to run.

    After the phrase comes either code on the same line (indented lines after it belong to it), or a
    fenced block, or plain lines up to the next phrase. Without code there is no request.
    """
    found: list[CodeRequest] = []
    start = _PHRASE.search(text)
    while start is not None:
        code, end = _code_at(text, start.end())
        if code.strip():
            found.append(CodeRequest(_LANGUAGES[start[1].lower()], code))
        start = _PHRASE.search(text, max(end, start.end()))
    return tuple(found)


def _code_at(text: str, start: int) -> tuple[str, int]:
    """The code that begins at ``start``, and where it ends."""
    if match := _FENCED_INLINE.match(text, start):
        return match[1], match.end()
    if match := _FENCED.match(text, start):
        return textwrap.dedent(match[1]), match.end()
    if match := _ONE_LINE.match(text, start):
        return _without_backticks(match[0].rstrip()), match.end()
    following = _PHRASE.search(text, start)
    end = following.start() if following else len(text)
    return textwrap.dedent(text[start:end].strip("\n")).rstrip(), end


def _without_backticks(code: str) -> str:
    is_quoted = len(code) > 2 and code[0] == code[-1] == "`"
    return code[1:-1] if is_quoted else code


def _answer(request: JSON) -> Turn:
    messages = [item for item in _list(request.get("messages")) if isinstance(item, dict)]
    asked = next((item for item in reversed(messages) if item.get("role") == "user"), {})
    blocks = _blocks(asked)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    if results:
        return Turn(blocks=(TextBlock(text=_read_back(results, messages)),))
    wanted = code_requests("\n".join(str(b.get("text", "")) for b in blocks))[:CALLS_LIMIT]
    if not wanted:
        return Turn(blocks=(TextBlock(text=INTRODUCTION),))
    if refusal := _why_not(request):
        return Turn(blocks=(TextBlock(text=f"I am no language model, and {refusal}"),))
    if _choice(request).get("disable_parallel_tool_use") is True:
        wanted = wanted[:1]
    said = "this program" if len(wanted) == 1 else f"these {len(wanted)} programs side by side"
    text = f"I am no language model, but I can have {said} run with {TOOL_NAME}."
    calls = _tool_uses(wanted, request)
    return Turn(blocks=(TextBlock(text=text), *calls), stop_reason="tool_use")


def _why_not(request: JSON) -> str:
    """Why no call can be made; empty when one can."""
    tools = [tool for tool in _list(request.get("tools")) if isinstance(tool, dict)]
    if not any(tool.get("name") == TOOL_NAME for tool in tools):
        return f"the tool {TOOL_NAME} is not offered in this request, so I cannot have code run."
    choice = _choice(request)
    if choice.get("type") == "none":
        return "tool_choice is none in this request, so I cannot have code run."
    if choice.get("type") == "tool" and choice.get("name") != TOOL_NAME:
        return f"tool_choice names another tool than {TOOL_NAME}, so I cannot have code run."
    return ""


def _tool_uses(wanted: tuple[CodeRequest, ...], request: JSON) -> Iterator[ToolUseBlock]:
    """Ids come from the whole conversation, so that none comes twice in it."""
    conversation = json.dumps(request.get("messages"), sort_keys=True).encode()
    for index, item in enumerate(wanted):
        digest = hashlib.sha256(b"%d:" % index + conversation).hexdigest()[:24]
        arguments = {"language": item.language, "code": item.code}
        yield ToolUseBlock(id=f"toolu_{digest}", name=TOOL_NAME, input=arguments)


def _read_back(results: list[JSON], messages: list[JSON]) -> str:
    """Each result quoted, and which of them failed."""
    calls = {
        block.get("id"): str(block.get("name"))
        for message in messages
        for block in _blocks(message)
        if block.get("type") == "tool_use"
    }
    parts = []
    for number, result in enumerate(results, 1):
        name = calls.get(result.get("tool_use_id"), "a tool")
        verb = "failed and said" if result.get("is_error") is True else "answered"
        parts.append(f"Call {number} ({name}) {verb}:\n{_quoted(_result_text(result))}")
    failed = sum(result.get("is_error") is True for result in results)
    count = f"{len(results)} tool result{'' if len(results) == 1 else 's'}"
    end = f"{failed} of {count} failed." if failed else f"I read {count} back; none failed."
    return "\n\n".join([*parts, end])


def _quoted(text: str) -> str:
    shown = text[:QUOTE_LIMIT_CHARS]
    if len(text) > QUOTE_LIMIT_CHARS:
        shown += f"\n[{len(text) - QUOTE_LIMIT_CHARS} characters left out]"
    return "\n".join(f"> {line}".rstrip() for line in shown.split("\n"))


def _result_text(result: JSON) -> str:
    content = result.get("content")
    if isinstance(content, str):
        return content or "(nothing)"
    texts = [
        str(block.get("text", "")) if block.get("type") == "text" else f"[{block.get('type')}]"
        for block in _list(content)
        if isinstance(block, dict)
    ]
    return "\n".join(texts) or "(nothing)"


def _within_max_tokens(turn: Turn, max_tokens: Any) -> Turn:
    """The turn cut as a model's is when ``max_tokens`` is reached; a word counts as a token."""
    if isinstance(max_tokens, bool) or not isinstance(max_tokens, int):
        return turn
    left = max(0, max_tokens)
    kept: list[Block] = []
    for block in turn.blocks:
        cut, words = _cut_block(block, left)
        if words <= left:
            kept.append(block)
            left -= words
            continue
        if left:
            kept.append(cut)
        return turn.model_copy(update={"blocks": tuple(kept), "stop_reason": "max_tokens"})
    return turn


def _cut_block(block: Block, left: int) -> tuple[Block, int]:
    """The block with only its first ``left`` words, and how many words it has."""
    match block:
        case TextBlock():
            cut, words = _first_words(block.text, left)
            return TextBlock(text=cut), words
        case ToolUseBlock():
            cut, words = _first_words(input_text(block), left)
            return block.model_copy(update={"raw_input": cut}), words
    return block, 0


def _first_words(text: str, count: int) -> tuple[str, int]:
    ends = [match.end() for match in re.finditer(r"\S+", text)]
    return text[: ends[min(count, len(ends)) - 1]] if count and ends else "", len(ends)


def _blocks(message: JSON) -> list[JSON]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in _list(content) if isinstance(block, dict)]


def _choice(request: JSON) -> JSON:
    choice = request.get("tool_choice")
    return choice if isinstance(choice, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
