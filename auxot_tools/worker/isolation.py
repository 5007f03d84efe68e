"""Chooses how the calls of a tool are isolated: what the tool asks for, capped by the operator.

One job: that choice. Pure: it must not know boxes, folders or settings.

    call     a container of its own for every call        always allowed
    warm     namespaces of its own in a container of the
             same tenant's                                 not allowed: `call` instead, as it is
                                                           stronger and a tool sees no difference
    session  a container that the session keeps            not allowed: no tool, as a tool that
                                                           needs what is kept would not work
"""

from dataclasses import dataclass
from typing import Literal

from auxot_tools.errors import ConfigError
from auxot_tools.ports import Isolation

DefaultIsolation = Literal["call", "warm"]


@dataclass(frozen=True, slots=True)
class IsolationPolicy:
    """The operator's word: ``default`` is for tools that ask for nothing."""

    default: DefaultIsolation = "call"
    allowed: frozenset[Isolation] = frozenset({"call", "warm", "session"})

    def offered(self) -> tuple[Isolation, ...]:
        """The isolation that calls can have here, the strongest first."""
        modes: tuple[Isolation, ...] = ("call", "warm", "session")
        return tuple(mode for mode in modes if mode == "call" or mode in self.allowed)


def chosen_isolation(asked: Isolation | None, policy: IsolationPolicy) -> Isolation:
    """The isolation of a tool that asks for ``asked``; ``None``: it says nothing.

    Raises ``ConfigError`` when the operator does not allow what the tool cannot do without.
    """
    wanted = asked or policy.default
    if wanted in policy.offered():
        return wanted
    if wanted == "session":
        raise ConfigError(
            ["it needs `isolation` session, which `sandbox.allowed_isolation` does not allow"]
        )
    return "call"
