"""The router against the bare upstream and LiteLLM's proxy, and what a tool round costs.

One stub is the upstream of all, and everything is asked in turn in one run, so that the noise of
the machine falls on all alike: compare ratios, never milliseconds of two runs. Each router has a
core for itself, and shares it with nobody who is asked at the same time.

    .venv/bin/python -m benchmarks.bench_router [--quick] [--part latency]
"""

import argparse
import logging
import os
import resource
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from benchmarks.report import Aim, Report
from benchmarks.router_memory import memory, tell_heads
from benchmarks.router_process import LITELLM as LITELLM_PROGRAM
from benchmarks.router_process import OWN_CORE, Server, litellm, ours, stub, worker
from benchmarks.router_speed import BARE, LITELLM, OURS, events, latency, throughput
from benchmarks.router_tools import STREAMING, start, tool_round
from benchmarks.router_worker import EAGER, NOOP

SPEED = ("latency", "throughput", "events")
TOOLS = ("round", "start")
PARTS = (*SPEED, "memory", *TOOLS)
_OPEN_FILES = 16_384


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int  # of one client
    clients: tuple[int, ...]  # of closed loops
    blocks: tuple[float, ...]  # seconds of a closed loop, each
    deltas: int  # of the long stream
    long_streams: int
    streams: tuple[int, ...]  # that are open
    tool_rounds: int
    starts: int


FULL = Plan(600, (1, 16), (2.5, 2.5), 20_000, 3, (500, 1000), 300, 30)
QUICK = Plan(40, (16,), (0.6,), 3_000, 1, (100,), 30, 4)


@dataclass
class Run:
    """One run: its plan, its parts, what was found for the aims."""

    plan: Plan
    parts: tuple[str, ...]
    report: Report = field(default_factory=Report)
    found: dict[str, float] = field(default_factory=dict)
    has_litellm: bool = LITELLM_PROGRAM.exists()


@asynccontextmanager
async def routers(run: Run, upstream: Server) -> AsyncGenerator[Mapping[str, Server], None]:
    """Ours and, if it is installed, LiteLLM's, fresh."""
    async with AsyncExitStack() as stack:
        servers = {OURS: await stack.enter_async_context(ours(upstream))}
        if run.has_litellm:
            try:
                servers[LITELLM] = await stack.enter_async_context(litellm(upstream))
            except (RuntimeError, TimeoutError) as error:
                run.report.note(f"LiteLLM does not work here: {error}")
        yield servers


async def speed(run: Run, upstream: Server) -> None:
    """The parts that pass on what the upstream says."""
    plan, report = run.plan, run.report
    async with routers(run, upstream) as started:
        servers = {BARE: upstream, **started}
        if "latency" in run.parts:
            run.found |= await latency(report, servers, plan.rounds)
        if "throughput" in run.parts:
            run.found |= await throughput(report, servers, plan.clients, plan.blocks)
        if "events" in run.parts:
            run.found |= await events(report, servers, plan.deltas, plan.long_streams)


async def open_streams(run: Run, upstream: Server) -> None:
    """Memory of each router with streams that are open."""
    async with routers(run, upstream) as servers:
        run.report.title("Memory of a router with open streams")
        tell_heads()
        for name, server in servers.items():
            each = await memory(run.report, name, server, run.plan.streams)
            run.found[f"{name} KiB"] = each


async def tools(run: Run, upstream: Server) -> None:
    """The parts that call a tool."""
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        async with worker(Path(folder)) as address:
            settings = {
                "AUXOT_ROUTER__WORKER": address,
                "AUXOT_ALLOWED_TOOLS": f"{NOOP},{EAGER}",
            }
            async with ours(upstream, **settings) as router:
                if "round" in run.parts:
                    rounds = run.plan.tool_rounds
                    run.found |= await tool_round(run.report, upstream, router, rounds)
                if "start" in run.parts:
                    run.found |= await start(run.report, router, run.plan.starts)


def aims(found: dict[str, float]) -> list[Aim]:
    """The promises of the router."""
    get, added = found.get, f"{OURS} adds, "
    return [
        Aim("added at p50, one client, blocking", 1, "<=", get(added + "blocking"), " ms"),
        Aim("added at p50, one client, streaming", 1, "<=", get(added + "streaming"), " ms"),
        Aim("added to the first event at p50", 1, "<=", get(added + "first event"), " ms"),
        Aim("requests/s on one core / LiteLLM, blocking", 20, ">=", get("rate, blocking, 16")),
        Aim("requests/s on one core / LiteLLM, streaming", 20, ">=", get("rate, streaming, 16")),
        Aim("tool round over its upstream calls at p50", 5, "<=", get(STREAMING), " ms"),
    ]


async def main(arguments: argparse.Namespace) -> None:
    os.sched_setaffinity(0, {OWN_CORE})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _OPEN_FILES if most == resource.RLIM_INFINITY else min(most, _OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, most))  # a stream is up to four files
    run = Run(QUICK if arguments.quick else FULL, tuple(arguments.part or PARTS))
    if not run.has_litellm:
        run.report.note("LiteLLM is not installed: deploy/ensure-bench-venv.sh installs it")
    async with stub() as upstream:
        if set(run.parts) & set(SPEED):
            await speed(run, upstream)
        if "memory" in run.parts:
            await open_streams(run, upstream)
        if set(run.parts) & set(TOOLS):
            await tools(run, upstream)
    run.report.aims(aims(run.found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the router against its peers.")
    parser.add_argument("--quick", action="store_true", help="little of each: shows that all works")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part; repeatable")
    logging.basicConfig(level=logging.WARNING)
    anyio.run(main, parser.parse_args(), backend_options={"use_uvloop": True})
