"""Jobs of the stand-in router, run in real boxes: scripts, Python, a shell tool."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.share import share_dir
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry
from tests.support.auxot_router import AuxotRouter, auxot_router
from tests.support.connected_worker import connected
from tests.support.engine import docker_sandbox
from tests.support.served_worker import remote

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

SHELL_TOOL = """#!/bin/bash
jq '{hello: .name, key: env.GREET_KEY}'
"""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One event loop, one worker and one router for the module."""
    return "asyncio"


@pytest.fixture(scope="module")
async def router(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[AuxotRouter, None]:
    folder = tmp_path_factory.mktemp("tools")
    _write_shell_tool(folder)
    # The quickest isolation: what is tried here is what is told of a program's end.
    registry = Registry.load([share_dir("tools"), folder], policy=IsolationPolicy("warm"))
    async with (
        docker_sandbox() as sandbox,
        auxot_router() as router,
        connected(router, Executor(registry, sandbox, slots=2)),
    ):
        yield router


def _write_shell_tool(folder: Path) -> None:
    (folder / "greet.sh").write_text(SHELL_TOOL)
    (folder / "greet.sh").chmod(0o755)
    told = {"name": "greet", "description": "Greets.", "parameters": {"type": "object"}}
    (folder / "greet.tool.json").write_text(json.dumps(told))


async def ran(router: AuxotRouter, code: str, **more: Any) -> dict[str, Any]:
    begun = await router.call("code_executor", {"code": code} | more)
    assert begun.error() == ""
    result: dict[str, Any] = begun.result()
    assert result.pop("duration_ms") >= 0
    return result


SCRIPTS: list[tuple[str, dict[str, Any]]] = [
    ("6 * 7", {"return_value": 42}),
    ("let a = [1, {b: 'é'}]; a", {"return_value": [1, {"b": "é"}]}),
    ("console.log('x', 1, {a: 1}); console.warn('w'); console.error('e'); undefined",
     {"output": "x 1 { a: 1 }\n[warn] w\n[error] e"}),
    ("console.log('first'); null.x",
     {"output": "first",
      "error": "runtime error: TypeError: Cannot read properties of null (reading 'x') (line 1)"}),
    ("let = ;", {"error": "runtime error: SyntaxError: Unexpected token ';' (line 1)"}),
    ("(async () => { await null; return 'later' })()", {"return_value": "later"}),
    ("setTimeout(() => console.log('timer'), 1); 'now'",
     {"output": "timer", "return_value": "now"}),
    ("import fs from 'fs';\nexport default fs.existsSync('/work')", {"return_value": True}),
    ("const a = await Promise.resolve(3); console.log(a)", {"output": "3"}),
    ("const r = await Promise.resolve({a: 1});\nconsole.log(r);\nr // c",
     {"output": "{ a: 1 }", "return_value": {"a": 1}}),
    ("await (async () => 5)()", {"return_value": 5}),
    ("import os from 'os';\ntypeof os.cpus", {"return_value": "function"}),
    ("import('fs').then(fs => typeof fs.readFileSync)", {"return_value": "function"}),
    ("crypto.randomUUID().length + crypto.getRandomValues(new Uint8Array(4)).length",
     {"return_value": 40}),
    ("let a = 1; for (let i = 0; i < 1200; i++) a = [a]; console.log('kept'); a",
     {"output": "kept",
      "error": "the return value cannot be written as JSON: nested too deeply"}),
    ("setInterval(() => {}, 1000); 'open'",
     {"return_value": "open", "error": "execution timed out after 1000ms"}),
    ("() => 1", {"error": "the return value cannot be written as JSON: a function"}),
    ("0 / 0", {"error": "the return value cannot be written as JSON: NaN"}),
    ("process.exit(3)", {"error": "the program ended with exit code 3"}),
    ("'x'.repeat(70000)",
     {"error": "the return value is 70002 characters of JSON; at most 65536 are returned. "
      "End with a smaller value."}),
    ("process.stderr.write('noise'); require('os').EOL.length", {"return_value": 1}),
    ("btoa('a') + atob('Yg==') + Buffer.from([104]).toString()", {"return_value": "YQ==bh"}),
    ("while (true) {}", {"error": "execution timed out after 1000ms"}),
]  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), SCRIPTS)
async def test_a_script_gives_its_output_and_the_value_of_its_last_expression(
    router: AuxotRouter, code: str, expected: dict[str, Any]
) -> None:
    limit = {"timeout_seconds": 1} if code.startswith(("while", "setInterval")) else {}
    assert await ran(router, code, **limit) == expected


