"""Programs on the host: what they see, what bounds them, and that nothing of them is left.

What every sandbox promises is in `tests/contract/`.
"""

import os
import signal
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import pytest

from auxot_tools.errors import Unavailable
from auxot_tools.ports import (
    BoxLimits,
    BoxOwner,
    BoxSpec,
    CollectLimits,
    LeftOutFile,
    OutputFile,
    Program,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.sandbox.host import HostSandbox
from auxot_tools.types import Deadline, InputFile, OutputChunk

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sandbox(tmp_path: Path, anyio_backend: str) -> AsyncGenerator[HostSandbox, None]:
    """A sandbox on the host, of which nothing is left in the end."""
    async with HostSandbox(tmp_path) as sandbox:
        yield sandbox
    assert left_in(tmp_path) == []


async def run(
    sandbox: HostSandbox, program: Program, limits: BoxLimits | None = None
) -> SandboxOutcome:
    spec = BoxSpec("", limits or BoxLimits(timeout_s=20))
    with anyio.fail_after(30):
        box = await sandbox.claim(spec, BoxOwner(), Deadline.after(30))
        try:
            events = [event async for event in box.run(program, Deadline.after(30))]
        finally:
            await box.release()
    outcome = events[-1]
    assert isinstance(outcome, SandboxOutcome)
    return outcome


async def bash(
    sandbox: HostSandbox, script: str, limits: BoxLimits | None = None
) -> SandboxOutcome:
    return await run(sandbox, Program(("bash", "-c", script), b""), limits)


def out(outcome: SandboxOutcome) -> str:
    assert outcome.stdout is not None
    return outcome.stdout.head.decode().removesuffix("\n")


def err(outcome: SandboxOutcome) -> str:
    assert outcome.stderr is not None
    return outcome.stderr.head.decode().removesuffix("\n")


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def lives(pid: int) -> bool:
    """Whether the process runs; one that is dead and not yet waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until_gone(pid: int) -> None:
    with anyio.fail_after(10):
        while lives(pid):  # noqa: ASYNC110 - another's child: nobody tells us
            await anyio.sleep(0.02)


async def test_the_environment_holds_nothing_of_the_workers(sandbox: HostSandbox) -> None:
    assert {"PATH", "HOME"} < set(os.environ)
    program = Program(("env",), b"", env=(("TOKEN", "s3cret"),))
    lines = dict(line.split("=", 1) for line in out(await run(sandbox, program)).splitlines())
    lines.pop("PWD", None)  # some shells export it when they start
    assert set(lines) == {"PATH", "LANG", "HOME", "TMPDIR", "TOKEN"}
    assert (lines["PATH"], lines["LANG"]) == ("/usr/local/bin:/usr/bin:/bin", "C.UTF-8")
    assert lines["TOKEN"] == "s3cret"
    assert lines["HOME"] != os.environ["HOME"]


async def test_a_secret_is_in_no_argument_list(sandbox: HostSandbox) -> None:
    command = ("bash", "-c", "tr '\\0' ' ' < /proc/$$/cmdline")
    outcome = await run(sandbox, Program(command, b"", env=(("TOKEN", "s3cret"),)))
    assert "cmdline" in out(outcome)
    assert "s3cret" not in out(outcome)


async def test_the_files_lie_in_a_private_folder_that_is_gone_afterwards(
    sandbox: HostSandbox,
) -> None:
    script = b'#!/bin/bash\ncat given "$(dirname "$0")/words"; pwd -P; stat -c %a .. ; cat\n'
    program = Program(
        ("bash", "/tool/main.sh"),
        b"and stdin",
        (InputFile("main.sh", script), InputFile("words", b"of the tool\n")),
        (InputFile("given", b"of the call\n"),),
    )
    call, tool, folder, mode, stdin = out(await run(sandbox, program)).splitlines()
    assert (call, tool, mode, stdin) == ("of the call", "of the tool", "700", "and stdin")
    assert not Path(folder).parent.exists()


async def test_a_tools_own_program_is_started_as_such(sandbox: HostSandbox) -> None:
    files = (InputFile("hello", b"#!/bin/sh\necho hello from $0\n"),)
    outcome = await run(sandbox, Program(("/tool/hello",), b"", files))
    assert out(outcome).startswith("hello from /")


async def test_a_folder_that_was_shut_is_removed_too(sandbox: HostSandbox) -> None:
    script = "pwd -P; mkdir -p a/b; touch a/b/c; ln -s / root; chmod 000 a/b a ."
    outcome = await bash(sandbox, script)
    assert not Path(out(outcome)).parent.exists()
    assert os.access("/etc/passwd", os.R_OK)


async def test_a_child_left_behind_is_killed_and_does_not_hold_the_call(
    sandbox: HostSandbox,
) -> None:
    began = time.monotonic()
    outcome = await bash(sandbox, "sleep 600 & echo $!")
    assert (outcome.exit_code, outcome.stopped) == (0, None)
    assert time.monotonic() - began < 10
    await until_gone(int(out(outcome)))


async def test_a_child_that_left_the_group_and_holds_the_pipes_does_not_hold_the_call(
    sandbox: HostSandbox,
) -> None:
    child = "setsid bash -c 'echo $$ > pid; exec sleep 600' &"
    outcome = await bash(sandbox, f"mkfifo pid; {child} read own < pid; echo $own; exit 4")
    with suppress(ProcessLookupError):
        os.kill(int(out(outcome)), signal.SIGKILL)
    assert (outcome.exit_code, outcome.stopped) == (4, None)
    assert outcome.duration_s < 10


async def test_a_stop_reaches_grandchildren_also_those_that_ignore_signals(
    sandbox: HostSandbox,
) -> None:
    script = "trap '' TERM INT HUP; (trap '' TERM; bash -c 'sleep 600; :' & echo $!; wait) & wait"
    outcome = await bash(sandbox, script, BoxLimits(timeout_s=0.5))
    assert (outcome.stopped, outcome.exit_code) == (StopReason.TIME_LIMIT, None)
    await until_gone(int(out(outcome)))


async def test_leaving_early_kills_the_program(sandbox: HostSandbox) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(20))
    program = Program(("bash", "-c", "echo $$; sleep 600"), b"")
    async with aclosing(box.run(program, Deadline.after(20))) as events:
        first = await anext(events)
    assert isinstance(first, OutputChunk)
    with anyio.fail_after(10):
        await box.release()
    assert not lives(int(first.data))


async def test_head_and_tail_are_kept_and_the_rest_is_counted(sandbox: HostSandbox) -> None:
    outcome = await bash(sandbox, "seq 100000", BoxLimits(output_bytes=1000))
    assert outcome.stdout is not None
    kept = outcome.stdout
    assert kept.head.startswith(b"1\n2\n")
    assert kept.tail.endswith(b"\n100000\n")
    assert len(kept.head) + len(kept.tail) + kept.omitted_bytes == 588_895


async def test_a_program_that_writes_without_end_is_stopped(sandbox: HostSandbox) -> None:
    limits = BoxLimits(timeout_s=20, output_stop_bytes=2**20)
    outcome = await bash(sandbox, "yes", limits)
    assert (outcome.stopped, outcome.exit_code) == (StopReason.OUTPUT_LIMIT, None)


async def test_a_reader_that_is_slow_does_not_keep_a_program_alive(sandbox: HostSandbox) -> None:
    limits = BoxLimits(timeout_s=0.5)
    box = await sandbox.claim(BoxSpec("", limits), BoxOwner(), Deadline.after(20))
    program = Program(("bash", "-c", "echo $$; exec yes"), b"")
    with anyio.fail_after(20):
        async with aclosing(box.run(program, Deadline.after(20))) as events:
            first = await anext(events)
            assert isinstance(first, OutputChunk)
            await until_gone(int(first.data.split()[0]))  # without reading on
            *_, outcome = [event async for event in events]
        await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.TIME_LIMIT


async def test_files_open_files_and_core_dumps_are_limited(sandbox: HostSandbox) -> None:
    limits = BoxLimits(open_files=64, disk_bytes=64 * 1024)
    outcome = await bash(sandbox, "ulimit -n; ulimit -c; ulimit -f", limits)
    assert out(outcome).split() == ["64", "0", "64"]
    outcome = await bash(sandbox, "exec head -c 100000 /dev/zero > big", limits)
    assert outcome.signal == signal.SIGXFSZ


async def test_a_program_that_is_not_there_is_told_as_a_shell_would(sandbox: HostSandbox) -> None:
    outcome = await run(sandbox, Program(("no-such-program",), b""))
    assert (outcome.exit_code, outcome.not_started) == (127, False)
    assert err(outcome) == "The host has no such program as the tool's command names."


@pytest.mark.parametrize(
    "program",
    [
        Program(("echo", "a\0b"), b""),
        Program(("echo",), b"", env=(("A", "a\0b"),)),
        Program(("echo",), b"", work_files=(InputFile("../escaped", b"x"),)),
        Program(("echo",), b"", work_files=(InputFile("a\0b", b"x"),)),
    ],
)
async def test_what_cannot_be_passed_on_is_told_and_harms_no_other_call(
    sandbox: HostSandbox, program: Program
) -> None:
    outcome = await run(sandbox, program)
    assert outcome.not_started
    assert outcome.lost
    assert out(await bash(sandbox, "echo well")) == "well"


async def test_stdin_that_nobody_reads_and_much_that_somebody_does(sandbox: HostSandbox) -> None:
    much = b"x" * 2_000_000
    assert (await run(sandbox, Program(("true",), much))).exit_code == 0
    assert out(await run(sandbox, Program(("wc", "-c"), much))) == "2000000"
    outcome = await run(sandbox, Program(("cat",), much), BoxLimits(output_bytes=4_000_000))
    assert outcome.stdout is not None
    assert outcome.stdout.head == much


async def test_files_are_taken_within_bounds_and_never_through_links(sandbox: HostSandbox) -> None:
    script = (
        "cd out; echo one > a.txt; head -c 50 /dev/zero > big; ln -s /etc/passwd link; mkfifo p; "
        "mkdir d; echo two > z.txt; echo three > zz.txt"
    )
    collect = CollectLimits(files=2, file_bytes=40, total_bytes=100)
    outcome = await run(sandbox, Program(("bash", "-c", script), b"", collect=collect))
    assert outcome.files == (OutputFile("a.txt", b"one\n"), OutputFile("z.txt", b"two\n"))
    assert outcome.files_left_out == (
        LeftOutFile("big", "too_large"),
        LeftOutFile("d", "not_a_file"),
        LeftOutFile("link", "not_a_file"),
        LeftOutFile("p", "not_a_file"),
        LeftOutFile("zz.txt", "too_many"),
    )


async def test_a_folder_that_became_a_link_gives_no_files(sandbox: HostSandbox) -> None:
    script = "rmdir out; ln -s /etc out"
    program = Program(("bash", "-c", script), b"", collect=CollectLimits())
    outcome = await run(sandbox, program)
    assert (outcome.files, outcome.files_left_out) == ((), (LeftOutFile("out", "not_a_file"),))


async def test_cancelled_before_it_began_nothing_is_run(sandbox: HostSandbox) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(20))
    await box.cancel()
    with anyio.fail_after(20):
        events = [event async for event in box.run(Program(("echo", "x"), b""), Deadline.after(20))]
        await box.release()
    (outcome,) = events
    assert isinstance(outcome, SandboxOutcome)
    assert (outcome.stopped, outcome.not_started) == (StopReason.CANCELLED, True)


async def test_after_close_there_is_no_box(sandbox: HostSandbox) -> None:
    await sandbox.close()
    with pytest.raises(Unavailable):
        await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(20))


async def test_leaving_the_sandbox_ends_what_runs(tmp_path: Path) -> None:
    async with HostSandbox(tmp_path) as sandbox:
        box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(20))
        events = box.run(Program(("bash", "-c", "echo $$; sleep 600"), b""), Deadline.after(20))
        first = await anext(events)
    assert isinstance(first, OutputChunk)
    assert not lives(int(first.data))
    assert left_in(tmp_path) == []
    await events.aclose()


async def test_the_bodys_error_goes_on_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="mine"):
        async with HostSandbox(tmp_path):
            raise Unavailable("mine")


async def test_a_body_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    program = Program(("bash", "-c", "echo $$; sleep 600"), b"")
    pids: list[int] = []
    with anyio.fail_after(20), anyio.CancelScope() as scope:
        async with HostSandbox(tmp_path) as sandbox:
            box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(20))
            async with aclosing(box.run(program, Deadline.after(20))) as events:
                async for event in events:
                    assert isinstance(event, OutputChunk)
                    pids.append(int(event.data))
                    scope.cancel()
    assert scope.cancelled_caught
    assert [pid for pid in pids if lives(pid)] == []
    assert left_in(tmp_path) == []
