"""What a tool asks for and what the operator allows, as one table."""

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.ports import Isolation
from auxot_tools.worker.isolation import IsolationPolicy, chosen_isolation

ALL: frozenset[Isolation] = frozenset({"call", "warm", "session"})
ONLY_CALL: frozenset[Isolation] = frozenset({"call"})


@pytest.mark.parametrize(
    ("asked", "policy", "chosen"),
    [
        (None, IsolationPolicy(), "call"),
        (None, IsolationPolicy("warm"), "warm"),
        (None, IsolationPolicy("warm", ONLY_CALL), "call"),
        ("call", IsolationPolicy("warm"), "call"),
        ("call", IsolationPolicy("call", frozenset({"warm"})), "call"),
        ("warm", IsolationPolicy("call", ALL), "warm"),
        ("warm", IsolationPolicy("call", ONLY_CALL), "call"),
        ("session", IsolationPolicy("call", ALL), "session"),
    ],
)
def test_the_tool_has_what_it_asks_for_or_what_is_stronger(
    asked: Isolation | None, policy: IsolationPolicy, chosen: str
) -> None:
    assert chosen_isolation(asked, policy) == chosen


def test_a_tool_that_needs_a_session_is_not_run_without_one() -> None:
    with pytest.raises(ConfigError, match="allowed_isolation"):
        chosen_isolation("session", IsolationPolicy("warm", frozenset({"call", "warm"})))


def test_call_is_always_offered() -> None:
    assert IsolationPolicy(allowed=frozenset()).offered() == ("call",)
    assert IsolationPolicy().offered() == ("call", "warm", "session")
