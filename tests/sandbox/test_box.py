"""How programs end, what they get and what is kept of their output; in real boxes."""

import resource

import anyio
import anyio.to_thread
import pytest

from auxot_tools.ports import BoxLimits, BoxOwner, BoxSpec, Program, SandboxOutcome, StopReason
from auxot_tools.sandbox.docker import DockerSandbox
from auxot_tools.types import Deadline, InputFile, OutputChunk
from tests.support.engine import PATIENCE_S, process_sleeps, run_program, run_python

pytestmark = [pytest.mark.anyio, pytest.mark.engine]

MIB = 2**20


async def test_a_program_gets_its_arguments_files_and_stdin_and_a_plain_environment(
    sandbox: DockerSandbox,
) -> None:
    code = (
        "import json, os, sys\n"
        "print(json.dumps([sys.argv[1:], sys.stdin.read(), open('/work/data.txt').read(),"
        " os.getcwd(), os.getuid() in range(63000, 63512), dict(os.environ)]))\n"
    )
    ran = await run_program(
        sandbox,
        "python3",
        "/tool/main.py",
        "--x",
        "a b\n",
        stdin="grüß".encode(),
        tool_files=[InputFile("main.py", code.encode())],
        work_files=[InputFile("data.txt", b"data")],
    )
    assert ran.outcome.exit_code == 0, ran.stderr
    expected = (
        '[["--x", "a b\\n"], "gr\\u00fc\\u00df", "data", "/work", true, '
        '{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOSTNAME": "sandbox", "HOME": "/work", '
        '"TMPDIR": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", '
        '"PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg", "MPLCONFIGDIR": "/tmp/.matplotlib"}]\n'
    )
    assert ran.stdout == expected


async def test_every_promised_program_is_in_the_image(sandbox: DockerSandbox) -> None:
    script = (
        "python3 -c 'print(1)' && node -e 'console.log(2)' && echo '{\"a\":3}' | jq .a && "
        "curl --version | head -c 4 && echo && stat -c %a /work"
    )
    ran = await run_program(sandbox, "bash", "-c", script)
    assert ran.stdout == "1\n2\n3\ncurl\n755\n", ran.stderr


async def test_a_script_among_the_tool_files_can_be_run_by_its_first_line(
    sandbox: DockerSandbox,
) -> None:
    files = [InputFile("hello", b"#!/usr/bin/env bash\necho hello\n")]
    ran = await run_program(sandbox, "/tool/hello", tool_files=files)
    assert ran.stdout == "hello\n", ran.stderr


async def test_large_stdin_arrives_whole_also_when_it_is_not_read(sandbox: DockerSandbox) -> None:
    data = b"x" * (8 * MIB)
    counted = await run_program(sandbox, "wc", "-c", stdin=data)
    ignored = await run_program(sandbox, "true", stdin=data)
    assert counted.stdout.strip() == str(len(data))
    assert ignored.outcome.exit_code == 0


@pytest.mark.parametrize(
    ("script", "exit_code", "signal"),
    [
        ("exit 0", 0, None),
        ("exit 7", 7, None),
        ("exit 137", 137, None),
        ("kill -KILL $$", None, 9),
        ("kill -TERM $$", None, 15),
        ("kill -SEGV $$", None, 11),
    ],
)
async def test_an_exit_code_and_a_signal_are_told_apart(
    sandbox: DockerSandbox, script: str, exit_code: int | None, signal: int | None
) -> None:
    outcome = (await run_program(sandbox, "bash", "-c", script)).outcome
    assert (outcome.exit_code, outcome.signal) == (exit_code, signal)
    assert (outcome.stopped, outcome.oom_killed, outcome.lost) == (None, False, "")


async def test_a_command_that_is_not_there_ends_like_in_a_shell(sandbox: DockerSandbox) -> None:
    missing = await run_program(sandbox, "no-such-program")
    denied = await run_program(sandbox, "/etc/passwd")
    assert missing.outcome.exit_code == 127
    assert "no such program" in missing.stderr
    assert denied.outcome.exit_code == 126


