"""Which tool folders become tools, and what is said of the others."""

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.ports import BoxLimits, CollectLimits
from auxot_tools.share import share_dir
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.limits import DEFAULT_CEILINGS, LIMIT_NAMES, combine_limits
from auxot_tools.worker.registry import Registry
from auxot_tools.worker.tool_folder import MAX_FILES, MAX_FILES_BYTES

GOOD: dict[str, Any] = {
    "description": "Says a word.",
    "input_schema": {
        "type": "object",
        "properties": {
            "word": {"type": "string"},
            "seconds": {"type": "number", "default": 5},
        },
    },
    "command": ["python3", "/tool/main.py"],
}


def write_tool(tools_dir: Path, name: str, **changes: Any) -> Path:
    folder = tools_dir / name
    folder.mkdir(parents=True)
    declared = {key: value for key, value in (GOOD | changes).items() if value is not None}
    (folder / "tool.json").write_text(json.dumps(declared))
    return folder


def reason(registry: Registry) -> str:
    assert len(registry.quarantined) == 1, registry.quarantined
    return registry.quarantined[0].reason


def test_our_own_tools_are_all_in_order() -> None:
    declared = {path.parent.name: path for path in share_dir("tools").glob("*/tool.json")}
    hosted = [name for name, path in declared.items() if '"runs": "host"' in path.read_text()]
    registry = Registry.load([share_dir("tools")], hosted=hosted)
    assert registry.quarantined == ()
    assert set(registry.tools) == set(declared)


def test_a_tool_keeps_what_its_file_says_and_gets_defaults_for_the_rest(tmp_path: Path) -> None:
    write_tool(tmp_path, "say", title="Say", idempotent=True)
    (spec,) = Registry.load([tmp_path]).specs()
    assert (spec.name, spec.title, spec.idempotent, spec.parallel) == ("say", "Say", True, True)
    assert spec.input_schema == GOOD["input_schema"]


def test_tools_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "C"):
        write_tool(tmp_path, name)
    assert [spec.name for spec in Registry.load([tmp_path]).specs()] == ["C", "a", "b"]


def test_one_bad_tool_does_not_keep_the_others_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_tool(tmp_path, "good")
    write_tool(tmp_path, "bad", description=None)
    with caplog.at_level(logging.WARNING):
        registry = Registry.load([tmp_path])
    assert list(registry.tools) == ["good"]
    assert "missing required field `description`" in reason(registry)
    assert "tool 'bad' is in quarantine" in caplog.text
    (line,) = caplog.messages
    assert "\n" not in line
    assert "tool.json: " in line


