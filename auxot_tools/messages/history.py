"""A client's history turned back into what the upstream saw, without state.

In a message of ours a run of `mcp_tool_result` blocks ends a round: results are sent only when the
turn that called for them has ended. So one assistant message of the client becomes, for each round,
an assistant turn and a user message with the results. A client's own `tool_use` in a mixed turn is
answered in the client's next user message: all results of the turn then go in one user message, in
`tool_use` order. Foreign blocks pass untouched. Must not know loops or transports.
"""

from collections.abc import Iterator

from auxot_tools.messages import blocks
from auxot_tools.messages.blocks import is_empty_text
from auxot_tools.types import JSON

# What the model is told of a call of ours whose result the client no longer has: it kept a stream
# that broke off between the call and its result.
LOST_RESULT = "The connection was lost before this call's result arrived. Its outcome is unknown."


def upstream_messages(messages: tuple[JSON, ...]) -> list[JSON]:
    """The upstream's view of a client's history; what holds no block of ours is not touched."""
    if not any(_has_shown(message) for message in messages):
        return list(messages)
    turned: list[JSON] = []
    waiting: list[JSON] = []  # results of the last assistant turn, not yet in a user message
    held: list[JSON] = []  # what came between that turn and the user message: nothing may
    for message in _merged(messages):
        if not waiting and message["role"] == "assistant":
            waiting = _turn_back(message, turned)
        elif not waiting:
            turned.append(message)
        elif message["role"] == "user":
            turned += [_with_results(message, waiting, turned[-1]), *held]
            waiting, held = [], []
        elif message["role"] == "assistant":
            turned += [{"role": "user", "content": waiting}, *held]
            held = []
            waiting = _turn_back(message, turned)
        else:
            held.append(message)
    if waiting:
        turned += [{"role": "user", "content": waiting}, *held]
    return turned


def _has_shown(message: JSON) -> bool:
    content = message.get("content")
    return (
        message.get("role") == "assistant"
        and isinstance(content, list)
        and any(blocks.shown_upstream_id(block) is not None for block in content)
    )


def _merged(messages: tuple[JSON, ...]) -> Iterator[JSON]:
    """Messages of one role side by side become one where they answer or hold calls together."""
    held: JSON | None = None
    for message in messages:
        if held is not None and _belong_together(held, message):
            held = held | {"content": [*_as_blocks(held), *_as_blocks(message)]}
            continue
        if held is not None:
            yield held
        held = message
    if held is not None:
        yield held


def _belong_together(first: JSON, second: JSON) -> bool:
    if first["role"] != second["role"]:
        return False
    if first["role"] == "assistant":
        return _has_shown(first) or _has_shown(second)
    return first["role"] == "user" and _has_results(first) and _has_results(second)


def _has_results(message: JSON) -> bool:
    return any(block.get("type") == "tool_result" for block in _as_blocks(message))


def _as_blocks(message: JSON) -> list[JSON]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _turn_back(message: JSON, turned: list[JSON]) -> list[JSON]:
    """Append the turns of one assistant message; return the results still to be sent."""
    if not _has_shown(message):
        turned.append(message)
        return []
    turn = _Turn()
    for block in message["content"]:
        upstream_id = blocks.shown_upstream_id(block)
        if upstream_id is not None and block["type"] == "mcp_tool_result":
            turn.results[upstream_id] = blocks.upstream_result(block)
            continue
        if turn.results:  # the run of results has ended, and with it the round
            turn.append_to(turned, message)
            turn = _Turn()
        if upstream_id is None:
            if not is_empty_text(block):
                turn.content.append(block)
        else:
            turn.ours.append(upstream_id)
            turn.content.append(blocks.upstream_use(block))
    turn.append_to(turned, message, with_answers=False)
    return turn.answers()


class _Turn:
    """One assistant turn being put together again."""

    def __init__(self) -> None:
        self.content: list[JSON] = []
        self.ours: list[str] = []  # upstream ids of our calls, in order
        self.results: dict[str, JSON] = {}

    def append_to(self, turned: list[JSON], message: JSON, *, with_answers: bool = True) -> None:
        if self.content:
            turned.append(message | {"content": self.content})
        if with_answers and self.ours:
            turned.append({"role": "user", "content": self.answers()})

    def answers(self) -> list[JSON]:
        """One result for each call of ours, in order; a result without its call is dropped."""
        return [self.results.get(call) or _lost(call) for call in self.ours]


def _lost(upstream_id: str) -> JSON:
    text = {"type": "text", "text": LOST_RESULT}
    return blocks.tool_result(upstream_id, [text], is_error=True)


def _with_results(message: JSON, results: list[JSON], turn: JSON) -> JSON:
    """The client's user message with our results added: all results first, in `tool_use` order."""
    uses = [block for block in turn["content"] if block.get("type") == "tool_use"]
    order = [block["id"] for block in uses if isinstance(block.get("id"), str)]
    own = [block for block in _as_blocks(message) if _answers_one_of(block, order)]
    rest = [block for block in _as_blocks(message) if not _answers_one_of(block, order)]
    answers = sorted([*results, *own], key=lambda block: order.index(block["tool_use_id"]))
    return message | {"content": [*answers, *rest]}


def _answers_one_of(block: JSON, ids: list[str]) -> bool:
    return block.get("type") == "tool_result" and block.get("tool_use_id") in ids
