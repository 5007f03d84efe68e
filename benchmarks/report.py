"""What a benchmark prints: rows of one table, and the aims with what was measured.

One job: text. Every time stands next to its ratio to the baseline of the same table, because only
the ratio says something on another machine.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.machine import TICKS_PER_S
from benchmarks.timing import Samples, ratio

_NAME = 34


@dataclass(frozen=True)
class Aim:
    """One promise, and what this run gave."""

    name: str
    limit: float
    sense: Literal["<=", ">="]
    measured: float | None  # None: this part was not run
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured <= self.limit if self.sense == "<=" else self.measured >= self.limit


@dataclass
class Report:
    """Prints as it goes, so that a run that is stopped has told something."""

    begun: float = field(default_factory=time.monotonic)

    def title(self, text: str) -> None:
        print(f"\n## {text}   [{time.monotonic() - self.begun:.0f} s]", flush=True)

    def note(self, text: str) -> None:
        print(f"   {text}", flush=True)

    def latencies(self, table: Mapping[str, Samples], bases: Sequence[str]) -> None:
        """p50, p95, p99 of each row, and its p50 as ratio to that of each base."""
        heads = "".join(f"{'/ ' + base:>16}" for base in bases)
        print(f"{'ms':{_NAME}}{'p50':>9}{'p95':>9}{'p99':>9}{'n':>6}{heads}")
        for name, samples in table.items():
            times = "".join(f"{samples.p(part) * 1000:9.2f}" for part in (0.5, 0.95, 0.99))
            parts = "".join(_ratio(samples.p(0.5), table, base) for base in bases)
            print(f"{name:{_NAME}}{times}{len(samples.times_s):6}{parts}", flush=True)

    def rates(self, table: Mapping[str, Samples], bases: Sequence[str]) -> None:
        """The same of closed loops, with calls per second as ratio to each base's."""
        heads = "".join(f"{'/ ' + base:>16}" for base in bases)
        head = f"{'calls/s':>9}{'p50 ms':>9}{'p95':>9}{'p99':>9}{'CPU ms':>8}{'busy':>6}"
        print(f"{'':{_NAME}}{head}{heads}")
        for name, samples in table.items():
            times = "".join(f"{samples.p(part) * 1000:9.2f}" for part in (0.5, 0.95, 0.99))
            cpu_ms = samples.cpu_s_per_call(TICKS_PER_S) * 1000
            parts = "".join(
                f"{ratio(samples.per_s, table[base].per_s):16.2f}"
                if base in table
                else f"{'-':>16}"
                for base in bases
            )
            busy = f"{cpu_ms:8.2f}{samples.busy_share:6.0%}"
            print(f"{name:{_NAME}}{samples.per_s:9.1f}{times}{busy}{parts}", flush=True)

    def aims(self, aims: Sequence[Aim]) -> None:
        """The last table; a part that was not run is told so."""
        self.title("Aims")
        print(f"{'aim':64}{'measured':>12}  met")
        words = {True: "yes", False: "NO", None: "-"}
        for aim in aims:
            text = f"{aim.name} {aim.sense} {aim.limit:g}{aim.unit}"
            got = "not run" if aim.measured is None else f"{aim.measured:.2f}{aim.unit}"
            print(f"{text:64}{got:>12}  {words[aim.is_met]}", flush=True)


def _ratio(value: float, table: Mapping[str, Samples], base: str) -> str:
    if base not in table:
        return f"{'-':>16}"
    return f"{ratio(value, table[base].p(0.5)):16.2f}"
