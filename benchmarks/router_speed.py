"""How fast a router passes on what the upstream says: one client, many clients, one long stream.

One job: bare upstream, ours and LiteLLM asked in turn on one stub, and tables of what they took.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from benchmarks.report import Report
from benchmarks.router_client import Asker, body_of, closing
from benchmarks.router_process import Server
from benchmarks.timing import Samples, Table, closed_loop, ratio

BARE, OURS, LITELLM = "bare upstream", "auxot-tools", "LiteLLM"
# A stub that has its answer whole sends it in one write, in whichever form it is asked for; a
# stream of 50 deltas is 54 writes.
KINDS = (("blocking", "whole", False), ("streaming", "text", True))
Found = dict[str, float]

_NAME = 34
_WARM_UP = 30
_IN_A_ROW = 10  # answers of one, before the next is asked
_REST_S = 0.03
_SETTLE_S = 0.15
_SATURATED = 0.9  # of its core, by a router that many clients ask
_PACED_PART = 20  # of the long stream's deltas are sent one by one


@dataclass
class Load:
    """What one server did in a stretch of time."""

    samples: Samples = field(default_factory=Samples)
    done: int = 0  # requests or events
    cpu_s: float = 0.0  # for them, also after the last answer
    cpu_within_s: float = 0.0  # the part of it before that

    @property
    def cpu_ms_each(self) -> float:
        return self.cpu_s / self.done * 1000 if self.done else 0.0

    @property
    def per_cpu_s(self) -> float:
        return ratio(self.done, self.cpu_s)

    @property
    def core_share(self) -> float:
        return ratio(self.cpu_within_s, self.samples.span_s)


async def latency(report: Report, servers: Mapping[str, Server], rounds: int) -> Found:
    """One client that asks each in turn, some answers at a time."""
    found: Found = {}
    for kind, mode, stream in KINDS:
        make_body = partial(body_of, mode, stream=stream)
        with closing({n: Asker(s.target, make_body) for n, s in servers.items()}) as rows:
            wholes, firsts = await _in_blocks(rows, rounds)
        report.title(f"One client, {kind}: the whole answer")
        found |= _added(report, wholes, kind)
        if stream:
            report.title(f"One client, {kind}: the first event")
            found |= _added(report, firsts, "first event")
    return found


async def _in_blocks(rows: Mapping[str, Asker], rounds: int) -> tuple[Table, Table]:
    """Times of whole answers and of their first bytes.

    In blocks, because LiteLLM goes on for some milliseconds after an answer: that must fall on its
    own next answer, as with any client of it, and not on the one who is asked after it.
    """
    wholes: Table = {name: Samples() for name in rows}
    firsts: Table = {name: Samples() for name in rows}
    for asker in rows.values():
        for _ in range(_WARM_UP):  # connections, the key's hash, caches
            await asker(0)
    for _ in range(rounds // _IN_A_ROW):
        for name, asker in rows.items():
            await anyio.sleep(_REST_S)
            await asker(0)  # wakes all who have a part in it
            for _ in range(_IN_A_ROW):
                wholes[name].times_s.append(await asker(0))
                firsts[name].times_s.append(asker.first_s)
    return wholes, firsts


def _added(report: Report, table: Table, kind: str) -> Found:
    report.latencies(table, [BARE])
    found: Found = {}
    for name in (OURS, LITELLM):
        if name in table:
            p50, p99 = ((table[name].p(at) - table[BARE].p(at)) * 1000 for at in (0.5, 0.99))
            report.note(f"{name} adds {p50:.2f} ms at p50, {p99:.2f} ms at p99")
            found[f"{name} adds, {kind}"] = p50
    if LITELLM in table:
        share = ratio(found[f"{LITELLM} adds, {kind}"], found[f"{OURS} adds, {kind}"])
        report.note(f"LiteLLM adds {share:.1f} times as much")
    return found


async def throughput(
    report: Report, servers: Mapping[str, Server], clients: Sequence[int], blocks: Sequence[float]
) -> Found:
    """Clients that ask again as soon as they are answered; each router has one core."""
    found: Found = {}
    for kind, mode, stream in KINDS:
        for in_flight in clients:
            make_body = partial(body_of, mode, stream=stream)
            with closing({n: Asker(s.target, make_body) for n, s in servers.items()}) as rows:
                loads = await _closed_loops(rows, servers, in_flight, blocks)
            report.title(f"{in_flight} clients, {kind}, each router on one core")
            _tell_loads(loads, "requests")
            shares = {name: load.core_share for name, load in loads.items() if name != BARE}
            if in_flight > 1 and min(shares.values()) < _SATURATED:
                report.note("a router did not have its core for itself: something else runs here;")
                report.note("the rates say little, what was done in a second of CPU says more")
            if LITELLM in loads:
                ours, theirs = loads[OURS], loads[LITELLM]
                found[f"rate, {kind}, {in_flight}"] = ratio(
                    ours.samples.per_s, theirs.samples.per_s
                )
                found[f"CPU, {kind}, {in_flight}"] = ratio(ours.per_cpu_s, theirs.per_cpu_s)
    return found


async def _closed_loops(
    rows: Mapping[str, Asker],
    servers: Mapping[str, Server],
    in_flight: int,
    blocks: Sequence[float],
) -> dict[str, Load]:
    loads = {name: Load() for name in rows}
    for asker in rows.values():  # connections and caches
        await closed_loop(asker, Samples(), in_flight, _SETTLE_S)
    for seconds in blocks:
        for name, asker in rows.items():
            await anyio.sleep(_SETTLE_S)
            async with _counted(loads[name], servers[name]):
                await closed_loop(asker, loads[name].samples, in_flight, seconds)
    for load in loads.values():
        load.done = load.samples.looped
    return loads


@asynccontextmanager
async def _counted(load: Load, server: Server) -> AsyncGenerator[None, None]:
    """The server's CPU time, with what it does after its last answer, but for the core's share."""
    before_s = server.cpu_s
    yield
    load.cpu_within_s += server.cpu_s - before_s
    await anyio.sleep(_SETTLE_S)
    load.cpu_s += server.cpu_s - before_s


async def events(report: Report, servers: Mapping[str, Server], count: int, rounds: int) -> Found:
    """One stream of many deltas: as fast as they are read, and one by one as models send them."""
    found: Found = {}
    for mode, deltas, told in (
        ("long", count, "as fast as they are read"),
        ("paced", count // _PACED_PART, "one each millisecond: look at the CPU"),
    ):
        loads = await _long_streams(servers, mode, deltas, rounds)
        report.title(f"One stream of {deltas} deltas, {told}; each router on one core")
        _tell_loads(loads, "events")
        if LITELLM in loads:
            found[f"events, {mode}"] = ratio(loads[OURS].per_cpu_s, loads[LITELLM].per_cpu_s)
    return found


async def _long_streams(
    servers: Mapping[str, Server], mode: str, count: int, rounds: int
) -> dict[str, Load]:
    loads = {name: Load() for name in servers}
    short = partial(body_of, "text", stream=True)
    with closing({n: Asker(s.target, short) for n, s in servers.items()}) as rows:
        for asker in rows.values():
            for _ in range(_WARM_UP):
                await asker(0)
            asker.make_body = partial(body_of, mode, stream=True, number=count)
        for _ in range(rounds):
            for name, asker in rows.items():
                await anyio.sleep(_SETTLE_S)
                async with _counted(loads[name], servers[name]):
                    loads[name].samples.span_s += await asker(0)
                if asker.body.count(b"event: content_block_delta") != count:
                    raise RuntimeError(f"{name} lost events")
                loads[name].samples.looped += count
                loads[name].done += count
    return loads


def _tell_loads(loads: Mapping[str, Load], what: str) -> None:
    times = f"{'p50 ms':>9}{'p99':>9}" if what == "requests" else ""
    heads = f"{'CPU ms':>9}{'/CPU-s':>9}{'core':>6}{'/ ' + LITELLM:>12}{'same, CPU':>12}"
    print(f"{'':{_NAME}}{what + '/s':>11}{times}{heads}")
    base = loads.get(LITELLM)
    for name, load in loads.items():
        parts = [f"{name:{_NAME}}{load.samples.per_s:11.0f}"]
        if what == "requests":
            parts += [f"{load.samples.p(at) * 1000:9.2f}" for at in (0.5, 0.99)]
        parts.append(f"{load.cpu_ms_each:9.3f}{load.per_cpu_s:9.0f}{load.core_share:6.0%}")
        if base is not None:
            rate, cpu = load.samples.per_s / base.samples.per_s, load.per_cpu_s / base.per_cpu_s
            parts.append(f"{rate:12.2f}{cpu:12.2f}")
        print("".join(parts), flush=True)
