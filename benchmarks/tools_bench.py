"""What the parts of the tools' benchmark share: how much is measured, with what, what was found.

One job: these values. It starts nothing.
"""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import Report
from benchmarks.tools_calls import Tools
from benchmarks.tools_lines import Rounds


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    boxed: Rounds  # of what uses a box up
    egress: Rounds  # of what uses one up that is not made ahead
    kept: Rounds  # of programs in a box that is kept
    hosted: Rounds  # of what starts no program


@dataclass
class Bench:
    """One run. ``origin`` is the server's, ``folder`` the run's own."""

    plan: Plan
    tools: Tools
    origin: str
    folder: Path
    report: Report
    found: dict[str, float] = field(default_factory=dict)
