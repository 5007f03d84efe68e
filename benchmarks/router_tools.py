"""What a tool round costs over its upstream calls, and how soon a call starts.

One job: requests with one call of a no-op tool through our router and a real gRPC worker, next to
the same two upstream calls on the bare stub.
"""

import re
from functools import partial
from typing import Any

from benchmarks.report import Report
from benchmarks.router_client import CALLED, Asker, body_of, closing
from benchmarks.router_process import Server
from benchmarks.router_stub import HOLD_S, WAITED
from benchmarks.router_worker import EAGER, NOOP, SCHEMA
from benchmarks.timing import Call, Samples, in_turn

Found = dict[str, float]
_WARM_UP = 20
_TOOL = {"name": NOOP, "description": "Does nothing.", "input_schema": SCHEMA}
_CALL = {"type": "tool_use", "id": "toolu_1", "name": NOOP, "input": {"number": 1}}
_RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
_ROUND: tuple[dict[str, Any], ...] = (
    {"role": "assistant", "content": [_CALL]},
    {"role": "user", "content": [_RESULT]},
)
_WAITED_S = re.compile(WAITED.encode() + rb"([\d.]+) ")

FIRST, SECOND = "bare: turn with the call", "bare: turn after its result"
STREAMING, BLOCKING = "one tool round, streaming", "one tool round, blocking"


async def tool_round(report: Report, upstream: Server, router: Server, rounds: int) -> Found:
    """A request with one round of one call, less its two upstream calls."""
    first = partial(body_of, NOOP, stream=True, tools=(_TOOL,))
    second = partial(body_of, NOOP, stream=True, tools=(_TOOL,), more=_ROUND)
    rows = {
        FIRST: Asker(upstream.target, first, expected=CALLED),
        SECOND: Asker(upstream.target, second),
        STREAMING: Asker(router.target, partial(body_of, NOOP, stream=True)),
        BLOCKING: Asker(router.target, partial(body_of, NOOP, stream=False)),
    }
    with closing(rows):
        for asker in rows.values():
            for _ in range(_WARM_UP):
                await asker(0)
        table = await in_turn(rows, rounds)
    report.title("A round with a tool that does nothing, through gRPC; one client")
    report.latencies(table, [])
    found: Found = {}
    bare_s = [a + b for a, b in zip(table[FIRST].times_s, table[SECOND].times_s, strict=True)]
    for name in (STREAMING, BLOCKING):
        pairs = zip(table[name].times_s, bare_s, strict=True)
        over = Samples([took_s - bare for took_s, bare in pairs])
        p50, p99 = (over.p(at) * 1000 for at in (0.5, 0.99))
        report.note(f"{name}: {p50:.2f} ms over its upstream calls at p50, {p99:.2f} ms at p99")
        found[name] = p50
    return found


async def start(report: Report, router: Server, rounds: int) -> Found:
    """From the call's `content_block_stop` to the tool's start; the turn goes on, or ends."""
    kinds = {
        f"eager, turn goes on {HOLD_S * 1000:.0f} ms": f"{EAGER}_hold",
        f"not eager, turn goes on {HOLD_S * 1000:.0f} ms": f"{NOOP}_hold",
        "eager, turn ends": f"{EAGER}_end",
        "not eager, turn ends": f"{NOOP}_end",
    }
    bodies = {name: partial(body_of, mode, stream=True) for name, mode in kinds.items()}
    rows = {name: Asker(router.target, make_body) for name, make_body in bodies.items()}
    with closing(rows):
        calls = {name: _waited(asker) for name, asker in rows.items()}
        table = await in_turn(calls, rounds)
    report.title("From content_block_stop to the tool's start, through gRPC")
    report.latencies(table, [])
    return {name: table[name].p(0.5) * 1000 for name in kinds}


def _waited(asker: Asker) -> Call:
    async def call(client: int) -> float:
        await asker(client)
        found = _WAITED_S.search(asker.body)
        if found is None:
            raise RuntimeError("the answer does not tell when the tool started")
        return float(found[1])

    return call