async def test_running_out_of_memory_is_told_of_the_main_process(sandbox: DockerSandbox) -> None:
    limits = BoxLimits(memory_bytes=96 * MIB, disk_bytes=16 * MIB)
    outcome = (await run_python(sandbox, "x = bytearray(300 << 20)", limits)).outcome
    assert (outcome.oom_killed, outcome.signal, outcome.exit_code) == (True, 9, None)
    assert outcome.stopped is None


async def test_running_out_of_memory_is_told_of_a_child_when_the_parent_exits_zero(
    sandbox: DockerSandbox,
) -> None:
    limits = BoxLimits(memory_bytes=96 * MIB, disk_bytes=16 * MIB)
    script = "python3 -c 'x = bytearray(300 << 20)' || echo survived; exit 0"
    ran = await run_program(sandbox, "bash", "-c", script, limits=limits)
    assert (ran.outcome.oom_killed, ran.outcome.exit_code) == (True, 0)
    assert "survived" in ran.stdout


async def test_many_small_processes_that_exhaust_memory_are_told_as_out_of_memory(
    sandbox: DockerSandbox,
) -> None:
    limits = BoxLimits(memory_bytes=64 * MIB, disk_bytes=16 * MIB, timeout_s=20)
    script = "for i in $(seq 60); do sleep 30 & done; python3 -c 'x=bytearray(99<<20)'; exit 3"
    outcome = (await run_program(sandbox, "bash", "-c", script, limits=limits)).outcome
    assert outcome.oom_killed
    assert outcome.exit_code == 3 or outcome.signal == 9


async def test_the_time_limit_counts_from_the_programs_start_and_keeps_what_was_said(
    sandbox: DockerSandbox,
) -> None:
    limits = BoxLimits(timeout_s=0.6)
    script = "echo before; sleep 100"
    ran = await run_program(sandbox, "bash", "-c", script, limits=limits)
    assert (ran.outcome.stopped, ran.outcome.signal) == (StopReason.TIME_LIMIT, 9)
    assert ran.outcome.exit_code is None
    assert ran.stdout == "before\n"
    assert ran.outcome.duration_s >= 0.6


async def test_a_deadline_before_the_time_limit_ends_a_program(sandbox: DockerSandbox) -> None:
    outcome = (await run_program(sandbox, "sleep", "100", deadline=Deadline.after(2))).outcome
    assert outcome.stopped is StopReason.TIME_LIMIT


async def test_a_program_that_blocks_every_signal_is_stopped_all_the_same(
    sandbox: DockerSandbox,
) -> None:
    code = (
        "import signal, time\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "while True: time.sleep(1)\n"
    )
    outcome = (await run_python(sandbox, code, BoxLimits(timeout_s=0.5))).outcome
    assert (outcome.stopped, outcome.signal) == (StopReason.TIME_LIMIT, 9)


async def test_head_and_tail_of_a_long_output_are_kept_with_the_exact_number_left_out(
    sandbox: DockerSandbox,
) -> None:
    limits = BoxLimits(output_bytes=1000)
    code = (
        "import sys\n"
        "sys.stdout.write('H' * 500 + 'm' * 5_000_000 + 'T' * 500)\n"
        "sys.stderr.write('h' * 500 + 'M' * 777 + 't' * 500)\n"
    )
    ran = await run_python(sandbox, code, limits)
    out, err = ran.outcome.stdout, ran.outcome.stderr
    assert out is not None
    assert err is not None
    assert (out.head, out.tail, out.omitted_bytes) == (b"H" * 500, b"T" * 500, 5_000_000)
    assert (err.head, err.tail, err.omitted_bytes) == (b"h" * 500, b"t" * 500, 777)
    assert sum(len(chunk.data) for chunk in ran.chunks) == 5_000_000 + 1000 + 1777
    assert [chunk.sequence for chunk in ran.chunks] == list(range(len(ran.chunks)))


