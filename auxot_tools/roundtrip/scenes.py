"""What the scripted upstream says in each exchange, round by round.

One job: the turns. Pure. It must not know how they are served (`upstream`) or judged (`rules`).
"""

from collections.abc import Callable, Mapping

from auxot_tools.roundtrip.plan import CLIENT_TOOL_NAME, NOBODYS_TOOL, Plan
from auxot_tools.scripted.scenario import (
    JSON,
    Block,
    Faults,
    HttpFault,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)

HELLO = "Hello: naïve café, 世界, 👋. \n\nThat is all."
GOODBYE = "Done."
THOUGHT = ThinkingBlock(thinking="Let me think about 世界.", signature="c2lnbmF0dXJl+/==")
CLIENT_RAW = '{"note":  "fi\\u0072st", "n": 12345678901234567890, "x": 1.10}'
CUT_INPUT = '{"note": "half of a no'
BROKEN_INPUT = '{"language": "python", "code": oops'
RETRY_AFTER_S = "7"
REFUSAL_TEXT = "roundtrip: the upstream refuses this."
WORD_S = 0.15  # between the words of a slow answer
SLOW_WORDS = "one two three four five six seven eight nine ten"
LEFT_WORD_S, LEFT_WORDS = 0.25, 32  # 8 s of words, of which a client that leaves sees few

Scene = Callable[[Plan, int], Turn]
"""The turn for a plan and the count of rounds before it."""


def _usage(number: int) -> JSON:
    """Numbers that differ by round, so that a sum is told from one of them; of the most rounds
    together fewer than `max_tokens`, which would end the rounds too.
    """
    return {"input_tokens": 20 + number, "output_tokens": 5 + number}


def _turn(
    number: int, *blocks: Block, stop: str = "end_turn", faults: Faults | None = None
) -> Turn:
    made = Turn(blocks=blocks, stop_reason=stop, usage=_usage(number))
    return made if faults is None else made.model_copy(update={"faults": faults})


def _text(words: str = HELLO, stop: str = "end_turn", faults: Faults | None = None) -> Scene:
    return lambda _plan, number: _turn(number, TextBlock(text=words), stop=stop, faults=faults)


def _in_order(*turns: Scene) -> Scene:
    """These turns, and the last for ever."""
    return lambda plan, number: turns[min(number, len(turns) - 1)](plan, number)


_DONE = _text(GOODBYE)


def _call(scene: str, kind: str = "echo", count: int = 1, thinks: bool = False) -> Scene:
    """A turn that calls the endpoint's tool."""

    def turn(plan: Plan, number: int) -> Turn:
        first = number * count + 1
        calls = [
            ToolUseBlock(
                id=plan.call_id(scene, each),
                name=plan.tool,
                input=plan.call_input(kind, plan.mark(scene, each), plan.seconds_of(scene)),
            )
            for each in range(first, first + count)
        ]
        thought = (THOUGHT,) if thinks else ()
        said = TextBlock(text=f"Round {number + 1}.")
        return _turn(number, *thought, said, *calls, stop="tool_use")

    return turn


def _raw_call(scene: str, raw: str, stop: str) -> Scene:
    """A turn that calls the endpoint's tool with an input that is no JSON."""

    def turn(plan: Plan, number: int) -> Turn:
        call = ToolUseBlock(id=plan.call_id(scene, 1), name=plan.tool, raw_input=raw)
        return _turn(number, TextBlock(text="I call it."), call, stop=stop)

    return turn


def _cut_call(plan: Plan, number: int) -> Turn:
    return _raw_call("cut-call-stream", CUT_INPUT, "max_tokens")(plan, number)


def _refused_call(plan: Plan, number: int) -> Turn:
    made = _call("refused-call")(plan, number)
    return made.model_copy(update={"stop_reason": "refusal"})


def _client_call(
    scene: str, count: int = 1, raw: str | None = None, stop: str = "tool_use"
) -> Scene:
    def turn(plan: Plan, number: int) -> Turn:
        calls = [
            ToolUseBlock(
                id=plan.call_id(scene, each),
                name=CLIENT_TOOL_NAME,
                input={"note": ("first", "second")[each - 1]},
                raw_input=raw,
            )
            for each in range(1, count + 1)
        ]
        return _turn(number, TextBlock(text="I keep a note."), *calls, stop=stop)

    return turn


def _mixed(plan: Plan, number: int) -> Turn:
    """The endpoint's call first, then the client's."""
    scene = "mixed-stream"
    ours = ToolUseBlock(
        id=plan.call_id(scene, 1),
        name=plan.tool,
        input=plan.call_input("echo", plan.mark(scene)),
    )
    clients = ToolUseBlock(
        id=plan.call_id(scene, 2), name=CLIENT_TOOL_NAME, input={"note": "first"}
    )
    return _turn(number, TextBlock(text="Both."), ours, clients, stop="tool_use")


def _nobodys(plan: Plan, number: int) -> Turn:
    call = ToolUseBlock(id=plan.call_id("unknown-tool", 1), name=NOBODYS_TOOL, input={"a": 1})
    return _turn(number, TextBlock(text="I call it."), call, stop="tool_use")


