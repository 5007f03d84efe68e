"""A session of the code executor: what stays, how it is lost, and what is said of it."""

import base64
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from auxot_tools.share import share_dir
from auxot_tools.types import InputFile, Status, ToolCall, ToolResult
from auxot_tools.worker.executor import Executor
from auxot_tools.worker.program import SESSION_PROGRAM, Made, make_program
from auxot_tools.worker.registry import Registry
from tests.support.conversation import Conversation, our_tools, said

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

ANEW = "[The Python of this session was started anew: "


@pytest.fixture
async def executor(anyio_backend: str) -> AsyncGenerator[Executor, None]:
    """Our tools in real boxes."""
    async with our_tools() as executor:
        yield executor


@pytest.fixture
def talk(executor: Executor) -> Conversation:
    """A conversation that has begun nothing yet."""
    return Conversation(executor)


async def run(talk: Conversation, code: str, **given: Any) -> ToolResult:
    return await talk.call("code_executor", code=code, session=True, **given)


async def text(talk: Conversation, code: str, **given: Any) -> str:
    return said(await run(talk, code, **given))


async def test_variables_imports_functions_and_classes_stay(talk: Conversation) -> None:
    first = "import math\nx = 41\ndef f(y):\n    return 1 / y\nclass Point:\n    x = 1"
    assert await text(talk, first) == "(no output)"
    assert await text(talk, "x += 1\nprint(x, math.floor(2.5), __name__)") == "42 2 __main__"
    again = "import pickle\ntype(pickle.loads(pickle.dumps(Point()))) is Point"
    assert await text(talk, again) == "True"


async def test_the_value_of_a_last_expression_is_shown_unless_it_is_none(
    talk: Conversation,
) -> None:
    assert await text(talk, "1 + 1") == "2"
    assert await text(talk, "_ + 1") == "3"
    assert await text(talk, "None") == "(no output)"
    assert await text(talk, "y = 'a'") == "(no output)"


async def test_a_traceback_shows_the_codes_lines_and_none_of_ours(talk: Conversation) -> None:
    await text(talk, "\ndef f(y):\n    return 1 / y")
    told = await text(talk, "f(0)")
    assert 'File "<call 2>", line 1, in <module>\n    f(0)' in told
    assert 'File "<call 1>", line 3, in f\n    return 1 / y' in told
    assert "ZeroDivisionError" in told
    assert "auxot" not in told
    assert "python_session" not in told
    told = await text(talk, "x = = 1")
    assert told.startswith('exit code: 1\n\nstderr:\n  File "<call 3>", line 1')


async def test_an_exit_code_is_the_calls_and_ends_nothing(talk: Conversation) -> None:
    result = await run(talk, "import sys\nx = 1\nprint('a')\nsys.exit(3)")
    assert (result.exit_code, said(result)) == (3, "exit code: 3\n\nstdout:\na")
    result = await run(talk, "sys.exit('gone')")
    assert (result.exit_code, said(result)) == (1, "exit code: 1\n\nstderr:\ngone")
    assert await text(talk, "x") == "1"


async def test_each_call_has_its_own_streams_and_so_have_its_children(talk: Conversation) -> None:
    reading = "import os, sys\nos.system('echo sys'); input() + sys.stdin.read()"
    assert await text(talk, reading, stdin="a\nb") == "sys\n'ab'"
    assert await text(talk, "sys.stdin.read()") == "''"
    swapped = "sys.stdout.write('é\\n'); sys.stdout = None; sys.__stderr__.close()"
    assert await text(talk, swapped) == "é"
    assert await text(talk, "print('there'); print('too', file=sys.stderr)") == (
        "exit code: 0\n\nstdout:\nthere\n\nstderr:\ntoo"
    )
    flood = await run(talk, "sys.stdout.buffer.write(bytes(range(256)) * 4096); None")
    assert flood.omitted_bytes > 900_000
    assert await text(talk, "len('after')") == "5"


async def test_a_fork_of_the_code_that_comes_to_its_end_is_no_second_interpreter(
    talk: Conversation,
) -> None:
    code = (
        "import os\nif os.fork() == 0:\n    print('child')\nelse:\n    os.wait(); print('parent')"
    )
    assert await text(talk, code) == "child\nparent"
    assert await text(talk, "1") == "1"


