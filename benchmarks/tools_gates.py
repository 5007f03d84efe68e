"""What the gates add to a call: a policy, the audit log, redaction; of a hosted tool without work.

One job: executors that differ in nothing but their gates, and their calls in turn.
"""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.sandbox.host import HostSandbox
from auxot_tools.types import Deadline
from auxot_tools.worker.audit import AuditLog
from auxot_tools.worker.executor import Equipment, Executor
from auxot_tools.worker.gate import Gate
from auxot_tools.worker.policy_file import LivePolicy
from auxot_tools.worker.registry import Registry
from benchmarks.timing import Call
from benchmarks.tools_bare import awaited
from benchmarks.tools_bench import Bench
from benchmarks.tools_calls import Tools
from benchmarks.tools_lines import Line, in_pairs, more_ms, tell, tell_head

_NOOP, _LONG = "bench_noop", "bench_long"
_RULES = 100
_SECRET = "secret-of-the-benchmark/+42"
_LONG_BYTES = 2**20
_DIRECT, _NOTHING = "the tool called directly", "without gates"
_KINDS = {
    "100 rules": "the operator's say",
    "audit": "a written line",
    "credential": "no secrets out",
    "all": "all three",
}


class _Says:
    """A hosted tool whose answer is there already."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:  # noqa: ARG002
        return HostedAnswer.of(self._text)


async def gates(bench: Bench) -> None:
    """Each gate by itself and all of them, for a short answer and for one of 1 MiB."""
    noop, long = _Says("done"), _Says(("log line\n" * (_LONG_BYTES // 9))[:_LONG_BYTES])
    hosted = {_NOOP: noop, _LONG: long}
    async with _executors(bench.folder / "gates", hosted) as tools:
        for name, words in ((_NOOP, "4 bytes"), (_LONG, "1 MiB")):
            tell_head(bench.report, f"A hosted tool that does nothing, its answer {words}")
            calls: dict[str, Call] = {_DIRECT: awaited(partial(_direct, hosted[name]))}
            calls |= {kind: one.call(name, {}, "") for kind, one in tools.items()}
            table = await in_pairs(calls, bench.plan.hosted)
            lines = [Line("an executor's call", _DIRECT, _NOTHING, "checks, slots, bounds")]
            lines += [Line(f"+ {kind}", _NOTHING, kind, buys) for kind, buys in _KINDS.items()]
            tell(table, lines)
            bench.found[f"call {name}"] = more_ms(table, _DIRECT, _NOTHING)
            bench.found[f"gates {name}"] = more_ms(table, _NOTHING, "all")


async def _direct(tool: _Says) -> HostedAnswer:
    return await tool.answer(HostedCall("toolu_1", {}), Deadline.after(10))


@asynccontextmanager
async def _executors(
    folder: Path, hosted: Mapping[str, _Says]
) -> AsyncGenerator[dict[str, Tools], None]:
    """One executor without gates, one with each, one with all."""
    registry = _registry(folder / "tools", tuple(hosted))
    policy = _policy(folder / "policy.toml")
    secret = {"KEY": _SECRET}
    audits = [AuditLog(folder / "one.log"), AuditLog(folder / "all.log")]
    outputs = OutputStore("bench", 128 * 2**20, 900.0)

    def with_gates(
        *, rules: bool = False, audit: AuditLog | None = None, keys: bool = False
    ) -> Tools:
        gate = Gate(LivePolicy(policy if rules else None))
        own = secret if keys else {}
        equipment = Equipment(None, hosted, lambda _tool: own, outputs, audit, gate)
        return Tools(Executor(registry, sandbox, equipment))

    try:
        async with HostSandbox() as sandbox:  # nothing runs in it
            yield {
                _NOTHING: with_gates(),
                "100 rules": with_gates(rules=True),
                "audit": with_gates(audit=audits[0]),
                "credential": with_gates(keys=True),
                "all": with_gates(rules=True, audit=audits[1], keys=True),
            }
    finally:
        for audit in audits:
            audit.close()


def _registry(folder: Path, names: tuple[str, ...]) -> Registry:
    for name in names:
        (folder / name).mkdir(parents=True)
        schema = {"type": "object", "additionalProperties": False}
        declared = {"description": "Does nothing.", "input_schema": schema, "runs": "host"}
        (folder / name / "tool.json").write_text(json.dumps(declared), "utf-8")
    return Registry.load([folder], hosted=names)


def _policy(path: Path) -> Path:
    """Rules that all are gone through: only the last names these calls."""
    rules = [
        f'[[rules]]\nkeys = ["team-{number}-*"]\ntools = ["bash", "web_*"]\naction = "deny"\n'
        for number in range(_RULES - 1)
    ]
    rules.append('[[rules]]\ntools = ["bench_*"]\ncalls_per_minute = 1000000\n')
    path.write_text("\n".join(rules), "utf-8")
    return path
