"""The sandbox against bare starts of its interpreters, `docker run` and `exec`; and its peers.

Everything is measured in one run and interleaved, so that a busy machine slows all rows alike:
compare ratios, never milliseconds of two runs. CPU times are of the whole machine, so they say
something only when nothing else runs on it. The worker's default settings are used.

    .venv/bin/python -m benchmarks.bench_sandbox [--quick] [--only warm] [--part latency]
"""

import argparse
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from auxot_tools.ports import Isolation, Sandbox
from auxot_tools.sandbox.image import build_image
from auxot_tools.sandbox.measure import MODES, WORKLOADS
from benchmarks import peers
from benchmarks.baselines import bare_node, bare_python, docker_exec, docker_run
from benchmarks.boxes import calls_of, cancelling, first_outputs_of, keep_ready, opened
from benchmarks.grpc_path import worker
from benchmarks.machine import CORES, available_bytes, idle_cores, rss_bytes
from benchmarks.report import Aim, Report
from benchmarks.timing import (
    Call,
    Samples,
    Table,
    closed_loop,
    in_turn,
    many_at_once,
    ratio,
    sustained_per_s,
)

BARE, BARE_NODE, RUN, EXEC = "bare python3 -c", "bare node -e", "docker run", "docker exec"
IN_FLIGHT = (8, 32)


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    modes: tuple[Isolation, ...]
    rounds: int  # of what is kept between calls
    fresh_rounds: int  # of what makes a container each time
    seconds: float  # of one row of a closed loop
    sustained_s: float
    worker_calls: int
    idle_boxes: int
    idle_s: float


@dataclass
class Run:
    """One run: its plan, its image, what was found for the aims."""

    plan: Plan
    image: str
    report: Report = field(default_factory=Report)
    found: dict[str, float] = field(default_factory=dict)

    @property
    def kept(self) -> tuple[Isolation, ...]:
        """The modes whose boxes serve more than one call."""
        return tuple(mode for mode in self.plan.modes if mode != "call")

    def find(self, name: str, table: Table, row: str, base: str) -> None:
        """Keep the p50 ratio of two rows for the aims."""
        if row in table and base in table:
            self.found[name] = ratio(table[row].p(0.5), table[base].p(0.5))


async def latency(run: Run) -> None:
    """One call in flight."""
    with ExitStack() as stack:
        how, node = stack.enter_context(bare_node(run.image))
        execute = stack.enter_context(docker_exec(run.image))
        async with opened() as sandbox:
            keep_ready(sandbox)
            if run.kept:
                run.report.title("One call in flight, boxes that are kept")
                rows = {BARE: bare_python, **calls_of(sandbox, run.kept), BARE_NODE: node}
                table = await in_turn(rows, run.plan.rounds)
                run.report.latencies(table, [BARE, BARE_NODE])
                run.find("warm", table, "warm python", BARE)
            run.report.title("One call in flight, a container each; idle machine before each call")
            fresh = {**first_outputs_of(sandbox), **calls_of(sandbox, ("call",))}
            rows = {BARE: bare_python, BARE_NODE: node, EXEC: execute, RUN: docker_run(run.image)}
            rows |= fresh if "call" in run.plan.modes else {}
            table = await in_turn(rows, run.plan.fresh_rounds, quietly=True)
            run.report.latencies(table, [BARE, BARE_NODE, EXEC, RUN])
            run.report.note(f"{BARE_NODE}: {how}")
            run.find("claim", table, "call python, first output", BARE)
            run.find("node", table, "call javascript, first output", BARE_NODE)


async def throughput(run: Run) -> None:
    """Many calls in flight."""
    with docker_exec(run.image) as execute:
        async with opened() as sandbox:
            keep_ready(sandbox)
            for in_flight in IN_FLIGHT:
                run.report.title(f"{in_flight} calls in flight")
                languages = tuple(WORKLOADS) if in_flight == IN_FLIGHT[0] else ("python",)
                kept = calls_of(sandbox, run.kept, languages)
                for call in kept.values():  # makes the sessions and the warm boxes
                    await closed_loop(call, Samples(), in_flight, 0.05)
                rows = {BARE: bare_python, **kept, EXEC: execute}
                table = await many_at_once(rows, in_flight, run.plan.seconds)
                await _sustained(run, sandbox, table, in_flight)
                run.report.rates(table, [BARE, EXEC, RUN])
                if "warm python" in table and in_flight == IN_FLIGHT[0]:
                    run.found["rate"] = ratio(table["warm python"].per_s, table[BARE].per_s)
    run.report.note(f"CPU ms: of the whole machine ({CORES} cores) per call, clients included;")
    run.report.note("where busy is near 100 %, the CPUs are what bounds the rate")


async def _sustained(run: Run, sandbox: Sandbox, table: Table, in_flight: int) -> None:
    """What makes a container each time: measured after the ready ones are used up."""
    rows = {RUN: docker_run(run.image)}
    if "call" in run.plan.modes:
        languages = ("python", "javascript") if in_flight == IN_FLIGHT[0] else ("python",)
        rows |= calls_of(sandbox, ("call",), languages)
    for name, call in rows.items():
        warm_up = 2 * CORES
        table[name] = await sustained_per_s(call, in_flight, warm_up, run.plan.sustained_s)
    if "call python" in table and in_flight == IN_FLIGHT[0]:
        run.found["sustained"] = ratio(table["call python"].per_s, table[RUN].per_s)