async def test_sessions_and_tenants_see_nothing_of_each_other(executor: Executor) -> None:
    mine = Conversation(executor)
    await text(mine, "x = 'mine'; open('/work/a', 'w').write(x); open('/tmp/b', 'w').write(x)")
    look = "import os\nprint('x' in globals(), os.path.exists('/work/a'), os.path.exists('/tmp/b'))"
    for stranger in (Conversation(executor, session="two"), Conversation(executor, "other")):
        assert await text(stranger, look) == "False False False"
        await text(stranger, "x = 'theirs'")
    assert await text(mine, "x") == "'mine'"
    assert await text(mine, look) == "True True True"


async def test_a_call_without_session_has_a_box_of_its_own(talk: Conversation) -> None:
    await text(talk, "x = 1; open('/work/a', 'w').close()")
    alone = "import os\nprint('x' in globals(), os.path.exists('/work/a'))\n5"
    result = await talk.call("code_executor", code=alone)
    assert (said(result), result.isolation) == ("False False", "call")


async def test_other_languages_keep_files_and_their_own_exit_codes(talk: Conversation) -> None:
    code = "echo $((6*7)) > /work/n; cat; kill -SEGV $$"
    result = await run(talk, code, language="bash", stdin="given")
    assert (result.signal, "given" in said(result)) == (11, True)
    code = "console.log(+require('fs').readFileSync('/work/n')); process.exit(4)"
    result = await run(talk, code, language="javascript")
    assert (result.exit_code, said(result)) == (4, "exit code: 4\n\nstdout:\n42")
    code = "import fs from 'node:fs'; console.log(await fs.promises.readFile('/work/n', 'utf8'))"
    assert (await text(talk, code, language="javascript")).strip() == "42"


async def test_a_stopped_call_leaves_the_state_and_none_of_its_processes(
    talk: Conversation,
) -> None:
    begun = "import os, subprocess, time\nx = 42\nkept = subprocess.Popen(['sleep', '61'])"
    await text(talk, begun)
    for code in ("time.sleep(50)", "os.system('sleep 62')", "while True: pass"):
        more = "subprocess.Popen(['sleep', '63'])\n"
        result = await run(talk, f"print('begun')\n{more}{code}", timeout_seconds=1)
        assert result.status is Status.TIMED_OUT
        assert "begun" in said(result)
    listing = "x, kept.poll(), [n for n in ('61', '62', '63') if not os.system(f'{seen}{n}')]"
    seen = 'seen = \'cat /proc/[0-9]*/cmdline | tr "\\\\0" " " | grep -q "[s]leep "\'\n'
    assert await text(talk, seen + listing) == "(42, None, ['61'])"


async def test_code_that_does_not_let_itself_be_interrupted_costs_the_state_and_that_is_told(
    talk: Conversation,
) -> None:
    await text(talk, "x = 42; open('/work/a', 'w').close()")
    deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    assert (await run(talk, deaf, timeout_seconds=1)).status is Status.TIMED_OUT
    told = await text(talk, "import os\nprint('x' in globals(), os.path.exists('/work/a'))")
    assert f"{ANEW}it did not stop when its call was stopped." in told
    assert "stdout:\nFalse True" in told
    assert ANEW not in await text(talk, "1")


async def test_a_first_call_that_is_stopped_takes_the_interpreter_along_and_that_is_told(
    talk: Conversation,
) -> None:
    result = await run(talk, "import time\ntime.sleep(50)", timeout_seconds=1)
    assert result.status is Status.TIMED_OUT
    told = await text(talk, "'here'")
    assert "together with a stopped call" in told
    assert "stdout:\n'here'" in told


CRASHES = {
    "an_exit": ("import os; os._exit(7)", 7, None, "it ended with exit code 7"),
    "a_crash": ("import ctypes; ctypes.string_at(0)", None, 11, "signal 11 (SIGSEGV)"),
    "a_kill": ("import os; os.kill(os.getpid(), 9)", None, 9, "signal 9 (SIGKILL)"),
    "shutting_its_only_way": (
        "import os, time; os.closerange(3, 256); time.sleep(30)",
        None,
        9,
        "signal 9 (SIGKILL)",
    ),
}


