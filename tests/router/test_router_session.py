"""Which requests share a session."""

import json
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.messages.ids import mint_id
from auxot_tools.router.session import (
    MAX_SESSION_CHARS,
    MAX_TOKENS,
    NewSessions,
    conversation_session,
    session_of,
)
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, ToolUseBlock, Turn
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.running import running_router

CLAUDE = {"x-claude-code-session-id": "claude-1"}
OURS = {"auxot-session": "mine"}


@pytest.mark.parametrize(
    ("body", "headers", "session"),
    [
        ({"container": "abc"}, CLAUDE | OURS, "container:abc"),
        ({"container": {"id": "abc", "skills": []}}, {}, "container:abc"),
        ({}, CLAUDE | OURS, "claude-1"),
        ({"container": None}, CLAUDE, "claude-1"),
        ({"container": ""}, CLAUDE, "claude-1"),
        ({"container": {"skills": []}}, CLAUDE, "claude-1"),
        ({"container": {"id": 7}}, CLAUDE, "claude-1"),
        ({"container": 7}, OURS, "mine"),
        ({}, {"x-claude-code-session-id": " "} | OURS, "mine"),
    ],
)
def test_the_first_name_that_a_request_gives_is_its_session(
    body: dict[str, Any], headers: dict[str, str], session: str
) -> None:
    assert session_of(body, headers) == session


def test_a_request_that_names_none_has_a_session_of_its_own() -> None:
    assert session_of({}, {}) != session_of({}, {})


@pytest.mark.parametrize("name", ["x" * 1_000_000, "x" * 1_000_001, "\ud800"])
def test_a_name_that_cannot_be_sent_stays_one_name_of_its_own(name: str) -> None:
    told = session_of({"container": name}, {})
    assert told == session_of({"container": {"id": name}}, {})
    assert told != session_of({"container": f"{name}y"}, {})
    assert len(told.encode()) <= MAX_SESSION_CHARS


@pytest.mark.anyio
async def test_a_container_reaches_the_worker_as_session_and_the_upstream_unchanged(
    tmp_path: Path,
) -> None:
    called = ToolUseBlock(id="toolu_1", name="echo", input={})
    turns = (
        Turn(blocks=(called,), stop_reason="tool_use"),
        Turn(blocks=(TextBlock(text="Done."),)),
    )
    model, dispatcher = ScriptedModel(Scenario(turns=turns)), FakeDispatcher()
    container = {"id": "mine", "skills": [{"type": "custom", "skill_id": "s"}]}
    async with running_router(tmp_path, model, dispatcher) as router:
        await (await router.client()).messages.create(
            model="m",
            max_tokens=100,
            messages=[{"role": "user", "content": "hi"}],
            extra_body={"container": container},
            extra_headers={"auxot-session": "another"},
        )
    (call,) = dispatcher.calls
    assert (call.tenant, call.session) == ("tester", "container:mine")
    assert {hint.session for hint in dispatcher.hints} == {"container:mine"}
    assert [json.loads(body)["container"] for body in model.requests] == [container] * 2


TOKEN = "0123456789abcdef"


def _history(*ids: str) -> list[dict[str, Any]]:
    blocks = [{"type": "mcp_tool_use", "id": each, "name": "run", "input": {}} for each in ids]
    return [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": ["odd", *blocks]},
        {"role": "user", "content": [{"type": "tool_use", "id": mint_id("x", session="f" * 16)}]},
    ]


def test_a_conversation_without_a_name_is_known_by_its_history() -> None:
    first = conversation_session({}, {}, [{"role": "user", "content": "hi"}], lambda: "new")
    assert (first.name, first.token) == ("auxot:new", "new")
    history = _history(mint_id("a"), mint_id("b", session=TOKEN), mint_id("c"), "toolu_1")
    again = conversation_session({}, {}, history, lambda: "new")
    assert (again.name, again.token) == (f"auxot:{TOKEN}", TOKEN)


def test_a_name_that_the_client_gives_counts_more_than_its_history() -> None:
    history = _history(mint_id("b", session=TOKEN))
    named = conversation_session({"container": "abc"}, {}, history, lambda: "new")
    assert (named.name, named.token) == ("container:abc", "")
    assert conversation_session({}, CLAUDE, history, lambda: "new").name == "claude-1"


def test_a_repeat_goes_on_in_the_session_of_its_first_attempt_and_nobody_else_does() -> None:
    sessions = NewSessions()
    first = sessions.token(b"digest", is_repeat=False)
    assert len(first) == 16
    assert sessions.token(b"digest", is_repeat=True) == first
    assert sessions.token(b"digest", is_repeat=True) == first
    later = sessions.token(b"digest", is_repeat=False)
    assert later != first
    assert sessions.token(b"another", is_repeat=True) not in {first, later}
    for number in range(MAX_TOKENS):
        sessions.token(b"%d" % number, is_repeat=False)
    assert sessions.token(b"digest", is_repeat=True) != later