# A change to a good tool.json -> what must be said of it.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "misspelled_key": (
        {"descripton": "x"},
        "/descripton: unknown field `descripton`; did you mean `description`?",
    ),
    "misspelled_limit": (
        {"limits": {"timout_s": 3}},
        "/limits/timout_s: unknown field `timout_s`; did you mean `timeout_s`?",
    ),
    "other_isolation": ({"isolation": "worm"}, 'did you mean "warm"?'),
    "isolation_of_another_type": ({"isolation": True}, "/isolation: expected one of"),
    "network_of_no_list": ({"network": "full"}, "/network: fits none of the 2 allowed forms"),
    "network_of_a_url": (
        {"network": ["https://example.org"]},
        '/network: "https://example.org" is no host; hosts look like example.org',
    ),
    "network_of_everything": ({"network": ["*"]}, '/network: "*" is no host'),
    "session_from_no_field": (
        {"session_from_input": "wort"},
        "session_from_input: the input has no field `wort`; did you mean `word`?",
    ),
    "session_from_a_text": (
        {"session_from_input": "word"},
        "session_from_input: the field `word` must have the type boolean",
    ),
    "runs_misspelled": ({"runs": "hots"}, 'did you mean "host"?'),
    "of_the_workers_own": ({"runs": "host", "command": None}, "no implementation of that name"),
    "on_the_host": ({"runs": "host"}, "must name it in `worker.host_tools`"),
    "no_command": ({"command": None}, 'needs a "command" or "code", and has neither'),
    "command_and_code": ({"code": {"field": "word"}}, 'a "command" or "code", not both'),
    "code_that_is_text": ({"command": None, "code": "word"}, "/code: expected object"),
    "code_without_a_field": (
        {"command": None, "code": {"stdin_field": "word"}},
        "/code: missing required field `field`",
    ),
    "code_of_no_field": (
        {"command": None, "code": {"field": "wort"}},
        "code.field: the input has no field `wort`; did you mean `word`?",
    ),
    "artifacts_that_are_true": ({"artifacts": True}, "/artifacts: expected object"),
    "too_many_artifacts": (
        {"artifacts": {"files": 65}},
        "/artifacts/files: expected at most 64; got 65",
    ),
    "too_large_artifacts": (
        {"artifacts": {"total_bytes": 2**24 + 1}},
        "/artifacts/total_bytes: expected at most 16777216",
    ),
    "no_artifacts": ({"artifacts": {"file_bytes": 0}}, "/artifacts/file_bytes: expected at least"),
    "empty_command": ({"command": []}, "/command: expected at least 1 item"),
    "too_little_cpu": ({"limits": {"cpus": 0.01}}, "/limits/cpus: expected at least 0.05"),
    "negative_limit": ({"limits": {"timeout_s": -1}}, "expected more than 0; got -1"),
    "schema_of_another_type": (
        {"input_schema": {"type": "array"}},
        "input_schema: the schema must",
    ),
    "schema_with_look_ahead": (
        {"input_schema": {"type": "object", "properties": {"a": {"pattern": "(?!x)"}}}},
        "input_schema: the pattern",
    ),
    "schema_with_remote_ref": (
        {"input_schema": {"type": "object", "$ref": "https://example.com/x"}},
        "nothing is ever fetched",
    ),
    "timeout_from_no_field": (
        {"limits": {"timeout_from_input": "secons"}},
        "no field `secons`; did you mean `seconds`?",
    ),
    "timeout_from_a_text": (
        {"limits": {"timeout_from_input": "word"}},
        "must have the type integer or number",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_tool_is_quarantined_with_its_reason(tmp_path: Path, case: str) -> None:
    changes, said = BAD[case]
    write_tool(tmp_path, "tool", **changes)
    registry = Registry.load([tmp_path])
    assert not registry.tools
    assert said in reason(registry)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "cut off"),
        (b"[]", "must be an object"),
        (b'{"title":"a","title":"b"}', "comes twice"),
        (b"\xff", "not UTF-8"),
        (b" " * 600_000, "too large"),
    ],
)
def test_a_declaration_that_is_no_json_object_is_quarantined(
    tmp_path: Path, text: bytes, said: str
) -> None:
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "tool.json").write_bytes(text)
    assert said in reason(Registry.load([tmp_path]))


def test_a_folder_without_a_declaration_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert reason(Registry.load([tmp_path])) == "it has no tool.json"


def test_files_and_hidden_folders_beside_the_tools_are_no_tools(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "__pycache__").mkdir()
    registry = Registry.load([tmp_path])
    assert not registry.tools
    assert not registry.quarantined


@pytest.mark.parametrize("name", ["two words", "dot.ted", "é", "x" * 65, os.fsdecode(b"a\xff")])
def test_a_name_that_the_messages_api_does_not_take_is_quarantined(
    tmp_path: Path, name: str
) -> None:
    write_tool(tmp_path, name)
    assert "1 to 64 letters" in reason(Registry.load([tmp_path]))


def test_of_two_tools_of_one_name_the_first_stays(tmp_path: Path) -> None:
    first = write_tool(tmp_path / "one", "same")
    write_tool(tmp_path / "two", "same", description="Another.")
    registry = Registry.load([tmp_path / "one", tmp_path / "two"])
    assert registry.tools["same"].path == first
    assert "already read from" in reason(registry)


def test_a_tools_folder_that_is_not_there_is_the_operators_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        Registry.load([tmp_path / "none"])


def test_files_of_a_tool_are_read_except_those_that_stay_here(tmp_path: Path) -> None:
    folder = write_tool(tmp_path, "tool")
    (folder / "main.py").write_bytes(b"print(1)\n")
    (folder / "cases.json").write_text("[]")
    (folder / ".hidden").write_text("x")
    (folder / "__pycache__").mkdir()
    (folder / "link.py").symlink_to(folder / "main.py")
    files = Registry.load([tmp_path]).tools["tool"].recipe.tool_files
    assert [(file.name, file.data) for file in files] == [
        ("link.py", b"print(1)\n"),
        ("main.py", b"print(1)\n"),
    ]


