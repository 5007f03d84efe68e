"""The tool as a model meets it, with hostile code; `test_tools_cases.py` plays its cases."""

import json
from collections.abc import AsyncGenerator

import anyio
import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, InputFile, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry
from tests.support.engine import docker_sandbox

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["call", "warm"])
async def executor(
    request: pytest.FixtureRequest, anyio_backend: str
) -> AsyncGenerator[Executor, None]:
    """Our tools under each isolation that an operator can choose for them."""
    registry = Registry.load([share_dir("tools")], policy=IsolationPolicy(request.param))
    async with docker_sandbox() as sandbox:
        yield Executor(registry, sandbox, slots=2)


async def run(executor: Executor, text: bytes, *files: InputFile) -> ToolResult:
    call = ToolCall("toolu_1", "code_executor", text, files=files)
    events = [event async for event in executor.execute(call, Deadline.after(60))]
    assert isinstance(events[-1], ToolResult)
    return events[-1]


def text_of(result: ToolResult) -> str:
    return "".join(block["text"] for block in result.content)


@pytest.mark.engine
async def test_ten_megabytes_of_code_and_two_of_stdin_arrive_whole(executor: Executor) -> None:
    padding = "#" * 10_000_000
    code = f"import sys\n{padding}\nprint(len(sys.stdin.read()), len(open(__file__).read()))"
    text = json.dumps({"code": code, "stdin": "é" * 1_000_000}, ensure_ascii=False).encode()
    assert text_of(await run(executor, text)) == f"1000000 {len(code)}"


NAMES = ("main.py", "main.cjs", "main.mjs", "main.sh", "main_2.py", ".stdin", "data.json")
SEEN = {
    "python": "import main, main_2, sys\nassert main.WORD == 'mine'\nprint(sys.argv[0])",
    "javascript": "require('./data.json'); console.log(__filename)",
    "bash": "ls /work | grep -c main.sh; echo $0",
}


@pytest.mark.engine
@pytest.mark.parametrize(
    ("language", "said"),
    [("python", "/work/main_3.py"), ("javascript", "main_2.cjs"), ("bash", "1\n/work/main_2.sh")],
)
async def test_the_files_of_the_call_are_neither_overwritten_nor_hidden(
    executor: Executor, language: str, said: str
) -> None:
    data = dict.fromkeys(NAMES, b"WORD = 'mine'\n") | {"data.json": b"{}"}
    files = [InputFile(name, content) for name, content in data.items()]
    look = "cd /work; wc -c " + " ".join(sorted(NAMES))
    result = await run(
        executor, json.dumps({"language": language, "code": SEEN[language]}).encode(), *files
    )
    assert text_of(result).endswith(said), text_of(result)
    bash = json.dumps({"language": "bash", "code": look, "stdin": "given"}).encode()
    lines = text_of(await run(executor, bash, *files)).splitlines()
    sizes = {name: int(size) for size, name in (line.split() for line in lines)}
    del sizes["total"]
    assert sizes == {name: len(content) for name, content in data.items()}


@pytest.mark.engine
async def test_files_that_can_never_fit_are_refused_and_nothing_is_run(executor: Executor) -> None:
    code = json.dumps({"code": "print(1)"}).encode()
    result = await run(executor, code, InputFile("big", bytes(70 * 2**20)))
    assert result.status is Status.INVALID_ARGUMENTS
    assert text_of(result).startswith("Nothing was run: ")


@pytest.mark.engine
async def test_two_calls_share_nothing(executor: Executor) -> None:
    results: list[ToolResult] = []

    async def keep(code: str) -> None:
        results.append(await run(executor, json.dumps({"code": code}).encode()))

    await keep("open('/work/left', 'w').write('x'); open('/tmp/left', 'w').write('x')")
    await keep("import os\nprint(os.path.exists('/work/left'), os.path.exists('/tmp/left'))")
    assert text_of(results[1]) == "False False"
    async with anyio.create_task_group() as tasks:
        for word in ("one", "two"):
            tasks.start_soon(keep, f"print('{word}')")
    assert {text_of(result) for result in results[2:]} == {"one", "two"}


REFUSED = {
    "no_code": (b"{}", "missing required field `code`"),
    "seventeen_megabytes": (json.dumps({"code": "x" * 17_000_000}).encode(), "at most 16777216"),
    "a_user": (b'{"code":"x","user":"root"}', "/user: unknown field `user`"),
    "an_image": (b'{"code":"x","image":"alpine"}', "/image: unknown field `image`"),
    "a_lone_surrogate": (b'{"code":"print(\'\\ud800\')"}', "/code: has half of a surrogate pair"),
    "another_language": (b'{"code":"x","language":"pyhton"}', 'did you mean "python"?'),
    "a_misspelled_field": (b'{"code":"x","timout_seconds":3}', "did you mean `timeout_seconds`?"),
    "too_long": (b'{"code":"x","timeout_seconds":121}', "expected at most 120; got 121"),
    "no_time": (b'{"code":"x","timeout_seconds":0}', "expected at least 1; got 0"),
    "cut": (b'{"code":"print(1)', "cut off"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_input_that_does_not_fit_is_told_clearly(case: str) -> None:
    text, said = REFUSED[case]
    judged = Registry.load([share_dir("tools")]).tools["code_executor"].validator.check(text)
    assert not isinstance(judged, dict)
    assert said in judged.render()


def test_the_default_time_limit_is_30_s_and_the_most_120() -> None:
    tool = Registry.load([share_dir("tools")]).tools["code_executor"]
    assert tool.limits.timeout_s == 120
    assert tool.chosen_timeout_s({}) == 30
    assert tool.chosen_timeout_s({"timeout_seconds": 7}) == 7


def test_a_call_may_come_beside_others_and_running_it_twice_is_running_it_twice() -> None:
    spec = Registry.load([share_dir("tools")]).tools["code_executor"].spec
    assert (spec.idempotent, spec.parallel) == (False, True)
