"""A client's history turned back into what the upstream saw, without state.

In a message of ours a run of `mcp_tool_result` blocks ends a round: results are sent only when the
turn that called for them has ended. So one assistant message of the client becomes, for each round,
an assistant turn and a user message with the results. Clients move blocks: what the ids say of a
call's place in its turn counts more than where it stands. A client's own `tool_use` in a mixed turn
is answered in the client's next user message: all results of the turn then go in one user message,
in `tool_use` order. Foreign blocks pass untouched. Must not know loops or transports.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from auxot_tools.messages import blocks
from auxot_tools.messages.blocks import is_empty_text
from auxot_tools.messages.ids import place_of, unmark_client_id
from auxot_tools.types import JSON

# What the model is told of a call of ours whose result the client no longer has: it kept a stream
# that broke off between the call and its result.
LOST_RESULT = "The connection was lost before this call's result arrived. Its outcome is unknown."


def upstream_messages(messages: tuple[JSON, ...]) -> list[JSON]:
    """The upstream's view of a client's history; what holds no block of ours is not touched."""
    messages = tuple(_with_plain_results(message) for message in messages)
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
        and any(
            blocks.shown_upstream_id(block) is not None or _own_call(block)[0] != block.get("id")
            for block in content
        )
    )


def _own_call(block: JSON) -> tuple[object, int]:
    """The upstream's id of a client's own `tool_use`, and how many of ours stand before it."""
    shown_id = block.get("id")
    if block.get("type") != "tool_use" or not isinstance(shown_id, str):
        return shown_id, 0
    return unmark_client_id(shown_id)


def _with_plain_results(message: JSON) -> JSON:
    """A user message whose results name the upstream's ids."""
    content = message.get("content")
    if message.get("role") != "user" or not isinstance(content, list):
        return message
    plain = [_with_plain_id(block) for block in content]
    return message if plain == content else message | {"content": plain}


def _with_plain_id(block: JSON) -> JSON:
    shown_id = block.get("tool_use_id")
    if block.get("type") != "tool_result" or not isinstance(shown_id, str):
        return block
    upstream_id = unmark_client_id(shown_id)[0]
    return block if upstream_id == shown_id else block | {"tool_use_id": upstream_id}


def _merged(messages: tuple[JSON, ...]) -> Iterator[JSON]:
    """Messages of one role side by side become one where they answer or hold calls together."""
    group: list[JSON] = []
    is_ours = False  # whether the group holds what brings it together
    for message in messages:
        brings = _brings_together(message)
        needs_both = message["role"] == "user"
        belongs = (is_ours and brings) if needs_both else (is_ours or brings)
        if group and (group[0]["role"] != message["role"] or not belongs):
            yield _joined(group)
            group, is_ours = [], False
        group.append(message)
        is_ours = is_ours or brings
    if group:
        yield _joined(group)


def _brings_together(message: JSON) -> bool:
    """An assistant message with a call or result of ours joins all its neighbours; of the user's
    messages those with results join one another.
    """
    if message["role"] == "assistant":
        return _has_shown(message)
    return message["role"] == "user" and _has_results(message)


def _joined(group: list[JSON]) -> JSON:
    if len(group) == 1:
        return group[0]
    return group[0] | {"content": [block for one in group for block in _as_blocks(one)]}


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
        is_call = upstream_id is not None or block.get("type") == "tool_use"
        if (turn.results and is_call and not turn.holds(block, upstream_id)) or (
            upstream_id is not None and upstream_id in turn.ours
        ):
            turn = turn.ended_before(message, turned)
        turn.take(block, upstream_id)
    if turn.results and turn.later and not turn.own_calls:
        turn = turn.ended_before(message, turned)
    turn.append_to(turned, message, with_answers=False)
    return turn.answers()