def test_a_link_that_leads_out_of_the_folder_is_quarantined(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    folder = write_tool(tmp_path / "tools", "tool")
    (folder / "main.py").symlink_to(tmp_path / "secret")
    assert "`main.py` is a link that leads out" in reason(Registry.load([tmp_path / "tools"]))


def test_links_in_a_circle_pipes_and_folders_are_quarantined(tmp_path: Path) -> None:
    circle = write_tool(tmp_path / "1", "circle")
    (circle / "a").symlink_to(circle / "a")
    assert "`a` cannot be read" in reason(Registry.load([tmp_path / "1"]))
    pipe = write_tool(tmp_path / "2", "pipe")
    os.mkfifo(pipe / "fifo")
    assert "`fifo` is not a plain file" in reason(Registry.load([tmp_path / "2"]))
    nested = write_tool(tmp_path / "3", "nested")
    (nested / "lib").mkdir()
    assert "has a folder `lib`" in reason(Registry.load([tmp_path / "3"]))


def test_too_many_or_too_large_files_are_quarantined(tmp_path: Path) -> None:
    many = write_tool(tmp_path / "1", "many")
    for number in range(MAX_FILES + 1):
        (many / f"{number}.txt").write_text("x")
    assert "it has 101 files" in reason(Registry.load([tmp_path / "1"]))
    large = write_tool(tmp_path / "2", "large")
    (large / "a.bin").write_bytes(b"x" * (MAX_FILES_BYTES - 1))
    (large / "b.bin").write_bytes(b"xx")
    assert "`b.bin` goes beyond" in reason(Registry.load([tmp_path / "2"]))


def test_a_tool_gets_the_default_limits_lowered_to_the_operators(tmp_path: Path) -> None:
    write_tool(tmp_path, "plain")
    write_tool(tmp_path, "wide", limits={"timeout_s": 9000, "memory_bytes": 2**30})
    ceilings = BoxLimits(timeout_s=60, memory_bytes=2**29, pids=64)
    registry = Registry.load([tmp_path], ceilings)
    assert registry.tools["plain"].limits.timeout_s == 30
    assert registry.tools["plain"].limits.pids == 64
    assert registry.tools["wide"].limits.timeout_s == 60
    assert registry.tools["wide"].limits.memory_bytes == 2**29


def test_the_input_chooses_the_time_limit_and_its_schema_the_default(tmp_path: Path) -> None:
    write_tool(tmp_path, "tool", limits={"timeout_from_input": "seconds"})
    tool = Registry.load([tmp_path]).tools["tool"]
    assert tool.chosen_timeout_s({"seconds": 12}) == 12
    assert tool.chosen_timeout_s({}) == 5
    assert tool.chosen_timeout_s({"seconds": -1}) is None
    assert tool.chosen_timeout_s({"seconds": True}) is None


def test_limits_combine_to_the_smallest_and_never_rise() -> None:
    limits = combine_limits(
        DEFAULT_CEILINGS, {"timeout_s": 100}, {"timeout_s": None, "pids": 10**9}, {"timeout_s": 7}
    )
    assert limits.timeout_s == 7
    assert limits.pids == DEFAULT_CEILINGS.pids


def test_a_tool_returns_files_only_when_it_says_so(tmp_path: Path) -> None:
    write_tool(tmp_path, "none")
    write_tool(tmp_path, "usual", artifacts={})
    write_tool(tmp_path, "few", artifacts={"files": 2.0, "total_bytes": 100})
    tools = Registry.load([tmp_path]).tools
    assert tools["none"].recipe.collect is None
    assert tools["usual"].recipe.collect == CollectLimits()
    assert tools["few"].recipe.collect == CollectLimits(files=2, total_bytes=100)


def test_isolation_is_capped_by_the_operator(tmp_path: Path) -> None:
    for name, asked in (("plain", None), ("warm", "warm"), ("kept", "session"), ("own", "call")):
        write_tool(tmp_path, name, isolation=asked)
    free = Registry.load([tmp_path], policy=IsolationPolicy(default="warm"))
    assert {name: tool.isolation for name, tool in free.tools.items()} == {
        "plain": "warm",
        "warm": "warm",
        "kept": "session",
        "own": "call",
    }
    strict = Registry.load([tmp_path], policy=IsolationPolicy(allowed=frozenset()))
    assert {tool.isolation for tool in strict.tools.values()} == {"call"}
    assert "kept" not in strict.tools
    assert "`sandbox.allowed_isolation` does not allow" in reason(strict)


def test_every_limit_of_a_box_can_be_declared() -> None:
    declared = json.loads((share_dir("tools") / "tool.schema.json").read_bytes())
    assert set(declared["properties"]["limits"]["properties"]) == {
        *LIMIT_NAMES,
        "timeout_from_input",
    }
