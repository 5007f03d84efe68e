"""Each tool against its bare work: the same program, file, request or slice without us.

A call goes through the executor of a worker in this process, as its configuration makes it; one
also through gRPC. Bare work and ours are interleaved in one run, so that a busy machine slows both
alike: compare ratios, never milliseconds of two runs.

    .venv/bin/python -m benchmarks.bench_tools [--quick] [--part hosted]
"""

import argparse
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.to_thread

from auxot_tools.sandbox.image import build_image
from benchmarks.report import Aim, Report
from benchmarks.tools_bench import Bench, Plan
from benchmarks.tools_boxed import code, editor, egress, get_command, kept, shell
from benchmarks.tools_calls import opened
from benchmarks.tools_gates import gates
from benchmarks.tools_hosted import memory, read_output, web
from benchmarks.tools_lines import Rounds
from benchmarks.tools_server import serving

PARTS: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "code": code,
    "kept": kept,
    "editor": editor,
    "shell": shell,
    "egress": egress,
    "memory": memory,
    "web": web,
    "read_output": read_output,
    "gates": gates,
}
FULL = Plan(Rounds(15, 40), Rounds(8, 20), Rounds(40, 15), Rounds(200, 10))
QUICK = Plan(Rounds(2, 5), Rounds(2, 4), Rounds(5, 2), Rounds(20, 1))


def aims(found: dict[str, float]) -> list[Aim]:
    """The promises of the tools."""
    get, ms = found.get, " ms"
    return [
        Aim("Python in a ready box / python3 -c", 1.5, "<=", get("code")),
        Aim("Python in a session over exec()", 20, "<=", get("session"), ms),
        Aim("bash over a kept bash", 20, "<=", get("bash"), ms),
        Aim("text editor over its program, slowest command", 5, "<=", get("editor"), ms),
        Aim("a script on the host over itself", 10, "<=", get("host"), ms),
        Aim("a hosted call over its work", 0.5, "<=", get("call bench_noop"), ms),
        Aim("policy, audit log and redaction add", 0.5, "<=", get("gates bench_noop"), ms),
        Aim("the same for an answer of 1 MiB", 2, "<=", get("gates bench_long"), ms),
        Aim("memory over its store, slowest command", 2, "<=", get("memory"), ms),
        Aim("web_fetch over GET, JSON", 5, "<=", get("fetch"), ms),
        Aim("web_fetch over GET and extraction, page", 20, "<=", get("page"), ms),
        Aim("web_search over GET", 5, "<=", get("search"), ms),
        Aim("a page of read_output over a slice", 1, "<=", get("output page"), ms),
    ]


async def main(arguments: argparse.Namespace) -> None:
    await anyio.to_thread.run_sync(build_image)
    report = Report()
    report.note(f"milliseconds; load of the machine at the start: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory(prefix="auxot-bench-") as folder:
        async with (
            serving() as origin,
            opened(Path(folder), origin, get_command(origin)) as tools,
        ):
            plan = QUICK if arguments.quick else FULL
            bench = Bench(plan, tools, origin, Path(folder), report)
            for name, part in PARTS.items():
                if not arguments.part or name in arguments.part:
                    await part(bench)
    report.aims(aims(bench.found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the tools against their bare work.")
    parser.add_argument("--quick", action="store_true", help="few calls: shows that all works")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part; repeatable")
    logging.basicConfig(level=logging.WARNING)
    anyio.run(main, parser.parse_args(), backend_options={"use_uvloop": True})
