"""The loop's rules in every combination: streaming and blocking, shown and hidden calls."""

import json
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import running_router

pytestmark = pytest.mark.anyio

THEIRS: Any = {"name": "theirs", "input_schema": {"type": "object"}}


def calls(*names: str, stop: str = "tool_use", tokens: int = 10, first: int = 1) -> Turn:
    blocks = tuple(
        ToolUseBlock(id=f"toolu_{number}", name=name, input={"n": number})
        for number, name in enumerate(names, first)
    )
    return Turn(blocks=blocks, stop_reason=stop, usage={"input_tokens": 1, "output_tokens": tokens})


ANSWER = Turn(blocks=(TextBlock(text="done"),), usage={"input_tokens": 1, "output_tokens": 5})


@dataclass(frozen=True)
class Rule:
    """A conversation, and what must come of it.

    `ran` are the calls that we ran; `asked` what each request upstream had as tool_choice (`None`:
    nothing); `own` the client's calls in the message; `answered` the results of ours in it.
    """

    turns: tuple[Turn, ...]
    stop: str
    ran: tuple[str, ...] = ()
    asked: tuple[Any, ...] = (None, None)
    own: tuple[str, ...] = ()
    answered: int = 0
    request: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    last_max_tokens: int | None = None


AUTO, ANY, NONE = ({"type": kind} for kind in ("auto", "any", "none"))
FORCED = {"type": "tool", "name": "echo"}
ALONE = {"type": "auto", "disable_parallel_tool_use": True}
RULES = {
    "ours is run and answered": Rule(
        (calls("echo"), ANSWER), "end_turn", ran=("toolu_1",), answered=1
    ),
    "ours side by side": Rule(
        (calls("echo", "echo"), ANSWER), "end_turn", ran=("toolu_1", "toolu_2"), answered=2
    ),
    "the client's own is the client's": Rule(
        (calls("theirs"),), "tool_use", asked=(None,), own=("toolu_1",)
    ),
    "mixed, ours first": Rule(
        (calls("echo", "theirs"),),
        "tool_use",
        ran=("toolu_1",),
        asked=(None,),
        own=("toolu_2",),
        answered=1,
    ),
    "mixed, ours last": Rule(
        (calls("theirs", "echo"),),
        "tool_use",
        ran=("toolu_2",),
        asked=(None,),
        own=("toolu_1",),
        answered=1,
    ),
    "ours, then mixed": Rule(
        (calls("echo"), calls("echo", "theirs", first=2)),
        "tool_use",
        ran=("toolu_1", "toolu_2"),
        own=("toolu_3",),
        answered=2,
    ),
    "round limit: the model is asked once more": Rule(
        (calls("echo"), ANSWER),
        "end_turn",
        ran=("toolu_1",),
        asked=(None, NONE),
        answered=1,
        settings={"max_rounds": 1},
    ),
    "round limit: a model that calls all the same gets no run": Rule(
        (calls("echo"), calls("echo", first=2)),
        "end_turn",
        ran=("toolu_1",),
        asked=(None, NONE),
        answered=2,
        settings={"max_rounds": 1},
    ),
    "round limit in a mixed turn: the client goes on": Rule(
        (calls("echo", "theirs"),),
        "tool_use",
        ran=("toolu_1",),
        asked=(None,),
        own=("toolu_2",),
        answered=1,
        settings={"max_rounds": 1},
    ),
    "a forced choice counts for the first turn": Rule(
        (calls("echo"), ANSWER),
        "end_turn",
        ran=("toolu_1",),
        asked=(FORCED, AUTO),
        answered=1,
        request={"tool_choice": FORCED},
    ),
    "any is satisfied by a call": Rule(
        (calls("echo"), ANSWER),
        "end_turn",
        ran=("toolu_1",),
        asked=(ANY, AUTO),
        answered=1,
        request={"tool_choice": ANY},
    ),
    "a forced choice of the client's own tool": Rule(
        (calls("theirs"),),
        "tool_use",
        asked=({"type": "tool", "name": "theirs"},),
        own=("toolu_1",),
        request={"tool_choice": {"type": "tool", "name": "theirs"}},
    ),
    "no parallel calls stays": Rule(
        (calls("echo"), ANSWER),
        "end_turn",
        ran=("toolu_1",),
        asked=(ALONE, ALONE),
        answered=1,
        request={"tool_choice": ALONE},
    ),
    "none stays none": Rule((ANSWER,), "end_turn", asked=(NONE,), request={"tool_choice": NONE}),
    "max_tokens is for the whole answer": Rule(
        (calls("echo", tokens=30), ANSWER),
        "end_turn",
        ran=("toolu_1",),
        answered=1,
        request={"max_tokens": 100},
        last_max_tokens=70,
    ),
    "max_tokens used up by a turn with calls": Rule(
        (calls("echo", tokens=100),),
        "max_tokens",
        ran=("toolu_1",),
        asked=(None,),
        answered=1,
        request={"max_tokens": 100},
    ),
    "max_tokens in the middle of a call": Rule(
        (calls("echo", stop="max_tokens"),), "max_tokens", asked=(None,), answered=1
    ),
    "max_tokens in a mixed turn": Rule(
        (calls("echo", "theirs", stop="max_tokens"),),
        "max_tokens",
        asked=(None,),
        own=("toolu_2",),
        answered=1,
    ),
    "a refusal runs nothing": Rule(
        (calls("echo", stop="refusal"),), "refusal", asked=(None,), answered=1
    ),
    "less is left than thinking needs": Rule(
        (calls("echo", tokens=976),),
        "max_tokens",
        ran=("toolu_1",),
        asked=(None,),
        answered=1,
        request={"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}},
    ),
}
PAUSED = Rule(
    (calls("echo"),),
    "pause_turn",
    ran=("toolu_1",),
    asked=(None,),
    answered=1,
    settings={"max_rounds": 1, "on_round_limit": "pause"},
)
CASES = [*product(RULES, (False, True), (False, True)), *product(["pause"], (False, True), [True])]


async def message_of(client: Any, asked: dict[str, Any], *, stream: bool) -> Any:
    if not stream:
        return await client.beta.messages.create(**asked)
    async with client.beta.messages.stream(**asked) as opened:
        return await opened.get_final_message()


@pytest.mark.parametrize(("name", "stream", "show"), CASES)
async def test_a_rule_holds(tmp_path: Path, name: str, stream: bool, show: bool) -> None:
    rule = PAUSED if name == "pause" else RULES[name]
    model, dispatcher = ScriptedModel(Scenario(turns=rule.turns)), FakeDispatcher()
    asked = {
        "model": "m",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [THEIRS],
    } | rule.request
    settings = LoopSettings(show_calls=show, **rule.settings)
    async with running_router(tmp_path, model, dispatcher, settings=settings) as router:
        message = await message_of(await router.client(strict=True), asked, stream=stream)

    sent = [json.loads(body) for body in model.requests]
    assert message.stop_reason == rule.stop
    assert [call.tool_use_id for call in dispatcher.calls] == list(rule.ran)
    assert tuple(body.get("tool_choice") for body in sent) == rule.asked
    assert {json.dumps(body["tools"]) for body in sent} == {json.dumps(sent[0]["tools"])}
    own = [block.id.partition("-auxot")[0] for block in message.content if block.type == "tool_use"]
    assert own == list(rule.own)
    results = [block for block in message.content if block.type == "mcp_tool_result"]
    assert len(results) == (rule.answered if show else 0)
    if rule.last_max_tokens is not None:
        assert sent[-1]["max_tokens"] == rule.last_max_tokens
    every_id_is_answered(message, sent)


def every_id_is_answered(message: Any, sent: list[Any]) -> None:
    """Neither the client nor the upstream ever has a call of ours without its result."""
    shown = [block.id for block in message.content if block.type == "mcp_tool_use"]
    assert shown == [b.tool_use_id for b in message.content if b.type == "mcp_tool_result"]
    turns = sent[-1]["messages"]
    for turn, after in pairwise(turns):
        if turn["role"] == "assistant":
            uses = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
            assert uses == [block["tool_use_id"] for block in after["content"]]
