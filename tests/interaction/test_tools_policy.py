"""The operator's word on the whole path: rules, approvals over HTTP, whose tools are run by us."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.support.http_calls import get_json, post_json
from tests.support.tool_stack import ToolStack, tool_stack
from tests.support.turns import tool_use

pytestmark = pytest.mark.engine

POLICY = """
[[rules]]
keys = ["bob"]
tools = ["greet"]
action = "deny"
reason = "Greeting is for alice."

[[rules]]
tools = ["code_executor"]
action = "ask"

[rules.arguments.properties.code]
maxLength = 100

[[rules]]
tools = ["web_answers"]
calls_per_minute = 1
"""
KEYS = {
    "alice": {"run_for_client": ["bash", "memory"]},
    "bob": {"allowed_tools": ["greet", "code_executor"]},
    "operator": {"approves": True},
}
DECLARED = [
    {"type": "bash_20250124", "name": "bash"},
    {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"},
    {"type": "memory_20250818", "name": "memory"},
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToolStack]:
    home: Path = tmp_path_factory.mktemp("policy")
    with tool_stack(home, POLICY, KEYS) as running:
        yield running


def test_a_denied_call_is_an_error_that_says_why(stack: ToolStack) -> None:
    (result,) = stack.call("greet", "bob", name="Ada").results()
    assert result["is_error"]
    assert "Greeting is for alice." in result["content"][0]["text"]
    assert "Hello Ada" in stack.call("greet", name="Ada").result_text()


def test_arguments_that_a_rule_forbids_are_told(stack: ToolStack) -> None:
    (result,) = stack.call("code_executor", code="#" * 101).results()
    assert result["is_error"]
    assert "/code" in result["content"][0]["text"]


def test_a_rate_is_told_with_the_time_to_come_back(stack: ToolStack) -> None:
    ask = [tool_use(f"t{n}", "web_answers", json.dumps({"query": "q"})) for n in range(2)]
    errors = [one for one in stack.ask(ask).results() if one.get("is_error")]
    assert len(errors) == 1
    assert "1 times a minute" in errors[0]["content"][0]["text"]


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_a_call_waits_for_an_operators_word_over_http(stack: ToolStack, decision: str) -> None:
    code = f"print('it ran after {decision}')"
    answers: list[Any] = []
    asking = threading.Thread(target=lambda: answers.append(stack.call("code_executor", code=code)))
    asking.start()
    waiting = _waiting(stack)
    assert (waiting["tool"], waiting["key"]) == ("code_executor", "alice")
    assert waiting["input"] == {"code": code}
    url = f"{stack.origin}/api/tools/v1/approvals/{waiting['id']}"
    status, _ = post_json(url, "key-of-alice", {"decision": decision})
    assert status == 403
    status, _ = post_json(url, "key-of-operator", {"decision": decision})
    assert status == 200
    status, _ = post_json(url, "key-of-operator", {"decision": decision})
    assert status == 404
    asking.join(60)
    (result,) = answers[0].results()
    text = result["content"][0]["text"]
    if decision == "allow":
        assert text == "it ran after allow"
    else:
        assert result["is_error"]
        assert "an operator was asked, and refused" in text
    last = json.loads((stack.home / "audit.log").read_text().splitlines()[-1])
    assert last["decision"].endswith("by operator")


def _waiting(stack: ToolStack) -> dict[str, Any]:
    url = f"{stack.origin}/api/tools/v1/approvals"
    ask = Retrying(
        stop=stop_after_delay(20), wait=wait_fixed(0.05), retry=retry_if_result(lambda got: not got)
    )
    found: list[dict[str, Any]] = ask(lambda: get_json(url, "key-of-operator")[1]["approvals"])
    return found[0]


def test_what_a_client_declares_is_run_by_us_for_the_keys_that_say_so(stack: ToolStack) -> None:
    call = tool_use("a", "bash", json.dumps({"command": "echo $((6 * 7))"}))
    answer = stack.ask([call], tools=DECLARED)
    assert answer.result_text() == "42"
    assert [block.type for block in answer.message.content] == [
        *("mcp_tool_use", "mcp_tool_result", "text")
    ]
    assert [tool for tool in answer.sent[0]["tools"] if tool.get("type")] == DECLARED


def test_what_is_not_in_the_keys_list_stays_the_clients(stack: ToolStack) -> None:
    edit = {"command": "view", "path": "/"}
    call = tool_use("a", "str_replace_based_edit_tool", json.dumps(edit))
    answer = stack.ask([call], tools=DECLARED)
    assert answer.message.stop_reason == "tool_use"
    assert answer.message.content[-1].type == "tool_use"
    theirs = stack.ask(
        [tool_use("a", "bash", json.dumps({"command": "id"}))], tools=DECLARED, key="bob"
    )
    assert theirs.message.stop_reason == "tool_use"


def test_a_key_is_offered_what_it_may_use(stack: ToolStack) -> None:
    sent = stack.call("greet", "bob", name="x").sent[0]
    assert [tool["name"] for tool in sent["tools"]] == ["code_executor", "greet", "read_output"]
    status, body = post_json(
        f"{stack.origin}/api/tools/v1/execute", "key-of-bob", {"tool": "bash", "input": {}}
    )
    assert (status, body["error"]["type"]) == (403, "permission_error")


def test_every_call_is_in_the_audit_log_without_its_contents(stack: ToolStack) -> None:
    stack.call("memory", command="create", path="/memories/x.md", file_text="contents-of-x")
    text = (stack.home / "audit.log").read_text()
    last = json.loads(text.splitlines()[-1])
    assert (last["key"], last["tool"], last["outcome"]) == ("alice", "memory", "completed")
    assert "contents-of-x" not in text
