"""Mutants for the rules about calls: pairing, parallel and mixed turns, errors, cuts, rounds.

One job: tables, from a rule's id to what breaks it and nothing else.
"""

from collections.abc import Mapping

from auxot_tools.loop.loop import LoopSettings
from auxot_tools.types import JSON
from tests.mutants.edits import (
    block_before_end,
    blocks,
    change,
    content,
    in_messages,
    input_text,
    last_results,
    member,
    refused,
    result,
    swapped_blocks,
    text_of_result,
    without,
    without_block,
)
from tests.mutants.making import answer, members, message, stream, upstream
from tests.support.mutant_router import TOOL, BodyEdit, Mutant

START, DELTA = "content_block_start", "content_block_delta"
TOLD = "message_delta"
STACK = 'Traceback (most recent call last):\n  File "/srv/tool.py", line 1, in main'
SECOND_RESULT = {
    "type": "mcp_tool_result",
    "tool_use_id": "mcptoolu_other",
    "is_error": False,
    "content": [],
}
LAST = -1
OURS_AS_CLIENTS = {"type": "tool_use", "id": "toolu_extra", "name": TOOL, "input": {}}
TURN_ENDS = change(TOLD, member("delta.stop_reason", "end_turn"))


def gone(_block: JSON) -> None:
    """Takes a block away."""


def as_text(_block: JSON) -> JSON:
    """A text where a result stood."""
    return {"type": "text", "text": "It was called."}


def ids_of(kind: str, name: str) -> BodyEdit:
    """Other ids, the same for a call and its result."""
    role = "assistant" if kind == "tool_use" else "user"
    return blocks(role, kind, lambda block: {**block, name: f"{block[name]}_other"})


def in_turn(*edits: BodyEdit) -> BodyEdit:
    """These edits, one after another."""

    def edit(body: JSON, number: int) -> JSON:
        for each in edits:
            body = each(body, number)
        return body

    return edit


def between(messages: list[JSON]) -> list[JSON]:
    """A message of the user's between the call and its result."""
    if len(messages) < 3:
        return messages
    return [*messages[:-1], {"role": "user", "content": "Wait."}, messages[-1]]


def text_first(content_blocks: list[JSON]) -> list[JSON]:
    return [{"type": "text", "text": "Here it is."}, *content_blocks]


def first_message_changed(messages: list[JSON]) -> list[JSON]:
    first = messages[0]
    return [{**first, "content": f"{first['content']} Be quick."}, *messages[1:]]


def one_more_tool(body: JSON, number: int) -> JSON:
    """A tool that the first request did not declare."""
    if number == 1:
        return body
    return {**body, "tools": [*body["tools"], {"name": "late", "input_schema": {"type": "object"}}]}


def apart(messages: list[JSON]) -> list[JSON]:
    """Each result of the last message in a message of its own."""
    last = messages[-1]
    if not isinstance(last["content"], list):
        return messages
    return [*messages[:-1], *({**last, "content": [block]} for block in last["content"])]


def contents_swapped(results: list[JSON]) -> list[JSON]:
    """Each of two results has what the other had."""
    first, second = results
    return [
        {**first, "content": second["content"]},
        {**second, "content": first["content"]},
    ]