async def idle(run: Run) -> None:
    """What ready boxes cost while nobody asks for them."""
    run.report.title("Ready boxes that nobody uses")
    without = await idle_cores(run.plan.idle_s)
    free = available_bytes()
    async with opened(ready=run.plan.idle_boxes) as sandbox:
        keep_ready(sandbox, ("python",))
        await until_ready(run.plan.idle_boxes)
        taken = free - available_bytes()
        with_them = await idle_cores(run.plan.idle_s)
    run.report.note(f"{run.plan.idle_boxes} boxes, {run.plan.idle_s:.0f} s, whole machine:")
    run.report.note(f"CPU {without:.4f} cores without them, {with_them:.4f} with them")
    run.report.note(f"memory {taken / run.plan.idle_boxes / 2**20:.1f} MiB for each, shim included")


async def until_ready(boxes: int) -> None:
    """The makers work until the target is reached; a quiet machine says that it is."""
    for _ in range(boxes):
        await anyio.sleep(0.5)  # a container takes 0.1 to 0.3 s
        if await idle_cores(0.5) < 0.05 * CORES:
            return


async def cancel(run: Run) -> None:
    """From the wish to cancel until everything is free again."""
    run.report.title("Cancelling a busy program that has children")
    async with opened() as sandbox, worker(run.plan.modes) as through:
        rows: dict[str, Call] = {}
        for mode in run.plan.modes:
            rows[mode] = cancelling(sandbox, mode)
            rows[f"{mode} through gRPC"] = through.cancelling(mode)
        table = await in_turn(rows, run.plan.fresh_rounds, quietly=True)
    run.report.latencies(table, [])
    run.found["cancel"] = max(samples.p(0.5) for samples in table.values()) * 1000


async def through_grpc(run: Run) -> None:
    """A real worker: gRPC, validation, executor, sandbox."""
    async with worker(run.plan.modes) as through:
        run.report.title("Through gRPC with validation, one call in flight")
        rows: dict[str, Call] = {BARE: bare_python}
        rows |= {f"{mode} python": through.call(mode) for mode in run.kept}
        table = await in_turn(rows, run.plan.rounds)
        run.report.latencies(table, [BARE])
        run.find("grpc", table, "warm python", BARE)
        if "call" in run.plan.modes:
            rows = {BARE: bare_python, "call python": through.call("call")}
            table = await in_turn(rows, run.plan.fresh_rounds, quietly=True)
            run.report.latencies(table, [BARE])
        if "warm" not in run.plan.modes:
            return
        for in_flight in IN_FLIGHT:
            run.report.title(f"Through gRPC with validation, {in_flight} calls in flight")
            rows = {BARE: bare_python, "warm python": through.call("warm")}
            run.report.rates(await many_at_once(rows, in_flight, run.plan.seconds), [BARE])


async def worker_memory(run: Run) -> None:
    """Resident memory of the worker over many calls."""
    if "warm" not in run.plan.modes:
        return
    async with worker(("warm",)) as through:
        run.report.title(f"Memory of the worker over {run.plan.worker_calls} warm calls")
        call, step = through.call("warm"), run.plan.worker_calls // 10
        sizes = []
        for _ in range(10):
            left = iter(range(step))

            async def client(number: int, left: "object" = left) -> None:
                for _ in left:  # type: ignore[attr-defined]
                    await call(number)

            async with anyio.create_task_group() as tasks:
                for number in range(8):
                    tasks.start_soon(client, number)
            sizes.append(rss_bytes(through.pid) / 2**20)
    run.report.note("MiB after each tenth: " + " ".join(f"{size:.1f}" for size in sizes))
    run.found["growth"] = sizes[-1] - sizes[4]


async def with_peers(run: Run) -> None:
    """Other sandboxes on the same root file system, when `deploy/ensure-bench-venv.sh` was run."""
    await peers.compare(run.report, run.image, run.plan.fresh_rounds, run.plan.modes)


PARTS: dict[str, Callable[[Run], Awaitable[None]]] = {
    "latency": latency,
    "throughput": throughput,
    "grpc": through_grpc,
    "cancel": cancel,
    "idle": idle,
    "memory": worker_memory,
    "peers": with_peers,
}


def aims(found: dict[str, float]) -> list[Aim]:
    """The promises of the sandbox."""
    get = found.get
    return [
        Aim("warm call at the sandbox / bare python3 -c", 0.40, "<=", get("warm")),
        Aim("warm call through gRPC / bare python3 -c", 0.45, "<=", get("grpc")),
        Aim("warm calls/s at 8 in flight / bare", 1.8, ">=", get("rate")),
        Aim("claim of a ready box to first output / bare", 0.40, "<=", get("claim")),
        Aim("claim of a ready Node.js to first output / node -e", 0.25, "<=", get("node")),
        Aim("sustained calls/s, a container each / docker run", 1.5, ">=", get("sustained")),
        Aim("cancel until all is free, slowest mode's p50", 200, "<=", get("cancel"), " ms"),
        Aim("worker's growth over the second half of its calls", 4, "<=", get("growth"), " MiB"),
    ]


def plan_of(arguments: argparse.Namespace) -> Plan:
    modes = tuple(arguments.only or MODES)
    if arguments.quick:
        return Plan(modes, 15, 4, 1.0, 3.0, 500, 2, 3.0)
    return Plan(modes, 150, 20, 4.0, 10.0, 10_000, 8, 20.0)


async def main(arguments: argparse.Namespace) -> None:
    image = (await anyio.to_thread.run_sync(build_image)).tag
    run = Run(plan_of(arguments), image)
    for name, part in PARTS.items():
        if not arguments.part or name in arguments.part:
            await part(run)
    run.report.aims(aims(run.found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the sandbox against bare starts.")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that all works")
    parser.add_argument("--only", action="append", choices=MODES, help="this mode; repeatable")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part; repeatable")
    logging.basicConfig(level=logging.WARNING)
    anyio.run(main, parser.parse_args(), backend_options={"use_uvloop": True})
