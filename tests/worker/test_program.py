"""What is run in the box for what the input says."""

from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.ports import CollectLimits, Program
from auxot_tools.types import InputFile, ToolCall
from auxot_tools.worker.program import (
    SESSION_PROGRAM,
    CodeFields,
    Made,
    Recipe,
    make_program,
    read_code_fields,
)
from auxot_tools.worker.violations import Violations

FIELDS = CodeFields("code", "language", "stdin", ("python", "javascript", "bash"))
RECIPE = Recipe(code=FIELDS)
TEXT = {"type": "string"}
LANGUAGE = TEXT | {"enum": ["python", "javascript", "bash"], "default": "python"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"code": TEXT, "language": LANGUAGE, "stdin": TEXT, "n": {"type": "integer"}},
    "required": ["code", "n"],
}


def made(arguments: dict[str, Any], *files: str, recipe: Recipe = RECIPE) -> Made:
    call = ToolCall("toolu_1", "run", b"{}", files=tuple(InputFile(name, b"") for name in files))
    result = make_program(recipe, call, arguments)
    assert isinstance(result, Made)
    return result


def refused(arguments: dict[str, Any]) -> str:
    result = make_program(RECIPE, ToolCall("toolu_1", "run", b"{}"), arguments)
    assert isinstance(result, Violations)
    return result.render()


@pytest.mark.parametrize(
    ("arguments", "command", "ready"),
    [
        ({"code": "1"}, ("python3", "/work/main.py"), "python"),
        ({"code": "1", "language": "python"}, ("python3", "/work/main.py"), "python"),
        ({"code": "1", "language": "javascript"}, ("node", "/work/main.cjs"), "node"),
        ({"code": "import a", "language": "javascript"}, ("node", "/work/main.mjs"), "node"),
        ({"code": "1", "language": "bash"}, ("bash", "/work/main.sh"), "python"),
    ],
)
def test_each_language_has_its_file_its_interpreter_and_what_waits_for_it(
    arguments: dict[str, Any], command: tuple[str, ...], ready: str
) -> None:
    program, wanted = made(arguments)
    assert (program.command, wanted) == (command, ready)
    assert program.work_files == (
        InputFile(command[1].removeprefix("/work/"), arguments["code"].encode()),
    )


@pytest.mark.parametrize(
    ("code", "is_module"),
    [
        ("import fs from 'node:fs'", True),
        ("import{a} from 'b'", True),
        ("import 'a'", True),
        ("x\nexport const a = 1", True),
        ("await Promise.resolve()", True),
        ("const a = await b()", True),
        ("const a = require('b')", False),
        ("// import what is needed\nimportant()", False),
        ("f(async () => {\n  await b()\n})", False),
        ("import('a').then(b)", False),
        ("", False),
    ],
)
def test_javascript_is_commonjs_unless_a_line_can_only_be_a_module(
    code: str, is_module: bool
) -> None:
    program, _ready = made({"code": code, "language": "javascript"})
    assert program.command[1].endswith(".mjs") is is_module


def test_standard_input_is_the_field_and_empty_when_it_is_left_out() -> None:
    assert made({"code": "1", "stdin": "grüße\0"}).program.stdin == "grüße\0".encode()
    assert made({"code": "1"}).program.stdin == b""


def test_the_files_of_the_call_keep_their_names() -> None:
    program, _ready = made({"code": "1"}, "main.py", "main_2.py", "data.csv")
    assert [file.name for file in program.work_files] == [
        "main.py",
        "main_2.py",
        "data.csv",
        "main_3.py",
    ]
    assert program.command == ("python3", "/work/main_3.py")


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"code": "1"}, ".call.py"),
        ({"code": "1", "language": "javascript"}, ".call.cjs"),
        ({"code": "import a", "language": "javascript"}, ".call.mjs"),
        ({"code": "1", "language": "bash"}, ".call.sh"),
    ],
)
def test_in_a_session_the_code_is_a_file_of_its_own_and_the_sessions_program_runs_it(
    arguments: dict[str, Any], name: str
) -> None:
    call = ToolCall("toolu_1", "run", b"{}", files=(InputFile("main.py", b""),))
    theirs, own = InputFile("a.py", b"a"), InputFile(SESSION_PROGRAM, b"b")
    language = arguments.get("language", "python")
    for tool_files in ((theirs, own), (theirs,)):
        recipe = Recipe(code=FIELDS, tool_files=tool_files)
        result = make_program(recipe, call, arguments, is_session=True)
        assert isinstance(result, Made)
        assert result.program.work_files[-1] == InputFile(name, arguments["code"].encode())
        assert result.program.tool_files == tool_files
        assert result.ready == "python"
        command = ("python3", f"/tool/{SESSION_PROGRAM}", language, f"/work/{name}")
        plain = (made(arguments).program.command[0], f"/work/{name}")
        assert result.program.command == (command if own in tool_files else plain)