async def test_a_flood_is_stopped_in_constant_memory(sandbox: DockerSandbox) -> None:
    limits = BoxLimits(output_stop_bytes=64 * MIB, timeout_s=30)
    box = await sandbox.claim(BoxSpec("", limits), BoxOwner(), Deadline.after(60))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen_bytes = 0
    outcome = None
    async for event in box.run(Program(("yes",), b""), Deadline.after(60)):
        if isinstance(event, OutputChunk):
            seen_bytes += len(event.data)
        else:
            outcome = event
    await box.release()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.OUTPUT_LIMIT
    assert 64 * MIB < seen_bytes < 66 * MIB
    assert outcome.stdout is not None
    kept = len(outcome.stdout.head) + len(outcome.stdout.tail)
    assert kept + outcome.stdout.omitted_bytes == seen_bytes
    assert grown_kib < 16 * 1024


async def test_a_reader_that_stops_reading_slows_the_program_down_and_can_still_leave(
    sandbox: DockerSandbox,
) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(60))
    events = box.run(Program(("yes",), b""), Deadline.after(60))
    assert isinstance(await anext(events), OutputChunk)
    with anyio.fail_after(PATIENCE_S):
        while not await anyio.to_thread.run_sync(process_sleeps, box.id, "yes"):  # noqa: ASYNC110
            await anyio.sleep(0.05)
    # All buffers are full now: this is the state in which `docker kill` hangs.
    with anyio.fail_after(PATIENCE_S):
        await events.aclose()
        await box.release()
        await sandbox.close()


async def test_a_reader_that_pauses_gets_all_that_an_ended_program_wrote(
    sandbox: DockerSandbox,
) -> None:
    """The program ends with a full pipe of 1 MiB; PID 1 must not give up on it meanwhile."""
    size = 1_500_000
    code = f"import fcntl, os; fcntl.fcntl(1, 1031, 1 << 20); os.write(1, b'x' * {size})"
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(60))
    seen_bytes = 0
    outcome = None
    async for event in box.run(Program(("python3", "-c", code), b""), Deadline.after(60)):
        if isinstance(event, OutputChunk):
            if seen_bytes == 0:
                await anyio.sleep(2.5)  # longer than PID 1 would wait for a stuck pipe
            seen_bytes += len(event.data)
        else:
            outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert (seen_bytes, outcome.exit_code) == (size, 0)


async def test_a_program_that_closes_its_output_is_still_waited_for(
    sandbox: DockerSandbox,
) -> None:
    script = "echo said; exec <&- >&- 2>&-; sleep 0.3; exit 5"
    ran = await run_program(sandbox, "bash", "-c", script)
    assert (ran.stdout, ran.outcome.exit_code) == ("said\n", 5)


async def test_a_fork_bomb_ends_at_the_process_limit_and_leaves_the_engine_well(
    sandbox: DockerSandbox,
) -> None:
    code = (
        "import os, time\n"
        "n = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            while True:\n"
        "                try: os.fork()\n"
        "                except OSError: time.sleep(0.01)\n"
        "        n += 1\n"
        "except OSError as error:\n"
        "    print('stopped:', error.strerror)\n"
    )
    ran = await run_python(sandbox, code, BoxLimits(pids=48, timeout_s=20))
    assert ran.outcome.exit_code == 0, ran.stderr
    assert "temporarily unavailable" in ran.stdout
    assert (await run_program(sandbox, "echo", "fine")).stdout == "fine\n"


async def test_a_daemon_that_holds_the_pipes_does_not_hold_the_call(sandbox: DockerSandbox) -> None:
    script = "(setsid sleep 100 &) ; (setsid bash -c 'sleep 100; echo late' &) ; echo done"
    with anyio.fail_after(PATIENCE_S):
        ran = await run_program(sandbox, "bash", "-c", script)
    assert (ran.stdout, ran.outcome.exit_code) == ("done\n", 0)


