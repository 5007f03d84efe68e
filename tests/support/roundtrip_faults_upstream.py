"""One fault for each rule, put into the recording of a good run: what goes upstream, and when."""

from collections.abc import Callable
from dataclasses import replace

from auxot_tools.roundtrip.recording import Asked
from tests.support.roundtrip_faults import Fault
from tests.support.roundtrip_tampering import JSON, Tampering


def asking(name: str, change: Callable[[JSON], object], number: int = 1) -> Fault:
    """A request upstream whose body is another."""

    def apply(body: JSON) -> None:
        change(body)

    return lambda t: t.asked(name, number, apply)


def results_of(body: JSON) -> list[JSON]:
    return [b for b in body["messages"][-1]["content"] if b["type"] == "tool_result"]


def uses_of(body: JSON) -> list[JSON]:
    turns = [m["content"] for m in body["messages"] if m["role"] == "assistant"]
    return [block for blocks in turns for block in blocks if block["type"] == "tool_use"]


def in_result(**members: object) -> Callable[[JSON], None]:
    return lambda body: results_of(body)[0].update(members)


def without_last_result(body: JSON) -> None:
    body["messages"][-1]["content"].remove(results_of(body)[-1])


def renamed_call(body: JSON) -> None:
    uses_of(body)[0]["id"] = results_of(body)[0]["tool_use_id"] = "toolu_another"


def without_thinking(body: JSON) -> None:
    for message in body["messages"]:
        if message["role"] == "assistant":
            message["content"] = [b for b in message["content"] if b["type"] != "thinking"]


def thinking_lost(t: Tampering) -> None:
    for number in (1, 2):
        t.asked("two-rounds-stream", number, without_thinking)


def later(body: JSON) -> None:
    body["messages"].insert(-1, {"role": "user", "content": "One moment."})


def apart(body: JSON) -> None:
    last = body["messages"][-1]
    body["messages"].append({"role": "user", "content": [last["content"].pop()]})


def contents_swapped(body: JSON) -> None:
    first, second = results_of(body)
    first["content"], second["content"] = second["content"], first["content"]


def results_reversed(body: JSON) -> None:
    body["messages"][-1]["content"].reverse()


def once_more(name: str, call_number: int = 0, **members: object) -> Fault:
    """The upstream is asked once more, with a result of the call."""

    def change(asked: list[Asked]) -> list[Asked]:
        first = asked[0]
        call = [b for b in first.said["blocks"] if b["type"] == "tool_use"][call_number]
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "ran"} | members
        messages = [*first.body["messages"], {"role": "user", "content": [result]}]
        said = {"blocks": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}
        return [*asked, replace(first, body=first.body | {"messages": messages}, said=said)]

    return lambda t: t.asks(name, change)


def ended(name: str, how: str) -> Fault:
    return lambda t: t.asks(name, lambda asked: [replace(each, ended=how) for each in asked])


FAULTS: dict[str, Fault] = {
    "pairing.upstream-results": asking("tool", without_last_result),
    "pairing.upstream-ids": asking("tool", in_result(tool_use_id="toolu_another")),
    "pairing.upstream-next": asking("tool", later),
    "pairing.upstream-first": asking(
        "tool", lambda b: b["messages"][-1]["content"].insert(0, {"type": "text", "text": "x"})
    ),
    "pairing.upstream-ids-kept": asking("tool", renamed_call),
    "pairing.upstream-inputs-kept": asking("tool", lambda b: uses_of(b)[0]["input"].clear()),
    "pairing.upstream-thinking": thinking_lost,
    "pairing.upstream-grows": asking(
        "two-rounds-stream", lambda b: b["messages"][0].update(content="Rewritten."), 2
    ),
    "pairing.upstream-tools": asking("tool", lambda b: b["tools"].clear()),
    "pairing.result-text": asking("tool", in_result(content="")),
    "parallel.all-answered": asking("parallel-stream", without_last_result),
    "parallel.one-message": asking("parallel-stream", apart),
    "parallel.in-order": asking("parallel-stream", results_reversed),
    "parallel.own-result": asking("parallel-stream", contents_swapped),
    "parallel.client-results": asking("client-parallel-result", without_last_result, 0),
    "mixed.client-not-run": once_more("mixed-stream", 1),
    "mixed.paired": asking("mixed-result", without_last_result, 0),
    "is-error.bad-arguments": asking("bad-arguments-stream", in_result(is_error=False)),
    "is-error.goes-on": lambda t: t.asks("bad-arguments-stream", lambda asked: asked[:1]),
    "is-error.says-why": asking("bad-arguments-stream", in_result(content="-")),
    "is-error.no-stack": asking(
        "broken-call", in_result(content="Traceback (most recent call last): oh dear")
    ),
    "is-error.good-call": asking("tool", in_result(is_error=True)),
    "is-error.failing-program": asking("failing-program", in_result(is_error=True)),
    "is-error.client-flag": asking(
        "client-error-result", lambda b: results_of(b)[0].pop("is_error"), 0
    ),
    "is-error.client-text": asking("client-tool-result", in_result(content="Kept."), 0),
    "cut.not-run": once_more("cut-call-stream"),
    "cut.broken-json": asking("broken-call", in_result(is_error=False)),
    "cut.refused-not-run": once_more("refused-call"),
    "rounds.bounded": once_more("round-limit-stream"),
    "disconnect.stops-the-loop": once_more("leaves-in-call"),
    "disconnect.stops-the-upstream": ended("leaves-in-stream", "whole"),
    "retry.no-second-run": asking("repeated-after-failure", in_result(content="run 99"), -1),
}
