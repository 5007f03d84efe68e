"""Tools that a client declares itself: its own, or run by us where its key says so."""

from dataclasses import replace
from typing import Any

from auxot_tools.messages.ids import session_in_id
from tests.support.turns import LOOK, RUN, Play, done, kinds, request, text, tool_use, turn

BASH = replace(RUN, name="bash", stateful=True)
DECLARED = {"type": "bash_20250124", "name": "bash"}
ASK = turn(tool_use("a", "bash", '{"command":"ls"}'))
TOKEN = "0123456789abcdef"


def play(**context: Any) -> Play:
    return Play(request(tools=[DECLARED]), [BASH, LOOK], **context)


def test_a_tool_that_the_client_declares_stays_its_own() -> None:
    found = play().feed(ASK)
    assert found.started == []
    assert found.message["stop_reason"] == "tool_use"
    assert [tool["name"] for tool in found.sent[0]["tools"]] == ["bash", "look"]


def test_it_is_run_by_us_for_a_key_that_says_so_and_declared_as_the_client_wrote_it() -> None:
    found = play(run_for_client=frozenset({"bash"})).feed(ASK)
    assert [start.call.name for start in found.started] == ["bash"]
    assert found.sent[0]["tools"][0] == DECLARED
    assert [tool["name"] for tool in found.sent[0]["tools"]] == ["bash", "look"]
    found.results(done("a")).feed(turn(text("Done.")))
    assert kinds(found.message["content"]) == ["mcp_tool_use", "mcp_tool_result", "text"]


def test_what_we_do_not_have_is_not_run_whatever_the_key_says() -> None:
    found = Play(request(tools=[DECLARED]), [LOOK], run_for_client=frozenset({"bash"})).feed(ASK)
    assert found.started == []


def test_only_calls_that_may_leave_something_bring_the_session_along() -> None:
    found = Play(tools=[BASH, LOOK], session_token=TOKEN)
    found.feed(turn(tool_use("a", "bash", "{}"), tool_use("b", "look", "{}")))
    found.results(done("a"), done("b")).feed(turn(text("Done.")))
    uses = [block for block in found.message["content"] if block["type"] == "mcp_tool_use"]
    assert [session_in_id(block["id"]) for block in uses] == [TOKEN, ""]
