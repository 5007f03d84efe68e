"""A replay sends a recording's requests with the user's key: to the user's endpoint, or not."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.judging import judge
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.recording import (
    Answer,
    Asked,
    Exchanged,
    Facts,
    Piece,
    Recording,
    Sent,
    as_json,
    load,
)
from auxot_tools.roundtrip.replaying import requests_of
from auxot_tools.roundtrip.requests import goes_on

FACTS = Facts("http://h", "m", "abc", True, True, "echo", 15.0)
SENT = Sent("POST", "/v1/messages", {"anthropic-beta": "x"}, {"model": "m", "messages": []})
MESSAGE = b'{"type": "message", "content": [{"type": "text", "text": "hi"}]}'
ANSWER = Answer(200, 0.1, {"content-type": "application/json"}, (Piece(MESSAGE, 0.1),))
ASKED = Asked({"messages": []}, {"accept": "x"}, {"blocks": []}, 0.05)
RECORDING = Recording(FACTS, {"plain": Exchanged("plain", SENT, ANSWER, asked=(ASKED,))})
FOREIGN_PATHS = (
    "@evil.example/v1/messages",
    ".evil.example/v1/messages",
    "//evil.example/v1/messages",
    "/v1//evil.example",
    "/v1/../admin",
    "/v1/messages?to=evil",
    "/v1/messages\n",
    "http://evil.example/v1/messages",
    "\\\\evil.example/v1",
    "",
)


def damaged(tmp_path: Path, **members: Any) -> str:
    """What is said of the recording whose request has other members."""
    content = as_json(RECORDING)
    content["exchanges"][0]["sent"] |= members
    (tmp_path / "file").write_text(json.dumps(content))
    with pytest.raises(ConfigError) as told:
        load(tmp_path / "file")
    return str(told.value)


@pytest.mark.parametrize("path", FOREIGN_PATHS)
def test_a_recorded_path_that_no_run_sends_is_refused(tmp_path: Path, path: str) -> None:
    assert "is damaged at exchanges.0" in damaged(tmp_path, path=path)


@pytest.mark.parametrize(
    "members",
    [
        {"method": "DELETE"},
        {"method": "CONNECT"},
        {"headers": {"anthropic-beta": 5}},
        {"headers": {"anthropic-beta": "x\r\nhost: evil.example"}},
        {"headers": {"host": "evil.example"}},
        {"headers": {"x-api-key": "another"}},
    ],
)
def test_a_recorded_request_that_no_run_sends_is_refused(
    tmp_path: Path, members: dict[str, Any]
) -> None:
    assert "is damaged at exchanges.0" in damaged(tmp_path, **members)


@pytest.mark.parametrize("path", ["@evil.example/v1/messages", ".evil.example/v1", "messages"])
def test_a_request_that_would_leave_the_endpoint_begins_no_run(path: str) -> None:
    endpoint = endpoint_of("http://127.0.0.1:1", "the-key")
    foreign = replace(SENT, path=path)
    with pytest.raises(ConfigError, match=r"would leave http://127\.0\.0\.1:1"):
        Run(Plan("m", "abc"), endpoint, sent_before={"plain": foreign})


@pytest.mark.parametrize("mark", ["abc", "e", '"', "\\", "", "a" * 200])
def test_a_recordings_marks_are_renewed_in_texts_alone(mark: str) -> None:
    body = {"messages": [{"content": f"<{mark}>", "n": 1.5}], "stream": True, "none": None}
    exchanged = replace(RECORDING.exchanges["plain"], sent=replace(SENT, body=body))
    recording = Recording(replace(FACTS, run_id=mark), {"plain": exchanged})
    renewed = requests_of(recording, "NEW")["plain"].body
    text = "<NEW>" if mark else "<>"
    assert renewed == {**body, "messages": [{"content": text, "n": 1.5}]}


@pytest.mark.parametrize("body", [None, [], "text", {"messages": 5}, {}])
def test_a_conversation_whose_first_request_is_garbage_is_not_gone_on_with(body: Any) -> None:
    before = replace(RECORDING.exchanges["plain"], sent=replace(SENT, body=body))
    build = goes_on("plain", lambda _plan, _content: "more")
    assert build(Plan("m", "abc"), {"plain": before}) == "plain had no messages to go on with"


JUNK: list[Any] = [
    *(None, True, -1, 2.5, "", "\ud800", "x\n", [], {}, [1], {"a": 1}, 10**400, -(10**400)),
    *(float("nan"), float("inf"), 10**18, {"x": [None]}, "a" * 5000),
]


def spoiled(value: Any, dice: random.Random) -> Any:
    """The same JSON, with a few values that are others."""
    if dice.random() < 0.03:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        return {name: spoiled(each, dice) for name, each in value.items()}
    if isinstance(value, list):
        return [spoiled(each, dice) for each in value]
    return value


@pytest.mark.parametrize("seed", range(8))
def test_a_recording_that_was_tampered_with_is_judged_or_refused(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(40):
        content = as_json(RECORDING)
        content |= {name: spoiled(content[name], dice) for name in ("facts", "exchanges")}
        (tmp_path / "file").write_text(json.dumps(content))
        try:
            loaded = load(tmp_path / "file")
        except ConfigError as error:
            assert "damaged at" in str(error)  # noqa: PT017 - either way is right
            continue
        assert judge(loaded).judged
        requests_of(loaded, "new")
