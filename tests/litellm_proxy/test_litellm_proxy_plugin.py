"""Conversations with the official SDK through LiteLLM's real proxy, our plugin and a real box."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.litellm_proxy.conftest import NewClient
from tests.litellm_proxy.lab import Upstream
from tests.litellm_proxy.scenes import OWN, SCENES

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

OWN_TOOL: Any = {"name": OWN, "description": "Reads a file.", "input_schema": {"type": "object"}}
STREAMED = pytest.mark.parametrize("stream", [False, True])


def ask(client: anthropic.Anthropic, model: str, *, stream: bool, **more: Any) -> Any:
    messages = [{"role": "user", "content": f"{model} {stream}"}]
    asked: dict[str, Any] = {"model": model, "max_tokens": 1000, "messages": messages} | more
    if not stream:
        return client.beta.messages.create(**asked)
    with client.beta.messages.stream(**asked) as streamed:
        return streamed.get_final_message()


def kinds(message: Any) -> list[str]:
    return [block.type for block in message.content]


def results(message: Any) -> list[Any]:
    return [block for block in message.content if block.type == "mcp_tool_result"]


def last_asked(upstream: Upstream, model: str) -> Any:
    return upstream.asked[model][-1]


@STREAMED
def test_a_call_of_ours_is_run_in_a_box_and_the_model_answers(
    proxy: str, new_client: NewClient, upstream: Upstream, stream: bool
) -> None:
    message = ask(new_client(proxy), "one-call", stream=stream)
    assert kinds(message) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert results(message)[0].content[0].text == "42"
    assert message.content[-1].text == "It is 42."
    assert (message.stop_reason, message.model) == ("end_turn", "one-call")
    sent = last_asked(upstream, "one-call")["messages"]
    assert [one["role"] for one in sent] == ["user", "assistant", "user"]
    assert sent[-1]["content"][0]["tool_use_id"] == "toolu_1"


@STREAMED
def test_an_answer_without_a_call_is_the_models(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(proxy), "plain", stream=stream)
    assert kinds(message) == ["text"]
    assert message.content[0].text == "Hello there."


@STREAMED
def test_calls_of_one_turn_are_answered_in_order(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(proxy), "parallel", stream=stream)
    assert [one.content[0].text for one in results(message)] == ["a", "b"]


@STREAMED
def test_there_are_as_many_rounds_as_it_takes(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(proxy), "two-rounds", stream=stream)
    assert [one.content[0].text for one in results(message)] == ["42", "7"]
    assert message.content[-1].text == "Done."


@STREAMED
def test_at_the_round_limit_the_model_is_asked_without_tools(
    proxy: str, new_client: NewClient, upstream: Upstream, stream: bool
) -> None:
    message = ask(new_client(proxy), "endless", stream=stream)
    assert message.stop_reason == "end_turn"
    assert last_asked(upstream, "endless")["tool_choice"] == {"type": "none"}
    assert len([kind for kind in kinds(message) if kind == "tool_use"]) == 0


@STREAMED
def test_the_clients_own_tool_is_left_to_it(
    proxy: str, new_client: NewClient, upstream: Upstream, stream: bool
) -> None:
    client = new_client(proxy)
    message = ask(client, "own-tool", stream=stream, tools=[OWN_TOOL])
    assert kinds(message) == ["text", "tool_use"]
    assert (message.content[1].name, message.stop_reason) == (OWN, "tool_use")
    names = [tool["name"] for tool in last_asked(upstream, "own-tool")["tools"]]
    assert names[:2] == [OWN, "code_executor"]
    message = ask(client, "own-tool", stream=stream, tools=[OWN_TOOL], messages=answered(message))
    assert message.content[-1].text == "I have read."


@STREAMED
def test_a_mixed_turn_is_answered_by_both(
    proxy: str, new_client: NewClient, upstream: Upstream, stream: bool
) -> None:
    client = new_client(proxy)
    message = ask(client, "mixed", stream=stream, tools=[OWN_TOOL])
    assert message.stop_reason == "tool_use"
    assert sorted(kinds(message)) == ["mcp_tool_result", "mcp_tool_use", "tool_use"]
    message = ask(client, "mixed", stream=stream, tools=[OWN_TOOL], messages=answered(message))
    assert message.content[-1].text == "Both are there."
    sent = last_asked(upstream, "mixed")["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["tool_use", "tool_use"]
    ids = [block["tool_use_id"] for block in sent[2]["content"]]
    assert ids == ["toolu_1", "toolu_2"]


def answered(message: Any) -> list[Any]:
    """The history after the client has run its own calls."""
    own = [block.id for block in message.content if block.type == "tool_use"]
    told = [{"type": "tool_result", "tool_use_id": one, "content": "text of x"} for one in own]
    content = [block.model_dump(exclude_none=True) for block in message.content]
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": content},
        {"role": "user", "content": told},
    ]


@STREAMED
def test_an_input_that_does_not_fit_is_an_error_result(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(proxy), "failing", stream=stream)
    assert results(message)[0].is_error is True
    assert message.content[-1].text == "It failed."


@STREAMED
def test_thinking_goes_back_as_it_came(
    proxy: str, new_client: NewClient, upstream: Upstream, stream: bool
) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 500}
    message = ask(new_client(proxy), "thinking", stream=stream, thinking=thinking)
    assert kinds(message)[0] == "thinking"
    sent = last_asked(upstream, "thinking")["messages"][1]["content"][0]
    assert (sent["thinking"], sent["signature"]) == ("Let me think.", "c2lnbmVk")


@STREAMED
def test_a_model_that_litellm_translates_has_the_tools_too(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(proxy), "chat", stream=stream)
    assert kinds(message)[-3:] == ["mcp_tool_use", "mcp_tool_result", "text"]
    assert message.content[-1].text == "The tool said 42."


def test_a_later_refusal_is_told_and_not_to_be_repeated(proxy: str, new_client: NewClient) -> None:
    with pytest.raises(anthropic.RateLimitError) as raised:
        ask(new_client(proxy), "refused-later", stream=False)
    assert raised.value.response.headers["x-should-retry"] == "false"


def test_a_later_refusal_ends_a_stream_with_an_error(proxy: str, new_client: NewClient) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(new_client(proxy), "refused-later", stream=True)
    assert raised.value.body is not None
    assert "rate_limit_error" in str(raised.value.body)


def test_the_proxys_own_keys_are_asked_for(proxy: str, new_client: NewClient) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(new_client(proxy, key="sk-wrong"), "one-call", stream=False)
    assert raised.value.status_code in (400, 401)  # 400 without a database to look the key up in


def test_the_first_words_come_before_the_tool_has_run(proxy: str, new_client: NewClient) -> None:
    """The call of this scene takes a minute; the client leaves when it has seen the call."""
    client, said = new_client(proxy), ""
    messages: list[Any] = [{"role": "user", "content": "slow"}]
    with client.beta.messages.stream(model="slow", max_tokens=1000, messages=messages) as stream:
        for event in stream:
            if event.type == "text":
                said += event.text
            if event.type == "content_block_stop" and event.content_block.type == "mcp_tool_use":
                break
    assert said == "Let me run it."


def test_other_endpoints_are_not_touched(
    proxy: str, new_client: NewClient, upstream: Upstream
) -> None:
    body = {"model": "plain", "messages": [{"role": "user", "content": "hi"}]}
    answer: Any = new_client(proxy).post("/v1/chat/completions", cast_to=object, body=body)
    assert answer["choices"][0]["message"]["content"] == "Hello there."
    assert "tools" not in last_asked(upstream, "plain")


@STREAMED
def test_requests_that_come_with_one_call_id_are_not_mixed(
    proxy: str, new_client: NewClient, stream: bool
) -> None:
    """LiteLLM takes a request's id from a header, so two clients can have the same."""
    models = ["one-call", "two-rounds"] * 3
    same = {"x-litellm-call-id": f"same-{stream}"}

    def asked(model: str) -> list[str]:
        return kinds(ask(new_client(proxy), model, stream=stream, extra_headers=same))

    with ThreadPoolExecutor(len(models)) as threads:
        told = list(threads.map(asked, models))
    pair = ["mcp_tool_use", "mcp_tool_result"]
    assert told == [["text", *pair, "text"], [*pair, *pair, "text"]] * 3


def test_every_scenario_is_told_by_a_test() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [name for name in SCENES if f'"{name}"' not in source] == []