def _for_ever(plan: Plan, number: int) -> Turn:
    if number >= plan.most_rounds:
        return _DONE(plan, number)
    return _call("round-limit-stream")(plan, number)


def _slow_words(_plan: Plan, number: int) -> Turn:
    block = TextBlock(text=SLOW_WORDS, chunk_chars=5)
    return _turn(number, block).model_copy(update={"delta_delay_s": WORD_S})


def _slow_start(plan: Plan, number: int) -> Turn:
    update = {"first_event_delay_s": plan.slow_s}
    return _turn(number, TextBlock(text=HELLO)).model_copy(update=update)


def _long_words(_plan: Plan, number: int) -> Turn:
    block = TextBlock(text="word " * LEFT_WORDS, chunk_chars=5)
    return _turn(number, block).model_copy(update={"delta_delay_s": LEFT_WORD_S})


def _stopped(_plan: Plan, number: int) -> Turn:
    made = _turn(number, TextBlock(text="Up to here "), stop="stop_sequence")
    return made.model_copy(update={"stop_sequence": "END"})


def _thoughtful(_plan: Plan, number: int) -> Turn:
    return _turn(number, THOUGHT, TextBlock(text=HELLO))


def _fails(fault: HttpFault, **headers: str) -> Scene:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    faults = Faults(http=fault)
    return lambda _plan, number: _turn(number, faults=faults).model_copy(update={"headers": named})


_BUSY = HttpFault(status=529, error_type="overloaded_error", message="roundtrip: overloaded")
_LIMIT = HttpFault(status=429, error_type="rate_limit_error", message="roundtrip: too many")
_REFUSAL = HttpFault(status=400, error_type="invalid_request_error", message=REFUSAL_TEXT)
_PAGE = HttpFault(
    status=200,
    body="<!doctype html><html><body>Welcome to nginx</body></html>",
    content_type="text/html",
)
ERROR_AFTER, CUT_AFTER = 4, 4  # events: the message, the ping, a block and its first words

_SCENES: Mapping[str, Scene] = {
    "slow-text-stream": _slow_words,
    "thinking-stream": _thoughtful,
    "max-tokens": _text(HELLO, "max_tokens"),
    "stop-sequence": _stopped,
    "client-tool": _in_order(_client_call("client-tool"), _DONE),
    "client-tool-stream": _in_order(_client_call("client-tool-stream", raw=CLIENT_RAW), _DONE),
    "client-parallel-stream": _in_order(_client_call("client-parallel-stream", 2), _DONE),
    "client-cut-stream": _client_call("client-cut-stream", raw=CUT_INPUT, stop="max_tokens"),
    "unknown-tool": _in_order(_nobodys, _DONE),
    "tool": _in_order(_call("tool"), _DONE),
    "tool-stream": _in_order(_call("tool-stream"), _DONE),
    "tool-history": _text(GOODBYE),
    "parallel-stream": _in_order(_call("parallel-stream", count=2), _DONE),
    "two-rounds-stream": _in_order(
        _call("two-rounds-stream", thinks=True), _call("two-rounds-stream", thinks=True), _DONE
    ),
    "bad-arguments-stream": _in_order(_call("bad-arguments-stream", "bad"), _DONE),
    "failing-program": _in_order(_call("failing-program", "failing"), _DONE),
    "cut-call-stream": _in_order(_cut_call, _DONE),
    "broken-call": _in_order(_raw_call("broken-call", BROKEN_INPUT, "tool_use"), _DONE),
    "refused-call": _in_order(_refused_call, _DONE),
    "round-limit-stream": _for_ever,
    "mixed-stream": _in_order(_mixed, _DONE),
    "slow-tool-stream": _in_order(_call("slow-tool-stream", "slow"), _DONE),
    "slow-upstream-stream": _slow_start,
    "leaves-in-call": _in_order(_call("leaves-in-call", "slow"), _DONE),
    "leaves-in-stream": _long_words,
    "upstream-busy": _fails(_BUSY),
    "upstream-busy-stream": _fails(_BUSY),
    "upstream-limit": _fails(_LIMIT, retry_after=RETRY_AFTER_S),
    "upstream-refuses": _fails(_REFUSAL),
    "upstream-html": _fails(_PAGE),
    "upstream-error-stream": _text(faults=Faults(error_after_events=ERROR_AFTER)),
    "upstream-cut-stream": _text(faults=Faults(cut_after_events=CUT_AFTER)),
    "fails-after-tool": _in_order(_call("fails-after-tool", "unique"), _fails(_BUSY)),
}
# What is said when a conversation of this name is in its second request, where that differs.
_SECOND: Mapping[str, Scene] = {
    "fails-after-tool": _in_order(_call("fails-after-tool", "unique"), _DONE),
}


def turn_for(plan: Plan, scene: str, number: int, requests: int = 1) -> Turn:
    """The turn of a scene after ``number`` rounds; ``requests`` the client has sent so far.

    A scene that is not here says a short text.
    """
    chosen = _SECOND if requests > 1 and scene in _SECOND else _SCENES
    return chosen.get(scene, _text())(plan, number)
