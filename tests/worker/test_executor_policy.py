"""Policy, credentials, kept output and the audit log around programs in boxes."""

import json
from pathlib import Path

import anyio
import pytest

from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.ports import KeptOutput, SandboxOutcome
from auxot_tools.types import OutputChunk, Status
from auxot_tools.worker.audit import AuditLog
from auxot_tools.worker.executor import Equipment, Executor
from auxot_tools.worker.gate import Gate
from auxot_tools.worker.policy_file import LivePolicy
from auxot_tools.worker.registry import Registry
from tests.support.executor_calls import (
    FOREVER,
    a_call,
    assert_nothing_left,
    events_of,
    result_of,
    text_of,
)
from tests.support.fake_sandbox import FakeSandbox, Script, printing

pytestmark = pytest.mark.anyio
SECRET = "sk-123456"


def gate(tmp_path: Path, rule: str) -> Gate:
    path = tmp_path / "policy.toml"
    path.write_text(f"[[rules]]\n{rule}")
    return Gate(LivePolicy(path))


async def test_a_denied_call_runs_nothing_and_is_audited(
    registry: Registry, tmp_path: Path
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
    log = AuditLog(tmp_path / "audit.log")
    rule = "tools = ['alone']\naction = 'deny'"
    equipment = Equipment(gate=gate(tmp_path, rule), audit=log)
    executor = Executor(registry, sandbox, equipment)
    denied = await result_of(executor, a_call("alone", tenant="alice"))
    assert (denied.status, denied.is_error) == (Status.DENIED, True)
    assert sandbox.programs == []
    assert (await result_of(executor, a_call("run"))).status is Status.COMPLETED
    assert (await result_of(executor, a_call("nothing"))).status is Status.UNKNOWN_TOOL
    log.close()
    told = [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]
    assert [(one["key"], one["decision"], one["outcome"]) for one in told] == [
        ("alice", "denied", "denied"),
        ("", "allowed", "completed"),
        ("", "not_decided", "unknown_tool"),
    ]
    assert_nothing_left(executor, sandbox)


async def test_a_rule_lowers_the_programs_time_and_never_raises_it(
    registry: Registry, tmp_path: Path
) -> None:
    for time_s, expected in ((5, 5.0), (50, 20.0)):
        sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
        executor = Executor(
            registry, sandbox, Equipment(gate=gate(tmp_path, f"timeout_s = {time_s}"))
        )
        await result_of(executor, a_call("run"))
        assert [box.spec.limits.timeout_s for box in sandbox.boxes] == [expected]


async def test_calls_beyond_a_rules_places_wait_for_one_another(
    registry: Registry, tmp_path: Path
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
    equipment = Equipment(gate=gate(tmp_path, "concurrent_calls = 1"))
    executor = Executor(registry, sandbox, equipment, slots=4)
    results = []

    async def run() -> None:
        results.append(await result_of(executor, a_call("run")))

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(run)
    assert [one.status for one in results] == [Status.COMPLETED] * 4
    assert_nothing_left(executor, sandbox)


async def test_a_tool_sees_its_own_credentials_and_nobody_sees_them_again(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    pieces = (("stdout", b"key=sk-12"), ("stdout", b"3456 end"), ("stderr", SECRET.encode()))
    outcome = SandboxOutcome(
        exit_code=0,
        stdout=KeptOutput(b"key=sk-123456 end"),
        stderr=KeptOutput(SECRET.encode()),
    )
    sandbox = FakeSandbox(lambda _spec, _program: Script(pieces, outcome))
    equipment = Equipment(credentials=lambda tool: {"API_KEY": SECRET} if tool == "run" else {})
    executor = Executor(registry, sandbox, equipment)
    events = await events_of(executor, a_call("run"))
    said = b"".join(event.data for event in events if isinstance(event, OutputChunk))
    assert said == b"key=[credential API_KEY] end[credential API_KEY]"
    assert text_of(events[-1]).count("[credential API_KEY]") == 2  # type: ignore[arg-type]
    assert sandbox.programs[0].env == (("API_KEY", SECRET),)
    await result_of(executor, a_call("alone"))
    assert sandbox.programs[1].env == ()
    assert SECRET not in caplog.text + repr(events) + repr(sandbox.programs)


async def test_what_a_result_leaves_out_can_be_read_by_the_same_key(registry: Registry) -> None:
    whole = b"0123456789" * 100
    kept = KeptOutput(whole[:10], whole[-10:], len(whole) - 20)
    outcome = SandboxOutcome(exit_code=0, stdout=kept)
    script = Script((("stdout", whole[:600]), ("stdout", whole[600:])), outcome)
    store = OutputStore("worker", 2**20, 60)
    executor = Executor(
        registry, FakeSandbox(lambda _spec, _program: script), Equipment(outputs=store)
    )
    result = await result_of(executor, a_call("run", tenant="alice"))
    handle = result.output_handle
    note = f'[980 bytes left out; to read them: read_output, handle "{handle}", offset 10]'
    assert text_of(result) == f"0123456789\n{note}\n0123456789"
    assert store.find("alice", handle) == whole.decode()
    assert store.find("bob", handle) is None


async def test_without_a_store_the_result_names_no_handle(registry: Registry) -> None:
    outcome = SandboxOutcome(exit_code=0, stdout=KeptOutput(b"a", b"b", 7))
    script = Script((), outcome)
    executor = Executor(registry, FakeSandbox(lambda _spec, _program: script))
    result = await result_of(executor, a_call("run"))
    assert text_of(result) == "a\n[7 bytes left out]\nb"
    assert result.output_handle == ""


@pytest.mark.parametrize(
    ("said", "exit_code", "is_told"),
    [
        ("curl: (6) Could not resolve host: example.org", 6, True),
        ("socket.gaierror: [Errno -3] Temporary failure in name resolution", 1, True),
        ("Error: getaddrinfo EAI_AGAIN example.org", 1, True),
        ("curl: (6) Could not resolve host: example.org", 0, False),
        ("something else", 1, False),
    ],
)
async def test_a_program_that_misses_the_network_is_told_of_the_setting(
    registry: Registry, said: str, exit_code: int, is_told: bool
) -> None:
    outcome = SandboxOutcome(exit_code=exit_code, stderr=KeptOutput(said.encode()))
    sandbox = FakeSandbox(lambda _spec, _program: Script((), outcome))
    result = await result_of(Executor(registry, sandbox), a_call("run"))
    assert ('"network"' in text_of(result)) is is_told


async def test_one_key_cannot_take_the_whole_line(registry: Registry) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: FOREVER)
    executor = Executor(registry, sandbox, slots=2, max_waiting=38)
    async with anyio.create_task_group() as tasks:
        for _ in range(30):
            tasks.start_soon(result_of, executor, a_call("run", tenant="greedy"))
        await anyio.wait_all_tasks_blocked()
        refused = await result_of(executor, a_call("run", tenant="greedy"))
        assert (refused.status, "of this key" in text_of(refused)) == (Status.UNAVAILABLE, True)
        for _ in range(10):
            tasks.start_soon(result_of, executor, a_call("run", tenant="another"))
        await anyio.wait_all_tasks_blocked()
        assert executor.running_calls == 40
        tasks.cancel_scope.cancel()


async def test_calls_that_wait_for_a_person_keep_nobody_else_from_running(
    registry: Registry, tmp_path: Path
) -> None:
    sandbox = FakeSandbox(lambda _spec, _program: printing("x"))
    equipment = Equipment(gate=gate(tmp_path, "tools = ['run']\naction = 'ask'"))
    executor = Executor(registry, sandbox, equipment, slots=1, max_waiting=0)
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(result_of, executor, a_call("run"))
            await anyio.wait_all_tasks_blocked()
        assert equipment.gate.desk.waiting == 3
        assert (await result_of(executor, a_call("alone"))).status is Status.COMPLETED
        tasks.cancel_scope.cancel()
    assert executor.running_calls == 0
