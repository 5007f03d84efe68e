"""Bare work and ours beside each other: pairs of calls, timed in turn, one printed line each.

One job: to time the calls of one table under the same load and to print what ours adds. It must not
know what any call does.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from auxot_tools.sandbox.measure import until_quiet
from benchmarks.report import Report
from benchmarks.timing import Call, Samples, Table, ratio

_LEAST_ROUNDS = 2  # measured ones, however slow the machine is: what is slower than that is seen
_SETTLE_S = 0.7  # at most: what a call leaves (a removal, a refill) took 0.6 s on two cores
_HEAD = ("tool", "against", "bare p50", "p95", "ours p50", "p95", "ratio", "more", "n", "buys")
_WIDTHS = (23, 26, 9, 8, 9, 8, 8, 9, 4)


@dataclass(frozen=True, slots=True)
class Line:
    """One line to print. ``bare`` and ``ours`` name rows; ``buys``: what the time is spent for."""

    tool: str
    bare: str
    ours: str
    buys: str


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often each call of a table is made: ``count`` times, or for ``seconds``."""

    count: int
    seconds: float


async def in_pairs(
    calls: Mapping[str, Call], rounds: Rounds, settled: Collection[str] = ()
) -> Table:
    """One call of each, over and over; the first round warms up.

    Before those in ``settled`` the machine gets a moment to do what the last call left, such as
    making the next box ready.
    """
    table: Table = {name: Samples() for name in calls}
    until = time.perf_counter() + rounds.seconds
    for number in range(rounds.count + 1):
        if number > _LEAST_ROUNDS and time.perf_counter() > until:
            break
        for name, call in calls.items():
            if name in settled:
                await until_quiet(_SETTLE_S)
            took_s = await call(0)
            if number:
                table[name].times_s.append(took_s)
    return table


def tell_head(report: Report, title: str) -> None:
    report.title(title)
    print(_row(_HEAD))


def tell(table: Table, lines: Sequence[Line]) -> None:
    """Milliseconds; ``ratio`` and ``more`` are of the medians."""
    for line in lines:
        bare, ours = table[line.bare], table[line.ours]
        numbers = (bare.p(0.5), bare.p(0.95), ours.p(0.5), ours.p(0.95))
        more_s = ours.p(0.5) - bare.p(0.5)
        cells = [line.tool, line.bare, *map(_ms, numbers)]
        cells += [f"{ratio(ours.p(0.5), bare.p(0.5)):.2f}", _ms(more_s), str(len(ours.times_s))]
        print(_row((*cells, line.buys)), flush=True)


def more_ms(table: Table, bare: str, ours: str) -> float:
    """What ours takes more at the median."""
    return (table[ours].p(0.5) - table[bare].p(0.5)) * 1000


def ratio_of(table: Table, bare: str, ours: str) -> float:
    return ratio(table[ours].p(0.5), table[bare].p(0.5))


def _row(cells: Sequence[str]) -> str:
    left, numbers, last = cells[:2], cells[2:-1], cells[-1]
    named = "".join(f"{cell:{width}}" for cell, width in zip(left, _WIDTHS, strict=False))
    counted = "".join(f"{cell:>{width}}" for cell, width in zip(numbers, _WIDTHS[2:], strict=True))
    return f"{named}{counted}  {last}"


def _ms(seconds: float) -> str:
    """Three digits that say something, whether it is a microsecond or a second."""
    ms = seconds * 1000
    places = 3 if abs(ms) < 1 else 2 if abs(ms) < 100 else 0
    return f"{ms:.{places}f}"