async def test_a_full_disk_is_the_programs_own_error(sandbox: DockerSandbox) -> None:
    code = (
        "import errno\n"
        "for folder in ('/tmp', '/work', '/dev/shm'):\n"
        "    try:\n"
        "        with open(folder + '/big', 'wb', 0) as file:\n"
        "            while True: file.write(bytes(1 << 20))\n"
        "    except OSError as error:\n"
        "        print(folder, error.errno == errno.ENOSPC)\n"
    )
    limits = BoxLimits(disk_bytes=8 * MIB, shm_bytes=4 * MIB)
    ran = await run_python(sandbox, code, limits)
    assert ran.stdout == "/tmp True\n/work True\n/dev/shm True\n", ran.stderr
    assert (ran.outcome.exit_code, ran.outcome.oom_killed) == (0, False)


async def test_files_that_do_not_fit_into_the_box_are_reported_and_nothing_runs(
    sandbox: DockerSandbox,
) -> None:
    files = [InputFile("big", bytes(3 * MIB))]
    limits = BoxLimits(disk_bytes=1 * MIB)
    ran = await run_program(sandbox, "echo", "ran", limits=limits, work_files=files)
    assert "do not fit" in ran.outcome.lost
    assert (ran.outcome.not_started, ran.outcome.never_fits) == (True, True)
    assert (ran.outcome.exit_code, ran.stdout) == (None, "")


async def test_a_request_that_is_too_large_is_reported(sandbox: DockerSandbox) -> None:
    ran = await run_program(sandbox, "true", stdin=bytes(65 * MIB))
    assert "larger than 64 MiB" in ran.outcome.lost
    assert ran.outcome.never_fits


async def test_a_program_that_writes_byte_by_byte_does_not_make_a_chunk_of_each(
    sandbox: DockerSandbox,
) -> None:
    code = "import os\nfor _ in range(20_000): os.write(1, b'x')\n"
    ran = await run_python(sandbox, code)
    assert ran.stdout == "x" * 20_000
    assert len(ran.chunks) < 200


async def test_a_slow_reader_does_not_put_the_time_limit_off(sandbox: DockerSandbox) -> None:
    limits = BoxLimits(timeout_s=1)
    box = await sandbox.claim(BoxSpec("", limits), BoxOwner(), Deadline.after(60))
    program = Program(("yes",), b"")
    outcome = None
    async for event in box.run(program, Deadline.after(60)):
        await anyio.sleep(0.01)
        outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.TIME_LIMIT
    assert 1 <= outcome.duration_s < PATIENCE_S


async def test_a_quarter_of_a_cpu_is_not_exceeded(sandbox: DockerSandbox) -> None:
    code = (
        "import time\n"
        "begun = time.monotonic()\n"
        "while time.monotonic() < begun + 1: pass\n"
        "print(time.process_time() / (time.monotonic() - begun))\n"
    )
    ran = await run_python(sandbox, code, BoxLimits(cpus=0.25))
    assert float(ran.stdout) < 0.4, ran.stdout


async def test_cancel_ends_a_run_with_its_output(sandbox: DockerSandbox) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(60))
    program = Program(("bash", "-c", "echo started; sleep 100"), b"")
    outcome = None
    async for event in box.run(program, Deadline.after(60)):
        if isinstance(event, OutputChunk):
            await box.cancel()
        else:
            outcome = event
    await box.release()
    assert isinstance(outcome, SandboxOutcome)
    assert (outcome.stopped, outcome.signal) == (StopReason.CANCELLED, 9)
    assert outcome.stdout is not None
    assert outcome.stdout.head == b"started\n"


async def test_cancel_before_the_run_lets_nothing_run(sandbox: DockerSandbox) -> None:
    box = await sandbox.claim(BoxSpec("", BoxLimits()), BoxOwner(), Deadline.after(60))
    await box.cancel()
    events = [e async for e in box.run(Program(("echo", "ran"), b""), Deadline.after(60))]
    await box.release()
    (outcome,) = events
    assert isinstance(outcome, SandboxOutcome)
    assert outcome.stopped is StopReason.CANCELLED
