"""Tests of a tool loop of your own, against the scripted model. No Docker engine is needed."""

import json
from urllib.request import Request, urlopen

import pytest


def my_loop(base_url: str, question: str, tools: dict) -> str:
    """The loop that is tested: it asks, runs what the model calls, and sends the results."""
    messages = [{"role": "user", "content": question}]
    while True:
        body = {"model": "any", "max_tokens": 1000, "messages": messages}
        request = Request(f"{base_url}/v1/messages", json.dumps(body).encode())
        with urlopen(request, timeout=10) as response:
            content = json.load(response)["content"]
        calls = [block for block in content if block["type"] == "tool_use"]
        if not calls:
            return "".join(block["text"] for block in content if block["type"] == "text")
        results = [
            {
                "type": "tool_result",
                "tool_use_id": call["id"],
                "content": str(tools[call["name"]](**call["input"])),
            }
            for call in calls
        ]
        messages += [
            {"role": "assistant", "content": content},
            {"role": "user", "content": results},
        ]


def test_both_results_are_sent_in_one_message(scripted_model):
    scripted_model.play(
        {"tool_use": [{"name": "add", "input": {"a": 1, "b": 2}}, {"name": "now"}]},
        {"expect": {"tool_results": 2, "tool_result": ["3", "noon"]}, "text": "Three, at noon."},
    )
    tools = {"add": lambda a, b: a + b, "now": lambda: "noon"}
    assert my_loop(scripted_model.url, "go", tools) == "Three, at noon."


@pytest.mark.auxot_functions(add=lambda a, b: a + b)
def test_the_same_with_the_router_as_the_loop(scripted_model, messages_client):
    scripted_model.calls("add", {"a": 1, "b": 2})
    answer = messages_client.ask("go")
    assert answer.text == "3"
    assert [block["name"] for block in answer.blocks("mcp_tool_use")] == ["add"]