async def test_scripts_and_credentials_go_the_same_through_grpc(tmp_path: Path) -> None:
    _write_shell_tool(tmp_path)
    registry = Registry.load([share_dir("tools"), tmp_path], policy=IsolationPolicy("warm"))
    async with (
        docker_sandbox() as sandbox,
        remote(Executor(registry, sandbox, slots=1)) as worker,
        auxot_router() as other,
        connected(other, worker),
    ):
        told = await ran(other, "for (let i = 0; i < 3000; i++) console.log(i); ({a: [1, 'é']})")
        greeted = [
            (await other.call("greet", {"name": "Ann"}, credentials={"GREET_KEY": key})).result()
            for key in ("k", "secret-key")
        ]
    assert told["return_value"] == {"a": [1, "é"]}
    assert told["output"] == "\n".join(map(str, range(3000)))
    assert [one["key"] for one in greeted] == ["k", "[credential GREET_KEY]"]


async def test_python_and_bash_give_output_errors_and_exit_code(router: AuxotRouter) -> None:
    told = await ran(
        router, "import sys\nprint(6*7)\nprint('e', file=sys.stderr)", language="python"
    )
    assert told == {"output": "42", "stderr": "e", "exit_code": 0}
    failed = await ran(router, "echo before; exit 7", language="bash")
    error = "the program ended with exit code 7"
    assert failed == {"output": "before", "exit_code": 7, "error": error}
    code = "console.log('a'); process.stderr.write('e\\n'); 'b'"
    named = await ran(router, code, language="javascript")
    assert named == {"output": "a", "stderr": "e", "return_value": "b", "exit_code": 0}


async def test_long_output_keeps_its_beginning_and_its_end(router: AuxotRouter) -> None:
    code = "for (let i = 0; i < 20000; i++) console.log(`line ${i}`); 'end'"
    told = await ran(router, code)
    assert told["return_value"] == "end"
    assert told["output"].startswith("line 0\nline 1\n")
    assert told["output"].endswith("\nline 19999")
    assert " bytes left out]\n" in told["output"]
    assert len(told["output"]) < 70_000


async def test_a_shell_tool_answers_json_and_gets_the_jobs_credentials(
    router: AuxotRouter,
) -> None:
    begun = await router.call("greet", {"name": "Ann"}, credentials={"GREET_KEY": "k"})
    assert begun.result() == {"hello": "Ann", "key": "k"}
    # A longer one is a secret that no tool may echo.
    begun = await router.call("greet", {"name": "Ann"}, credentials={"GREET_KEY": "secret-key"})
    assert begun.result() == {"hello": "Ann", "key": "[credential GREET_KEY]"}
    begun = await router.call("greet", {"name": "Ann"})
    assert begun.result() == {"hello": "Ann", "key": None}


async def test_a_shell_stays_within_a_request_and_no_other_finds_it(router: AuxotRouter) -> None:
    begun = await router.call("bash", {"command": "cd /tmp; word=kept"})
    parent = begun.parent_job_id
    again = await router.call("bash", {"command": "echo $word $PWD"}, parent_job_id=parent)
    assert again.result() == "kept /tmp"
    other = await router.call("bash", {"command": "echo got $word"})
    assert other.result() == "got"
