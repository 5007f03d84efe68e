"""The client of a test checks every answer: here against endpoints that get something wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.roundtrip.pytest_client import MessagesClient, MessagesFailure
from auxot_tools.roundtrip.pytest_lab import opened_lab
from auxot_tools.roundtrip.pytest_model import ScriptedModelServer, served_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MessagesClient, Any]]:
    """A client whose endpoint is the scripted model itself, which does what it is told."""
    home = tmp_path_factory.mktemp("lab")
    with opened_lab(home, {}, home) as lab, served_model(lab, home) as served:
        yield MessagesClient(lab, served.url, "any"), served


@pytest.mark.parametrize(
    ("faults", "rule"),
    [
        ({"omit_message_stop": True}, "sse.message-stop: no message_stop"),
        ({"omit_message_delta": True}, "sse.stop-reason: no message_delta"),
        ({"invalid_json_after_events": 3}, "sse.data-json"),
        ({"unknown_event_after_events": 3}, "sse.known-events"),
        (
            {"cut_after_events": 3},
            "No whole answer came: the connection was closed within the answer",
        ),
        ({"answer_json_to_stream": True}, "sse.start-first: there is no event at all"),
    ],
)
def test_a_stream_that_breaks_the_protocol_fails_the_test(
    model: tuple[MessagesClient, ScriptedModelServer], faults: dict[str, Any], rule: str
) -> None:
    client, served = model
    served.play({"text": "Hello", "faults": faults}, after_last="repeat")
    with pytest.raises(MessagesFailure) as caught:
        client.ask("hi")
    assert rule in str(caught.value)


def test_a_stream_with_an_error_in_it_fails_with_the_error(
    model: tuple[MessagesClient, ScriptedModelServer],
) -> None:
    client, served = model
    served.play({"text": "Hello", "faults": {"error_after_events": 3}})
    with pytest.raises(MessagesFailure) as caught:
        client.stream("hi")
    assert caught.value.status == 200
    assert caught.value.body["error"]["type"] == "overloaded_error"


def test_what_is_asked_is_sent_and_every_kind_of_block_comes_back(
    model: tuple[MessagesClient, ScriptedModelServer], tmp_path: Path
) -> None:
    client, served = model
    served.play(
        {"thinking": "hm", "text": "Look", "tool_use": {"id": "toolu_1", "name": "a"}},
        {"text": "b"},
    )
    answer = client.ask([{"role": "user", "content": "x"}], tools=[{"name": "a"}], max_tokens=7)
    assert [block["type"] for block in answer.message["content"]] == [
        "thinking",
        "text",
        "tool_use",
    ]
    assert (answer.text, answer.stop_reason) == ("Look", "tool_use")
    assert client.create("y")["content"][0]["text"] == "b"
    first, second = served.requests
    assert (first["tools"], first["max_tokens"], first["stream"]) == ([{"name": "a"}], 7, True)
    assert (second["messages"][0]["content"], second["stream"]) == ("y", False)
    assert json.dumps(answer.events[-1]) == '{"type": "message_stop"}'
