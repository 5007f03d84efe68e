"""What one call may do to the next in the same box, and to those who end it and take its files."""

import os
import signal

import anyio
import anyio.to_thread
import pytest

from auxot_tools.ports import (
    BoxLimits,
    BoxSpec,
    CollectLimits,
    Isolation,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.sandbox.engine import connect
from auxot_tools.types import Deadline, InputFile
from tests.support.engine import NOBODY, PATIENCE_S, Ran, run_program

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

# A daemon that tries without pause to end, or to stop, whoever looks after the call.
ATTACK_ON_KEEPER = """
import os, signal, sys
open("/work/out/file", "w").write("x" * 100_000)
keeper = os.getppid()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        while True:
            try:
                os.kill(keeper, signal.{signal})
            except OSError:
                pass
    os._exit(0)
sys.exit(3)
"""


async def run_python(
    sandbox: DockerSandbox,
    code: str,
    isolation: Isolation = "session",
    collect: CollectLimits | None = None,
) -> Ran:
    files = [InputFile("main.py", code.encode())]
    command = ("python3", "/work/main.py")
    return await run_program(
        sandbox, *command, work_files=files, isolation=isolation, collect=collect
    )


@pytest.mark.parametrize("signal_name", ["SIGKILL", "SIGSTOP"])
@pytest.mark.parametrize("isolation", ["call", "session"])
async def test_a_daemon_cannot_end_or_stop_the_keeper_that_takes_the_files(
    sandbox: DockerSandbox, isolation: Isolation, signal_name: str
) -> None:
    for _ in range(4):
        code = ATTACK_ON_KEEPER.format(signal=signal_name)
        ran = await run_python(sandbox, code, isolation, CollectLimits())
        assert (ran.outcome.exit_code, ran.outcome.stopped) == (3, None)
        assert [len(file.data) for file in ran.outcome.files] == [100_000]
        assert ran.outcome.files_left_out == ()


async def test_a_kill_that_comes_too_late_shifts_no_answer(sandbox: DockerSandbox) -> None:
    """A slow reader: when it is time to stop the program, this has ended and the next one waits."""
    spec = BoxSpec("", BoxLimits(timeout_s=0.3), "session")
    program = Program(("bash", "-c", "echo slow; sleep 0.05; echo end"), b"")
    for number in range(3):
        box = await sandbox.claim(spec, NOBODY, Deadline.after(60))
        async for event in box.run(program, Deadline.after(60)):
            if not isinstance(event, SandboxOutcome):
                await anyio.sleep(0.5)
        await box.release()
        for text in (f"a{number}", f"b{number}"):
            limits = BoxLimits(timeout_s=5)
            ran = await run_program(sandbox, "echo", text, isolation="session", limits=limits)
            assert (ran.stdout, ran.outcome.not_started, ran.notice) == (f"{text}\n", False, "")


async def test_a_session_that_shut_its_folder_goes_on(sandbox: DockerSandbox) -> None:
    shut = await run_program(sandbox, "bash", "-c", "chmod 700 /work; echo ok", isolation="session")
    assert shut.stdout == "ok\n"
    ran = await run_program(sandbox, "bash", "-c", "pwd", isolation="session")
    assert (ran.stdout, ran.notice) == ("/work\n", "")


@pytest.mark.parametrize(
    ("make", "reason"),
    [("chmod 0 /work/out", "unreadable"), ("rmdir /work/out; ln -s /etc /work/out", "not_a_file")],
)
async def test_an_out_folder_that_cannot_be_read_is_told(
    sandbox: DockerSandbox, make: str, reason: str
) -> None:
    ran = await run_program(sandbox, "bash", "-c", make, collect=CollectLimits())
    assert ran.outcome.files == ()
    assert [(one.name, one.reason) for one in ran.outcome.files_left_out] == [("/work/out", reason)]


async def test_a_program_s_own_modules_may_be_called_as_ours(sandbox: DockerSandbox) -> None:
    code = """
names = ["call", "channel", "counters", "polling", "supervisor", "kernel", "program"]
for name in names:
    open(f"/work/{name}.py", "w").write("MINE = 1")
print(all(__import__(name).MINE for name in names))
"""
    assert (await run_python(sandbox, code, "call")).stdout == "True\n"


@pytest.mark.parametrize("hook", ["raise OSError(5)", "raise ValueError(1)", "1 / 0"])
async def test_an_exception_hook_that_fails_ends_as_python_does(
    sandbox: DockerSandbox, hook: str
) -> None:
    code = f"import sys\ndef hook(*_):\n    {hook}\nsys.excepthook = hook\nint('x')"
    ran = await run_python(sandbox, code, "call")
    assert ran.outcome.exit_code == 1
    assert "ValueError: invalid literal" in ran.stderr


async def test_a_folder_in_the_place_of_a_file_of_the_session_gives_way(
    sandbox: DockerSandbox,
) -> None:
    script = "mkdir -p /work/main.py/deep/er; ln -s / /work/main.py/root; echo ok"
    assert (await run_program(sandbox, "bash", "-c", script, isolation="session")).stdout == "ok\n"
    assert (await run_python(sandbox, "print(1)")).stdout == "1\n"


async def test_a_stopped_spare_of_a_session_does_not_hold_a_call_for_ever(
    sandbox: DockerSandbox,
) -> None:
    """A process that an earlier call left stops the program that waits for the next one."""
    code = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    os.closerange(0, 3)
    mine = {os.getpid(), os.getppid()}
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in mine:
                try:
                    os.kill(int(name), signal.SIGSTOP)
                except OSError:
                    pass
    os._exit(0)
"""
    await run_python(sandbox, code)
    with anyio.fail_after(40):
        ran = await run_program(sandbox, "echo", "late", isolation="session")
    assert ran.outcome.stopped in {None, StopReason.TIME_LIMIT}
    assert ran.outcome.not_started or ran.stdout == "late\n"


async def test_a_session_whose_zygote_was_killed_is_started_anew_and_says_so(
    sandbox: DockerSandbox,
) -> None:
    """As the kernel does when the host's memory runs out: the box waits, and has no more calls."""
    first = await run_program(sandbox, "echo", "first", isolation="session")
    zygote = await anyio.to_thread.run_sync(second_process_of, first.box_id)
    os.kill(zygote, signal.SIGKILL)
    with anyio.fail_after(PATIENCE_S):
        await until_removed(first.box_id)  # as the sandbox does once PID 1 has told it
        ran = await run_program(sandbox, "echo", "again", isolation="session")
    assert ran.stdout == "again\n"
    assert ran.box_id != first.box_id
    assert ran.notice.startswith("The session was started anew")


async def until_removed(container_id: str) -> None:
    while await anyio.to_thread.run_sync(is_listed, container_id):  # noqa: ASYNC110
        await anyio.sleep(0.05)


def is_listed(container_id: str) -> bool:
    client = connect()
    try:
        return bool(client.containers(all=True, filters={"id": container_id}))
    finally:
        client.close()


def second_process_of(container_id: str) -> int:
    """The pid, on the host, of the process that PID 1 started first."""
    client = connect()
    try:
        rows = client.top(container_id, "-o pid,comm")["Processes"]
    finally:
        client.close()
    return sorted(int(pid) for pid, _ in rows)[1]
