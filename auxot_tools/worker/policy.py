"""What the operator allows: for a key and a tool the first rule that names both.

One job: finding that rule. Pure: it must not know files, clocks or how a call is run.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from auxot_tools.worker.validation import InputValidator

Action = Literal["allow", "deny", "ask"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for the calls that it names.

    ``keys`` and ``tools`` are patterns (`*`, `team-*`). ``arguments`` is a schema on top of the
    tool's own. The limits are for each key and tool by itself; ``timeout_s`` is the program's.
    Files that come with a call are refused where the input is judged (``arguments``, ``ask``): they
    can hold what the input only names. ``files`` lets them pass. ``reason`` is told to the model
    when a call is refused.
    """

    keys: tuple[str, ...] = ("*",)
    tools: tuple[str, ...] = ("*",)
    action: Action = "allow"
    arguments: InputValidator | None = None
    concurrent_calls: int | None = None
    calls_per_minute: int | None = None
    timeout_s: float | None = None
    files: bool = False
    reason: str = ""

    @property
    def judges_input(self) -> bool:
        return self.arguments is not None or self.action == "ask"


NO_RULE = Rule()


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules in order. A call that no rule names is allowed, without more limits."""

    rules: tuple[Rule, ...] = ()

    def rule_for(self, key: str, tool: str) -> Rule:
        """The first rule that names both."""
        for rule in self.rules:
            if _names(rule.keys, key) and _names(rule.tools, tool):
                return rule
        return NO_RULE


def _names(patterns: tuple[str, ...], name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
