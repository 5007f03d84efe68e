"""The shell of a session: what stays, what ends it, and what is said of it; real boxes."""

from collections.abc import AsyncGenerator

import anyio
import pytest

from auxot_tools.types import Status, ToolResult
from auxot_tools.worker.executor import Executor
from tests.support.conversation import Conversation, our_tools, said

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

ANEW = "[The shell was started anew: "
# How many processes of the box have a command line that fits; exit code 1 when none has.
SEEN = "for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2> /dev/null | grep -Ec "
SOON_S = 3.0  # a call that is to be stopped gets so long


@pytest.fixture
async def executor(anyio_backend: str) -> AsyncGenerator[Executor, None]:
    """Our tools in real boxes."""
    async with our_tools() as executor:
        yield executor


@pytest.fixture
def talk(executor: Executor) -> Conversation:
    """A conversation that has begun nothing yet."""
    return Conversation(executor)


async def run(talk: Conversation, command: str) -> str:
    return await talk.say("bash", command=command)


async def stopped(talk: Conversation, command: str) -> ToolResult:
    with anyio.fail_after(SOON_S * 5):
        result = await talk.call("bash", within_s=SOON_S, command=command)
    assert result.status is Status.TIMED_OUT
    return result


async def test_folder_variables_functions_options_and_jobs_stay(talk: Conversation) -> None:
    begun = "cd /tmp; x=5; export y=6; f() { echo f$x; }; set -o pipefail; sleep 60 &"
    assert "[1] " in await run(talk, begun)
    look = "pwd; f; bash -c 'echo $y'; jobs; false | true; echo $?"
    assert await run(talk, look) == "/tmp\nf5\n6\n[1]+  Running                 sleep 60 &\n1"


async def test_the_second_turn_finds_the_file_of_the_first_with_every_tool(
    talk: Conversation,
) -> None:
    await run(talk, "mkdir -p src; echo one > src/a.txt")
    edited = await talk.say(
        "str_replace_based_edit_tool",
        command="str_replace",
        path="src/a.txt",
        old_str="one",
        new_str="two",
    )
    assert edited.startswith("Edited: /work/src/a.txt.")
    assert await run(talk, "cat src/a.txt") == "two"
    read = await talk.say("code_executor", code="open('src/a.txt').read()", session=True)
    assert read == "'two\\n'"


async def test_sessions_and_tenants_see_nothing_of_each_other(executor: Executor) -> None:
    mine = Conversation(executor)
    await run(mine, "x=mine; cd /tmp; echo $x | tee /work/a /tmp/b; sleep 77 &")
    look = "echo \"<$x>\"; pwd; ls /work/a /tmp/b 2>&1 | grep -c 'No such'; "
    look += f"{SEEN}'[s]leep 77'"
    for stranger in (Conversation(executor, session="two"), Conversation(executor, "other")):
        told = said(await stranger.call("bash", command=look))
        assert told == "exit code: 1\n\nstdout:\n<>\n/work\n2\n0"
    assert await run(mine, "echo $x; pwd") == "mine\n/tmp"


async def test_an_error_of_syntax_or_of_an_unset_variable_leaves_the_shell_alive(
    talk: Conversation,
) -> None:
    await run(talk, "x=5")
    result = await talk.call("bash", command="echo before\nif then")
    assert result.exit_code == 2
    assert "syntax error" in said(result)
    assert (await talk.call("bash", command="set -u; echo $nope")).exit_code != 0
    assert await run(talk, "set +u; echo $x") == "5"


async def test_standard_input_is_at_its_end(talk: Conversation) -> None:
    assert await run(talk, "cat; read line; echo $?; python3 -c 'input()' 2>&1 | tail -1") == (
        "1\nEOFError: EOF when reading a line"
    )


@pytest.mark.parametrize(
    "command",
    [
        "echo begun; sleep 300; echo later",
        "echo begun; sleep 300 | cat; echo later",
        "echo begun; while :; do :; done; echo later",
        "echo begun; (trap '' INT; sleep 300; echo later); echo later",
        "echo begun; sleep 300 & wait; echo later",
        "echo begun; python3 -c 'import time; time.sleep(300)'; echo later",
    ],
)
async def test_a_stopped_command_ends_with_its_processes_and_the_shell_stays(
    talk: Conversation, command: str
) -> None:
    await run(talk, "x=5; cd /tmp; sleep 61 > /dev/null &")
    told = said(await stopped(talk, command))
    assert "begun" in told
    assert "later" not in told
    assert await run(talk, f"echo $x; pwd; {SEEN}'[s]leep 61'") == "5\n/tmp\n1"
    gone = await talk.call("bash", command=f"{SEEN}'[s]leep(.300|[(]300)'")
    assert said(gone) == "exit code: 1\n\nstdout:\n0"


