"""What is Claude Code's alone: its addresses, its credentials, its models, its session."""

from pathlib import Path

import pytest

from auxot_tools.scripted.scenario import TextBlock, ToolUseBlock, Turn
from tests.clients.lab import Received, running_lab
from tests.clients.programs import ClaudeCode, Told
from tests.support.running import KEY

pytestmark = pytest.mark.anyio

HELLO = Turn(blocks=(TextBlock(text="Hello."),))


async def ask(tmp_path: Path, claude: ClaudeCode) -> tuple[Told, list[Received], list[str]]:
    """One plain question: what Claude Code told, what it sent, and the models the upstream got."""
    async with running_lab(tmp_path, HELLO) as lab:
        told = await claude.say(lab.origin, "Say hello.")
        models = [lab.upstream(number)["model"] for number in range(lab.model.received)]
    return told, lab.recorder.received, models


def is_hello(told: Told) -> bool:
    return (told.text, told.error) == ("Hello.", None)


@pytest.mark.scenario("base URL /api/anthropic")
async def test_the_documented_base_url_works(tmp_path: Path) -> None:
    told, received, _ = await ask(tmp_path, ClaudeCode(tmp_path / "home"))

    assert is_hello(told)
    assert [seen.path for seen in received] == ["/api/anthropic/v1/messages"]


@pytest.mark.scenario("base URL /api/anthropic/v1")
async def test_a_base_url_that_ends_in_v1_works_too(tmp_path: Path) -> None:
    claude = ClaudeCode(tmp_path / "home", base_path="/api/anthropic/v1")
    told, received, _ = await ask(tmp_path, claude)

    assert is_hello(told), told
    assert [seen.path for seen in received] == ["/api/anthropic/v1/v1/messages"]


@pytest.mark.scenario("ANTHROPIC_API_KEY")
async def test_the_api_key_comes_as_x_api_key_and_is_taken(tmp_path: Path) -> None:
    told, (request,), _ = await ask(tmp_path, ClaudeCode(tmp_path / "home"))

    assert is_hello(told)
    assert request.headers["x-api-key"] == KEY
    assert "authorization" not in request.headers


@pytest.mark.scenario("ANTHROPIC_AUTH_TOKEN")
async def test_the_auth_token_comes_as_bearer_and_is_taken(tmp_path: Path) -> None:
    claude = ClaudeCode(tmp_path / "home", {"ANTHROPIC_AUTH_TOKEN": KEY})
    told, (request,), _ = await ask(tmp_path, claude)

    assert is_hello(told)
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert "x-api-key" not in request.headers


@pytest.mark.scenario("both, one of them stale")
@pytest.mark.parametrize("stale", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_with_both_set_one_valid_credential_is_enough(tmp_path: Path, stale: str) -> None:
    both = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_AUTH_TOKEN": KEY, stale: "stale"}
    told, (request,), _ = await ask(tmp_path, ClaudeCode(tmp_path / "home", both))

    assert is_hello(told)
    assert {"authorization", "x-api-key"} <= set(request.headers)


@pytest.mark.scenario("a wrong key is told at once")
async def test_a_wrong_key_is_told_at_once_and_not_tried_again(tmp_path: Path) -> None:
    wrong = {"ANTHROPIC_API_KEY": "rtr_wrong", "CLAUDE_CODE_MAX_RETRIES": "10"}
    told, received, models = await ask(tmp_path, ClaudeCode(tmp_path / "home", wrong))

    assert told.error is not None
    assert [seen.status for seen in received] == [401]
    assert models == []


@pytest.mark.scenario("models opus, sonnet, haiku")
@pytest.mark.parametrize(
    ("alias", "model"),
    [
        ("opus", "claude-opus-5-5"),
        ("sonnet", "claude-sonnet-5-5"),
        ("haiku", "claude-haiku-5-5"),
        ("auxot/some-model", "auxot/some-model"),
    ],
)
async def test_the_model_is_asked_for_under_the_id_of_its_alias(
    tmp_path: Path, alias: str, model: str
) -> None:
    claude = ClaudeCode(tmp_path / "home", options=("--model", alias))
    told, (request,), models = await ask(tmp_path, claude)

    assert is_hello(told)
    assert request.body["model"] == model
    assert models == [model]
    said = [each["message"]["model"] for each in claude.events if each["type"] == "assistant"]
    assert said == [model]


@pytest.mark.scenario("--continue keeps the session of our tools")
async def test_calls_before_and_after_continue_belong_to_one_session(tmp_path: Path) -> None:
    claude = ClaudeCode(tmp_path / "home")
    calls = [
        Turn(blocks=(ToolUseBlock(id=tool_use_id, name="echo"),), stop_reason="tool_use")
        for tool_use_id in ("toolu_1", "toolu_2")
    ]
    async with running_lab(tmp_path, calls[0], HELLO, calls[1], HELLO) as lab:
        await claude.say(lab.origin, "Use the echo.")
        await claude.say(lab.origin, "Use the echo again.")

    assert [call.tool_use_id for call in lab.dispatcher.calls] == ["toolu_1", "toolu_2"]
    sessions = [call.session for call in lab.dispatcher.calls]
    assert sessions == [claude.events[-1]["session_id"]] * 2