def test_without_a_session_its_program_is_not_sent() -> None:
    theirs, own = InputFile("a.py", b"a"), InputFile(SESSION_PROGRAM, b"b")
    recipe = Recipe(code=FIELDS, tool_files=(theirs, own))
    program, _ready = made({"code": "1"}, recipe=recipe)
    assert (program.command, program.tool_files) == (("python3", "/work/main.py"), (theirs,))


def test_a_name_that_the_call_has_taken_is_made_another_in_a_session_too() -> None:
    call = ToolCall("toolu_1", "run", b"{}", files=(InputFile(".call.py", b""),))
    result = make_program(RECIPE, call, {"code": "1"}, is_session=True)
    assert isinstance(result, Made)
    assert result.program.command == ("python3", "/work/.call_2.py")


def test_no_code_at_all_and_ten_megabytes_are_both_programs() -> None:
    for code in ("", "x" * 10_000_000):
        assert made({"code": code}).program.work_files[0].data == code.encode()


def test_code_with_a_nul_is_refused_with_its_place() -> None:
    assert "- /code: has a NUL character at position 8" in refused({"code": "print(1)\0print(2)"})


@pytest.mark.parametrize("field", ["code", "stdin"])
def test_half_a_character_is_refused_with_its_place(field: str) -> None:
    said = refused({"code": "1"} | {field: "ab\ud800"})
    assert f"- /{field}: has half of a surrogate pair at position 2" in said


def test_a_tool_with_a_command_gets_the_input_as_it_was_written() -> None:
    files, collect = (InputFile("main.py", b"pass"),), CollectLimits(files=1)
    recipe = Recipe(("python3", "/tool/main.py"), None, files, collect)
    call = ToolCall("toolu_1", "run", b'{ "a" :1}', files=(InputFile("a", b"b"),))
    result = make_program(recipe, call, {"a": 1})
    command = ("python3", "/tool/main.py")
    program = Program(command, b'{ "a" :1}', files, (InputFile("a", b"b"),), collect)
    assert result == Made(program, "python")


def test_the_runtimes_of_a_tool_are_those_of_its_languages() -> None:
    assert RECIPE.runtimes == ("python", "node")
    only = CodeFields("code", "language", "", ("javascript",), "javascript")
    assert Recipe(code=only).runtimes == ("node",)
    assert Recipe(code=CodeFields("code")).runtimes == ("python",)
    assert Recipe(("true",)).runtimes == ("python",)


def test_the_fields_of_the_schema_make_the_fields_of_the_code() -> None:
    declared = {"field": "code", "language_field": "language", "stdin_field": "stdin"}
    assert read_code_fields(declared, SCHEMA) == FIELDS
    assert read_code_fields({"field": "code"}, SCHEMA) == CodeFields("code")


def with_language(**changes: Any) -> dict[str, Any]:
    return SCHEMA | {"properties": SCHEMA["properties"] | {"language": changes}}


@pytest.mark.parametrize(
    ("declared", "schema", "said"),
    [
        ({"field": "cod"}, SCHEMA, "no field `cod`; did you mean `code`?"),
        ({"field": "n"}, SCHEMA, "code.field: the field `n` must have the type string"),
        ({"field": "stdin"}, SCHEMA, "code.field: `stdin` must be in the schema's `required`"),
        ({"field": "code", "stdin_field": "in"}, SCHEMA, "code.stdin_field: the input has no"),
        ({"field": "code", "stdin_field": "code"}, SCHEMA, "named for two things"),
        ({"field": "code", "language_field": "stdin"}, SCHEMA, "must have an `enum` out of"),
        (
            {"field": "code", "language_field": "language"},
            with_language(type="string", enum=["python", "ruby", {}]),
            "must have an `enum` out of python, javascript, bash",
        ),
        (
            {"field": "code", "language_field": "language"},
            with_language(type="string", enum=["bash"]),
            "must have a `default` out of its enum",
        ),
        ({"field": "code"}, {"type": "object"}, "the input has no field `code`"),
    ],
)
def test_fields_that_cannot_hold_a_program_are_the_tools_mistake(
    declared: dict[str, Any], schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_code_fields(declared, schema)
    assert said in str(caught.value)