async def test_a_shell_that_cannot_be_interrupted_is_lost_and_that_is_told(
    talk: Conversation,
) -> None:
    await run(talk, "x=5")
    await stopped(talk, "trap '' INT; while :; do :; done")
    told = await run(talk, 'echo "x=$x"')
    assert f"{ANEW}it did not stop when its call was stopped." in told
    assert "stdout:\nx=\n" in told
    assert ANEW not in await run(talk, "true")


async def test_a_first_command_that_is_stopped_takes_the_shell_along_and_that_is_told(
    talk: Conversation,
) -> None:
    await stopped(talk, "x=5; sleep 300")
    assert "together with a stopped call" in await run(talk, "true")


@pytest.mark.parametrize(
    ("command", "exit_code", "signal", "why"),
    [
        ("exit 3", 3, None, "it ended with exit code 3"),
        ("set -e; false; echo no", 1, None, "it ended with exit code 1"),
        ("exec true", 0, None, "it ended with exit code 0"),
        ("kill -9 $$", None, 9, "it was ended by signal 9 (SIGKILL)"),
    ],
)
async def test_a_shell_that_ends_ends_its_call_likewise_and_the_next_one_says_so(
    talk: Conversation, command: str, exit_code: int | None, signal: int | None, why: str
) -> None:
    await run(talk, "x=5; cd /tmp")
    result = await talk.call("bash", command=command)
    assert (result.exit_code, result.signal) == (exit_code, signal)
    told = await run(talk, 'echo "x=$x"; pwd')
    assert f"{ANEW}{why}. " in told
    assert "stdout:\nx=\n/work\n" in told


async def test_whoever_ends_all_processes_of_a_session_ends_only_its_own(
    executor: Executor,
) -> None:
    mine, other = Conversation(executor), Conversation(executor, session="two")
    await run(other, "x=5")
    await run(mine, "kill -9 -1")
    assert "the process that kept it was ended" in await run(mine, "true")
    assert await run(other, "echo $x") == "5"


async def test_a_restart_gives_a_new_shell_and_ends_the_jobs(talk: Conversation) -> None:
    await run(talk, "x=5; cd /tmp; setsid sleep 88 & echo file > /work/a")
    restarted = "The tool has been restarted: a new shell in /work, and no background jobs."
    assert await talk.say("bash", restart=True) == restarted
    told = await talk.call("bash", command=f"echo \"x=$x\"; pwd; cat a; jobs; {SEEN}'[s]leep 88'")
    assert said(told) == "exit code: 1\n\nstdout:\nx=\n/work\nfile\n0"
    both = await talk.say("bash", restart=True, command="pwd")
    assert both == f"{restarted}\n/work"


async def test_output_of_all_kinds_is_bounded_and_the_shell_stays(talk: Conversation) -> None:
    await run(talk, "x=5")
    assert await run(talk, r"printf '\xff\x00ok'") == "�␀ok"
    result = await talk.call("bash", command="head -c 1000000 /dev/zero | tr '\\0' a")
    assert result.omitted_bytes > 900_000
    result = await talk.call("bash", command="cat /dev/zero")
    assert result.status is Status.OUTPUT_LIMIT
    assert await run(talk, "echo $x") == "5"


async def test_a_background_job_holds_no_call_up_even_when_it_floods(talk: Conversation) -> None:
    with anyio.fail_after(20):
        assert (await run(talk, "sleep 300 & echo begun")).count("begun") == 1
        await talk.call("bash", command="yes &")
        assert await run(talk, "echo $((6*7))") == "42"


async def test_a_command_of_a_megabyte_and_one_with_a_nul(talk: Conversation) -> None:
    assert await run(talk, f"echo {'a' * 1_000_000} | wc -c") == "1000001"
    result = await talk.call("bash", command="echo a\0b")
    assert (result.exit_code, "NUL character" in said(result)) == (1, True)


async def test_too_many_processes_can_be_ended_by_a_restart(talk: Conversation) -> None:
    await run(talk, "for i in $(seq 200); do sleep 300 & done 2>/dev/null")
    await talk.say("bash", restart=True)
    assert await run(talk, "echo well") == "well"