@dataclass
class _Turn:
    """One assistant turn being put together again.

    `later` holds what came after its results: it is part of the turn only if a call of the turn
    follows, which its client moved.
    """

    content: list[JSON] = field(default_factory=list)
    results: dict[str, JSON] = field(default_factory=dict)
    later: list[JSON] = field(default_factory=list)
    ours: dict[str, int] = field(default_factory=dict)  # id -> client's own calls before it
    own_calls: list[tuple[JSON, int]] = field(default_factory=list)  # and calls of ours before it
    awaited: int = 0  # own calls that the places of ours speak of

    def holds(self, call: JSON, upstream_id: str | None) -> bool:
        """Whether a call that comes after results belongs to this turn all the same."""
        if upstream_id is not None:
            return place_of(call["id"]).ours_before > 0 and upstream_id not in self.ours
        return _own_call(call)[1] > 0 or len(self.own_calls) < self.awaited

    def ended_before(self, message: JSON, turned: list[JSON]) -> "_Turn":
        """Append this turn; the next one begins with what came after its results."""
        later, self.later = self.later, []
        self.append_to(turned, message)
        return _Turn(content=later)

    def take(self, block: JSON, upstream_id: str | None) -> None:
        """The next block, which is not a result of ours."""
        if upstream_id is not None:
            self.content += [*self.later, blocks.upstream_use(block)]
            self.later = []
            before = place_of(block["id"]).clients_before
            self.ours[upstream_id] = before
            self.awaited = max(self.awaited, before)
        elif block.get("type") == "tool_use":
            own_id, ours_before = _own_call(block)
            plain = block if own_id == block.get("id") else block | {"id": own_id}
            self.content += [*self.later, plain]
            self.later = []
            self.own_calls.append((plain, ours_before))
        elif not is_empty_text(block):
            (self.later if self.results else self.content).append(block)

    def append_to(self, turned: list[JSON], message: JSON, *, with_answers: bool = True) -> None:
        content = [*self._in_order(), *self.later]
        if content:
            turned.append(message | {"content": content})
        if with_answers and self.ours:
            turned.append({"role": "user", "content": self.answers()})

    def _in_order(self) -> list[JSON]:
        """The content with the client's own calls where the ids say that they stood."""
        if not self.ours or not self.own_calls:
            return self.content
        ordered: list[JSON] = []
        waiting = deque(self.own_calls)
        own_seen, ours_seen, own_given = 0, 0, 0
        for block in self.content:
            before = self._place_of_ours(block)
            own_seen += before is None and block.get("type") == "tool_use"
            # Own calls that must come now: those before this call of ours, or whose turn it is.
            while waiting and (
                own_given < before
                if before is not None
                else own_given < own_seen and waiting[0][1] <= ours_seen
            ):
                ordered.append(waiting.popleft()[0])
                own_given += 1
            if before is not None:
                ours_seen += 1
            if before is not None or block.get("type") != "tool_use":
                ordered.append(block)
        return [*ordered, *(call for call, _ in waiting)]

    def _place_of_ours(self, block: JSON) -> int | None:
        """How many own calls stand before a call of ours; `None` for any other block."""
        call_id = block.get("id")
        if block.get("type") != "tool_use" or not isinstance(call_id, str):
            return None
        return self.ours.get(call_id)

    def answers(self) -> list[JSON]:
        """One result for each call of ours, in order; a result without its call is dropped."""
        return [self.results.get(call) or _lost(call) for call in self.ours]


def _lost(upstream_id: str) -> JSON:
    text = {"type": "text", "text": LOST_RESULT}
    return blocks.tool_result(upstream_id, [text], is_error=True)


def _with_results(message: JSON, results: list[JSON], turn: JSON) -> JSON:
    """The client's user message with our results added: all results first, in `tool_use` order."""
    uses = [block for block in turn["content"] if block.get("type") == "tool_use"]
    ids = (block["id"] for block in uses if isinstance(block.get("id"), str))
    order = {call_id: place for place, call_id in reversed(list(enumerate(ids)))}
    own: list[JSON] = []
    rest: list[JSON] = []
    for block in _as_blocks(message):
        (own if _answered_id(block) in order else rest).append(block)
    answers = sorted([*results, *own], key=lambda block: order[block["tool_use_id"]])
    return message | {"content": [*answers, *rest]}


def _answered_id(block: JSON) -> str | None:
    """The id that a `tool_result` answers."""
    answered = block.get("tool_use_id")
    is_answer = block.get("type") == "tool_result" and isinstance(answered, str)
    return answered if is_answer else None