def clients_answered(body: JSON, _number: int) -> JSON:
    """The request that an endpoint makes when it answers the client's call in its place."""
    words = body["messages"][0]["content"]
    run_id = words.split("[[roundtrip ")[1].split()[0]
    ids = [f"toolu_{run_id}_mixed-stream_{number}" for number in (1, 2)]
    uses = [{"type": "tool_use", "id": each, "name": TOOL, "input": {}} for each in ids]
    results = [{"type": "tool_result", "tool_use_id": each, "content": "ok"} for each in ids]
    turns = [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    return {**body, "messages": [*body["messages"], *turns]}


def mended(text: str) -> str:
    """Cut JSON as somebody hands it on who completes it."""
    return f'{text}"}}'


PAIRING: Mapping[str, Mutant] = {
    "pairing.shown-results": stream("parallel-stream", without_block(4)),
    "pairing.shown-ids": stream(
        "parallel-stream", change(START, member("content_block.tool_use_id", "mcptoolu_other"), 4)
    ),
    "pairing.shown-order": message(
        "tool", content(lambda given: [given[0], given[2], given[1], *given[3:]])
    ),
    "pairing.ids-unique": stream(
        "parallel-stream",
        *(change(START, member("content_block.id", "mcptoolu_1"), n) for n in (1, 2)),
        *(change(START, member("content_block.tool_use_id", "mcptoolu_1"), n) for n in (3, 4)),
    ),
    "pairing.not-the-clients": message(
        "failing-program", content(lambda given: [*given, OURS_AS_CLIENTS])
    ),
    "pairing.client-call-shown": message(
        "client-tool", content(lambda given: given[:1]), member("stop_reason", "end_turn")
    ),
    "pairing.call-stop-reason": message("client-tool", member("stop_reason", "end_turn")),
    "pairing.stop-reason-call": message("plain-again", member("stop_reason", "tool_use")),
    "pairing.client-input-kept": stream(
        "client-tool-stream", input_text(1, lambda text: text.replace("67890,", "67000,"))
    ),
    "pairing.upstream-results": upstream("tool-stream", result(as_text)),
    "pairing.upstream-ids": upstream("tool-stream", result(members(tool_use_id="toolu_other"))),
    "pairing.upstream-next": upstream("tool-stream", in_messages(between)),
    "pairing.upstream-first": upstream("tool-stream", last_results(text_first)),
    "pairing.upstream-ids-kept": upstream(
        "tool-stream", in_turn(ids_of("tool_use", "id"), ids_of("tool_result", "tool_use_id"))
    ),
    "pairing.upstream-inputs-kept": upstream(
        "tool-stream", blocks("assistant", "tool_use", members(input={}))
    ),
    "pairing.upstream-thinking": upstream(
        "two-rounds-stream", blocks("assistant", "thinking", gone)
    ),
    "pairing.upstream-grows": upstream(
        "two-rounds-stream", in_messages(first_message_changed, since=3)
    ),
    "pairing.upstream-tools": upstream("two-rounds-stream", one_more_tool),
    "pairing.result-text": upstream("tool-stream", result(text_of_result("ok"))),
}

PARALLEL: Mapping[str, Mutant] = {
    "parallel.all-answered": upstream("parallel-stream", last_results(lambda given: given[:1])),
    "parallel.one-message": upstream("parallel-stream", in_messages(apart)),
    "parallel.in-order": upstream("parallel-stream", last_results(lambda given: given[::-1])),
    "parallel.own-result": upstream("parallel-stream", last_results(contents_swapped)),
    "parallel.client-all": stream("client-parallel-stream", without_block(2)),
    "parallel.client-order": stream("client-parallel-stream", swapped_blocks(1)),
    "parallel.client-results": upstream(
        "client-parallel-stream", last_results(lambda given: given[:1])
    ),
}

MIXED: Mapping[str, Mutant] = {
    "mixed.client-call": stream("mixed-stream", without_block(2), TURN_ENDS),
    "mixed.stop-reason": stream("mixed-stream", TURN_ENDS),
    "mixed.client-not-run": Mutant(also_asked={"mixed-stream": clients_answered}),
    "mixed.shape": stream("mixed-stream", block_before_end(SECOND_RESULT)),
    "mixed.result-taken": answer("mixed-result", refused(400, "invalid_request_error")),
    "mixed.paired": upstream("mixed-stream", last_results(lambda given: given[1:])),
}

IS_ERROR: Mapping[str, Mutant] = {
    "is-error.bad-arguments": upstream("bad-arguments-stream", result(members(is_error=False))),
    "is-error.goes-on": Mutant(stolen=frozenset({"bad-arguments-stream"})),
    "is-error.says-why": upstream("broken-call", result(text_of_result("Error 17."))),
    "is-error.no-stack": upstream("broken-call", result(text_of_result(STACK))),
    "is-error.good-call": upstream("tool", result(members(is_error=True))),
    "is-error.failing-program": upstream("failing-program", result(members(is_error=True))),
    "is-error.shown-flag": stream(
        "parallel-stream", change(START, without("content_block.is_error"), 3)
    ),
    "is-error.shown-true": stream(
        "bad-arguments-stream", change(START, member("content_block.is_error", False), 2)
    ),
    "is-error.client-flag": upstream("client-tool", result(members(is_error=False))),
    "is-error.client-text": upstream("client-tool-stream", result(text_of_result("Kept."))),
    "is-error.unknown-tool": message(
        "unknown-tool", content(lambda given: given[:1]), member("stop_reason", "end_turn")
    ),
}

CUT: Mapping[str, Mutant] = {
    "cut.not-run": stream(
        "cut-call-stream", change(START, member("content_block.is_error", False), 2)
    ),
    "cut.stop-reason": stream("cut-call-stream", TURN_ENDS),
    "cut.client-input": stream("client-cut-stream", input_text(1, mended)),
    "cut.client-stop-reason": stream("client-cut-stream", TURN_ENDS),
    "cut.broken-json": upstream("broken-call", result(members(is_error=False))),
    "cut.refused-not-run": message("refused-call", member("content.2.is_error", False)),
    "cut.refusal-kept": message("refused-call", member("stop_reason", "end_turn")),
}

ROUNDS: Mapping[str, Mutant] = {
    "rounds.bounded": Mutant(settings=LoopSettings(max_rounds=100)),
    "rounds.clean-end": stream(
        "round-limit-stream", change(TOLD, member("delta.stop_reason", "refusal"))
    ),
    "rounds.no-call-left": stream("round-limit-stream", without_block(2)),
    "rounds.usage": stream("two-rounds-stream", change(TOLD, member("usage.output_tokens", 1))),
    "rounds.text": stream(
        "two-rounds-stream", change(DELTA, member("delta.text", "Finished."), LAST)
    ),
}

MUTANTS = {**PAIRING, **PARALLEL, **MIXED, **IS_ERROR, **CUT, **ROUNDS}
