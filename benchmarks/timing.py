"""How calls are timed: one after the other and interleaved, or many in flight in a closed loop.

One job: numbers from calls. It knows nothing of what a call does. The times of one row are only
comparable with those of rows of the same table: they were taken in turn, under the same load.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import anyio

from auxot_tools.sandbox.measure import busy_and_idle_ticks, percentile, until_quiet

Call = Callable[[int], Awaitable[float]]  # client number -> seconds that its call took


@dataclass
class Samples:
    """Times of one kind of call, and what the machine did meanwhile."""

    times_s: list[float] = field(default_factory=list)
    span_s: float = 0.0  # of the closed loops
    looped: int = 0  # calls in them
    busy_ticks: int = 0
    idle_ticks: int = 0

    def p(self, part: float) -> float:
        return percentile(self.times_s, part)

    @property
    def per_s(self) -> float:
        return self.looped / self.span_s if self.span_s else 0.0

    @property
    def busy_share(self) -> float:
        """Of all CPUs of the machine, whoever used them."""
        ticks = self.busy_ticks + self.idle_ticks
        return self.busy_ticks / ticks if ticks else 0.0

    def cpu_s_per_call(self, ticks_per_s: int) -> float:
        """CPU time of the whole machine for one call: client, worker, engine and box."""
        return self.busy_ticks / ticks_per_s / self.looped if self.looped else 0.0


Table = dict[str, Samples]


async def in_turn(calls: Mapping[str, Call], rounds: int, *, quietly: bool = False) -> Table:
    """One call of each, ``rounds`` times over; ``quietly``: each waits for an idle machine."""
    table: Table = {name: Samples() for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            if quietly:
                await until_quiet()
            took_s = await call(0)
            if number:  # the first round warms up
                table[name].times_s.append(took_s)
    return table


async def many_at_once(
    calls: Mapping[str, Call], in_flight: int, seconds: float, blocks: int = 2
) -> Table:
    """A closed loop of ``in_flight`` clients for each, in blocks taken in turn."""
    table: Table = {name: Samples() for name in calls}
    for _ in range(blocks):
        for name, call in calls.items():
            await until_quiet()
            await closed_loop(call, table[name], in_flight, seconds / blocks)
    return table


async def closed_loop(call: Call, into: Samples, in_flight: int, seconds: float) -> None:
    """Each client calls again as soon as it is answered, until the time is over.

    The rate counts every call that began in time, over the time until the last had ended.
    """
    busy, idle = busy_and_idle_ticks()
    begun = time.perf_counter()

    async def client(number: int) -> None:
        while time.perf_counter() - begun < seconds:
            into.times_s.append(await call(number))
            into.looped += 1

    async with anyio.create_task_group() as tasks:
        for number in range(in_flight):
            tasks.start_soon(client, number)
    into.span_s += time.perf_counter() - begun
    busy_now, idle_now = busy_and_idle_ticks()
    into.busy_ticks += busy_now - busy
    into.idle_ticks += idle_now - idle


async def sustained_per_s(call: Call, in_flight: int, warm_up: int, seconds: float) -> Samples:
    """The rate after the first ``warm_up`` calls, which what was made ahead may have served."""
    await until_quiet()
    left = iter(range(warm_up))

    async def first(number: int) -> None:
        for _ in left:
            await call(number)

    async with anyio.create_task_group() as tasks:
        for number in range(in_flight):
            tasks.start_soon(first, number)
    samples = Samples()
    await closed_loop(call, samples, in_flight, seconds)
    return samples


def ratio(value: float, base: float) -> float:
    return value / base if base else 0.0
