"""What the operator's settings let tools be: hosted, on the host, on the network, in a session."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry

GOOD: dict[str, Any] = {
    "description": "Says a word.",
    "input_schema": {
        "type": "object",
        "properties": {
            "keep": {"type": "boolean"},
            "stay": {"type": "boolean", "default": True},
        },
    },
    "command": ["python3", "/tool/main.py"],
}
WARM = IsolationPolicy(default="warm")


def write_tool(tools_dir: Path, name: str, **changes: Any) -> Path:
    folder = tools_dir / name
    folder.mkdir(parents=True)
    declared = {key: value for key, value in (GOOD | changes).items() if value is not None}
    (folder / "tool.json").write_text(json.dumps(declared))
    return folder


def reason(registry: Registry) -> str:
    assert len(registry.quarantined) == 1, registry.quarantined
    return registry.quarantined[0].reason


def test_a_tool_of_the_workers_own_has_no_program(tmp_path: Path) -> None:
    write_tool(tmp_path, "look", runs="host", command=None)
    tool = Registry.load([tmp_path], policy=WARM, hosted={"look"}).tools["look"]
    assert (tool.runs, tool.isolation, tool.recipe.command) == ("hosted", "call", ())
    assert "no implementation of that name" in reason(Registry.load([tmp_path], hosted={"lok"}))


def test_a_program_runs_on_the_host_only_when_the_operator_names_it(tmp_path: Path) -> None:
    write_tool(tmp_path, "shy")
    write_tool(tmp_path, "bold", runs="host")
    boxed = Registry.load([tmp_path])
    assert boxed.tools["shy"].runs == "box"
    assert "`worker.host_tools`" in reason(boxed)
    tools = Registry.load([tmp_path], policy=WARM, host_tools=["shy", "bold"]).tools
    assert {name: (tool.runs, tool.isolation) for name, tool in tools.items()} == {
        "bold": ("host", "call"),
        "shy": ("host", "call"),
    }


def test_code_of_a_model_never_runs_on_the_host(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"c": {"type": "string"}}, "required": ["c"]}
    write_tool(tmp_path, "run", command=None, code={"field": "c"}, input_schema=schema)
    assert "in a box only" in reason(Registry.load([tmp_path], host_tools=["run"]))


def test_a_host_is_closed_until_the_operator_opens_it(tmp_path: Path) -> None:
    write_tool(tmp_path, "web", network=["api.example.org", "*.example.com:8443"])
    closed = reason(Registry.load([tmp_path], open_hosts=["*.example.com:8443"]))
    assert closed == "it needs api.example.org, which `worker.open_hosts` does not allow"
    hosts = ["api.example.org", "*.example.com:8443"]
    tool = Registry.load([tmp_path], policy=WARM, open_hosts=hosts).tools["web"]
    assert (tool.hosts, tool.isolation) == (tuple(hosts), "call")
    assert Registry.load([tmp_path], open_hosts=["*"]).tools["web"].hosts == tuple(hosts)


@pytest.mark.parametrize("changes", [{"isolation": "session"}, {"session_from_input": "keep"}])
def test_a_tool_with_a_network_keeps_no_session(tmp_path: Path, changes: dict[str, str]) -> None:
    write_tool(tmp_path, "web", network=["example.org"], **changes)
    assert "cannot keep a session" in reason(Registry.load([tmp_path], open_hosts=["*"]))


def test_the_input_asks_for_a_session_and_its_schema_has_the_default(tmp_path: Path) -> None:
    write_tool(tmp_path, "plain")
    write_tool(tmp_path, "asks", session_from_input="keep")
    write_tool(tmp_path, "stays", session_from_input="stay")
    tools = Registry.load([tmp_path], policy=WARM).tools
    assert {tool.isolation for tool in tools.values()} == {"warm"}
    assert not tools["plain"].wants_session({"keep": True})
    assert tools["asks"].wants_session({"keep": True})
    assert not tools["asks"].wants_session({})
    assert tools["stays"].wants_session({})
    assert not tools["stays"].wants_session({"stay": False})


def test_a_tool_that_may_ask_for_a_session_offers_none_where_none_is_allowed(
    tmp_path: Path,
) -> None:
    write_tool(tmp_path, "asks", session_from_input="keep")
    policy = IsolationPolicy(allowed=frozenset({"warm"}))
    tool = Registry.load([tmp_path], policy=policy).tools["asks"]
    assert not tool.wants_session({"keep": True})
    assert "keep" not in tool.spec.input_schema["properties"]
    assert "no sessions are kept" in tool.spec.description
    assert not tool.spec.stateful


def test_only_allowed_tools_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_tool(tmp_path, "one")
    write_tool(tmp_path, "two", description=None)  # would be in quarantine
    with caplog.at_level(logging.DEBUG):
        registry = Registry.load([tmp_path], allowed={"one"})
    assert list(registry.tools) == ["one"]
    assert registry.quarantined == ()
    assert "'two' is not in worker.allowed_tools" in caplog.text
    assert not Registry.load([tmp_path], allowed=()).tools


def test_two_tools_whose_credentials_would_have_one_name_are_not_both_there(tmp_path: Path) -> None:
    write_tool(tmp_path, "web-search")
    write_tool(tmp_path, "web_search")
    registry = Registry.load([tmp_path])
    assert list(registry.tools) == ["web-search"]
    assert "too like that of `web-search`" in registry.quarantined[0].reason
