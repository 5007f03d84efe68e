"""Which executables become tools: two files side by side as Auxot has them, or one in a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.worker.registry import Registry
from auxot_tools.worker.tool_folder import MAX_ENTRIES
from auxot_tools.worker.violations import Violations

SCRIPT = "#!/bin/bash\njq -r .city\n"
AUXOT: dict[str, Any] = {
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def write_pair(
    tools_dir: Path, program: str = "weather.sh", text: str = SCRIPT, **changes: Any
) -> Path:
    tools_dir.mkdir(parents=True, exist_ok=True)
    path = tools_dir / program
    path.write_text(text)
    path.chmod(0o755)
    declared = {key: value for key, value in (AUXOT | changes).items() if value is not None}
    (tools_dir / f"{path.stem}.tool.json").write_text(json.dumps(declared))
    return path


def write_folder(tools_dir: Path, name: str, *executables: str) -> Path:
    folder = tools_dir / name
    folder.mkdir(parents=True)
    declared = {"description": "Runs.", "input_schema": {"type": "object"}}
    (folder / "tool.json").write_text(json.dumps(declared))
    (folder / "data.txt").write_text("x")
    for executable in executables:
        (folder / executable).write_text("#!/usr/bin/env python3\n")
        (folder / executable).chmod(0o755)
    return folder


def reason(registry: Registry) -> str:
    assert len(registry.quarantined) == 1, registry.quarantined
    return registry.quarantined[0].reason


def test_auxots_two_files_are_a_tool(tmp_path: Path) -> None:
    write_pair(tmp_path, "any_file.sh")
    tool = Registry.load([tmp_path]).tools["weather"]
    assert tool.recipe.command == ("/bin/bash", "/tool/any_file.sh")
    assert [(file.name, file.data) for file in tool.recipe.tool_files] == [
        ("any_file.sh", SCRIPT.encode())
    ]
    assert tool.spec.input_schema == AUXOT["parameters"]
    assert (tool.limits.timeout_s, tool.runs, tool.hosts) == (60, "box", ())


@pytest.mark.parametrize("parameters", [None, {}, {"properties": {"city": {"type": "string"}}}])
def test_parameters_may_be_left_out_or_say_less(tmp_path: Path, parameters: Any) -> None:
    write_pair(tmp_path, parameters=parameters)
    validator = Registry.load([tmp_path]).tools["weather"].validator
    assert validator.check(b'{"city":"Bern","more":[1]}') == {"city": "Bern", "more": [1]}
    assert isinstance(validator.check(b"[]"), Violations)


def test_a_descriptor_may_say_what_a_tool_json_says(tmp_path: Path) -> None:
    limits = {"timeout_s": 5}
    write_pair(tmp_path, title="W", limits=limits, idempotent=True, network=["example.org"])
    tool = Registry.load([tmp_path], open_hosts=["example.org"]).tools["weather"]
    assert (tool.spec.title, tool.limits.timeout_s, tool.spec.idempotent) == ("W", 5, True)
    assert tool.hosts == ("example.org",)


def test_a_key_that_is_nowhere_known_is_ignored_and_a_misspelled_one_is_not(tmp_path: Path) -> None:
    write_pair(tmp_path / "1", version="1.0", author="me")
    assert list(Registry.load([tmp_path / "1"]).tools) == ["weather"]
    write_pair(tmp_path / "2", limts={})
    assert "did you mean `limits`?" in reason(Registry.load([tmp_path / "2"]))


@pytest.mark.parametrize("program", ["weather", "weather.py", "weather.js"])
def test_any_executable_beside_a_descriptor_is_its_program(tmp_path: Path, program: str) -> None:
    write_pair(tmp_path, program, "#!/usr/bin/env python3\n")
    assert Registry.load([tmp_path]).tools["weather"].recipe.command == (
        "python3",
        f"/tool/{program}",
    )


def test_a_shell_script_comes_before_other_executables(tmp_path: Path) -> None:
    write_pair(tmp_path, "weather.sh")
    write_pair(tmp_path, "weather.py", "#!/usr/bin/env python3\n")
    assert "/tool/weather.sh" in Registry.load([tmp_path]).tools["weather"].recipe.command


def test_several_executables_beside_a_descriptor_are_too_many(tmp_path: Path) -> None:
    write_pair(tmp_path, "weather.js", "#!/usr/bin/env node\n")
    write_pair(tmp_path, "weather.py", "#!/usr/bin/env python3\n")
    assert "its program: weather.js, weather.py; leave one" in reason(Registry.load([tmp_path]))
    (tmp_path / "weather.js").chmod(0o644)
    assert list(Registry.load([tmp_path]).tools) == ["weather"]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no_name": ({"name": None}, "weather.tool.json: missing required field `name`"),
    "a_number_as_name": ({"name": 7}, "missing required field `name`"),
    "a_name_with_a_colon": ({"name": "shell:weather"}, "1 to 64 letters"),
    "no_description": ({"description": None}, "missing required field `description`"),
    "parameters_of_text": ({"parameters": "x"}, "/input_schema: expected object"),
    "parameters_of_an_array": ({"parameters": {"type": "array"}}, 'must say "type": "object"'),
    "two_schemas": ({"input_schema": {}}, '"parameters" or "input_schema", not both'),
    "no_first_line": ({"text": "echo hello"}, "does not begin with a `#!` line"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_pair_is_quarantined_with_its_reason(tmp_path: Path, case: str) -> None:
    changes, said = BAD[case]
    write_pair(tmp_path, **changes)
    registry = Registry.load([tmp_path])
    assert not registry.tools
    assert said in reason(registry)


def test_a_descriptor_that_is_cut_is_quarantined(tmp_path: Path) -> None:
    program = write_pair(tmp_path)
    program.with_name("weather.tool.json").write_text('{"name": "weat')
    registry = Registry.load([tmp_path])
    assert registry.quarantined[0].name == "weather"
    assert "weather.tool.json: " in reason(registry)
    assert "cut off" in reason(registry)


def test_a_script_without_the_execute_bit_is_quarantined(tmp_path: Path) -> None:
    write_pair(tmp_path).chmod(0o644)
    assert reason(Registry.load([tmp_path])).endswith("not executable: chmod +x weather.sh")


def test_a_script_without_a_descriptor_is_quarantined_and_other_files_are_not(
    tmp_path: Path,
) -> None:
    (tmp_path / "NOTES.md").write_text("x")
    (tmp_path / "NOTES.md").chmod(0o755)
    (tmp_path / "lone.sh").write_text(SCRIPT)
    registry = Registry.load([tmp_path])
    assert reason(registry) == "`lone.sh` has no descriptor: there is no lone.tool.json beside it"


def test_a_descriptor_without_a_program_is_quarantined(tmp_path: Path) -> None:
    write_pair(tmp_path).unlink()
    assert "no program beside weather.tool.json" in reason(Registry.load([tmp_path]))


def test_a_name_that_is_taken_is_not_taken_over(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, "weather", "main.py")
    write_pair(tmp_path)
    registry = Registry.load([tmp_path])
    assert registry.tools["weather"].path == folder
    assert "already read from" in reason(registry)


def test_a_program_that_lies_outside_the_folder_is_quarantined(tmp_path: Path) -> None:
    outside = write_pair(tmp_path / "other")
    program = write_pair(tmp_path / "tools")
    program.unlink()
    program.symlink_to(outside)
    assert "a link that leads out" in reason(Registry.load([tmp_path / "tools"]))


def test_the_descriptors_name_is_allowed_or_not(tmp_path: Path) -> None:
    write_pair(tmp_path, "file.sh")
    assert list(Registry.load([tmp_path], allowed={"weather"}).tools) == ["weather"]
    registry = Registry.load([tmp_path], allowed={"file"})
    assert (list(registry.tools), registry.quarantined) == ([], ())


def test_a_pair_runs_on_the_host_when_the_operator_names_it(tmp_path: Path) -> None:
    write_pair(tmp_path, runs="host")
    assert "`worker.host_tools`" in reason(Registry.load([tmp_path]))
    assert Registry.load([tmp_path], host_tools=["weather"]).tools["weather"].runs == "host"


@pytest.mark.parametrize(
    ("executables", "chosen"),
    [(["go.py"], "go.py"), (["lib.py", "main.py"], "main.py"), (["lib.py", "count"], "count")],
)
def test_the_executable_of_a_folder_is_its_program(
    tmp_path: Path, executables: list[str], chosen: str
) -> None:
    write_folder(tmp_path, "count", *executables)
    recipe = Registry.load([tmp_path]).tools["count"].recipe
    assert recipe.command == ("python3", f"/tool/{chosen}")
    assert [file.name for file in recipe.tool_files] == sorted([*executables, "data.txt"])


@pytest.mark.parametrize(
    ("executables", "said"),
    [
        ([], "nor is one of its files executable"),
        (
            ["a.py", "b.py"],
            "several of its files are executable (a.py, b.py); call one of them main",
        ),
        (["main.py", "main.sh"], "several of its files are executable"),
    ],
)
def test_a_folder_without_one_program_is_quarantined(
    tmp_path: Path, executables: list[str], said: str
) -> None:
    write_folder(tmp_path, "count", *executables)
    assert said in reason(Registry.load([tmp_path]))


def test_a_tools_folder_with_too_many_entries_is_the_operators_mistake(tmp_path: Path) -> None:
    for number in range(MAX_ENTRIES + 1):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(ConfigError, match="more than 2000 entries"):
        Registry.load([tmp_path])