@pytest.mark.parametrize("case", CRASHES)
async def test_an_interpreter_that_ends_ends_its_call_likewise_and_the_next_one_says_so(
    talk: Conversation, case: str
) -> None:
    code, exit_code, signal, why = CRASHES[case]
    await text(talk, "x = 1")
    result = await run(talk, code)
    assert (result.exit_code, result.signal) == (exit_code, signal)
    told = await text(talk, "'x' in globals()")
    assert ANEW in told
    assert why in told
    assert "stdout:\nFalse" in told


async def test_too_much_memory_is_said_and_the_session_goes_on(talk: Conversation) -> None:
    result = await run(talk, "b = []\nwhile True: b.append(bytearray(10 << 20))")
    assert result.status is Status.OUT_OF_MEMORY
    assert ANEW in await text(talk, "1")


async def test_whoever_ends_all_processes_of_a_session_ends_only_its_own(
    executor: Executor,
) -> None:
    mine, other = Conversation(executor), Conversation(executor, session="two")
    await text(other, "x = 1")
    await text(mine, "x = 2")
    await run(mine, "import os\nos.kill(-1, 9)")
    told = await text(mine, "'x' in globals()")
    assert "the process that kept it was ended" in told
    assert await text(other, "x") == "1"


async def test_a_forgotten_process_does_not_hold_its_call_up(talk: Conversation) -> None:
    with anyio.fail_after(20):
        assert await text(talk, "import os; os.system('sleep 300 & echo begun')") == "begun\n0"


async def test_files_of_the_call_are_there_and_no_file_is_overwritten(talk: Conversation) -> None:
    await text(talk, "open('/work/main.py', 'w').write('mine'); None")
    given = (InputFile("data.csv", b"1,2"), InputFile(".call.py", b"theirs"))
    look = "print(open('main.py').read(), open('data.csv').read(), open('.call.py').read())"
    assert said(await talk.call("code_executor", files=given, code=look, session=True)) == (
        "mine 1,2 theirs"
    )


async def test_a_file_is_returned_once_and_then_lies_in_returned(talk: Conversation) -> None:
    await text(talk, "import os\nos.path.isdir('/work/out')")
    first = await run(talk, "open('/work/out/a.txt', 'w').write('a'); None")
    assert [one.name for one in first.artifacts] == ["a.txt"]
    second = await run(talk, "open('/work/out/b.txt', 'w').write('b'); None", language="python")
    assert [one.name for one in second.artifacts] == ["b.txt"]
    third = await run(talk, "ls /work/out; ls /work/returned", language="bash")
    assert (said(third), third.artifacts) == ("a.txt\nb.txt", ())


PIXEL = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
    )
).decode()


@pytest.mark.parametrize("session", [True, False])
async def test_an_image_comes_back_as_a_block_that_the_model_sees(
    talk: Conversation, session: bool
) -> None:
    code = (
        f"import base64\ndata = base64.b64decode('{PIXEL}')\n"
        "open('/work/out/plot', 'wb').write(data); open('/work/out/no.png', 'w').write('x'); None"
    )
    result = await talk.call("code_executor", code=code, session=session)
    (image,) = [block for block in result.content if block["type"] == "image"]
    assert image["source"] == {"type": "base64", "media_type": "image/png", "data": PIXEL}
    assert {one.name for one in result.artifacts} == {"plot", "no.png"}


def test_the_sessions_program_is_sent_to_sessions_alone() -> None:
    recipe = Registry.load([share_dir("tools")]).tools["code_executor"].recipe
    call = ToolCall("toolu_1", "code_executor", b"{}")
    for is_session in (True, False):
        made = make_program(recipe, call, {"code": "1"}, is_session=is_session)
        assert isinstance(made, Made)
        sent = [file.name for file in made.program.tool_files]
        assert sent == ([SESSION_PROGRAM] if is_session else [])
