"""The mutants: for each rule of `roundtrip` a router that breaks it, and nothing else.

One job: the table, and which other rules nothing can be said of then.
"""

from collections.abc import Mapping

from tests.mutants import of_answers, of_calls, of_streams
from tests.support.mutant_router import Mutant

MUTANTS: Mapping[str, Mutant] = {
    **of_answers.MUTANTS,
    **of_streams.MUTANTS,
    **of_calls.MUTANTS,
}
# Our router shows no call as server_tool_use, so nothing can be said of the names of those.
BLIND_IN_ANY_CASE = {"shapes.server-names"}
# What stands on something that this mutant breaks: it is not told as broken too.
BLIND: Mapping[str, set[str]] = {
    "shapes.answered": {"errors.unknown-path"},
    "shapes.status": {"shapes.max-tokens"},
    "errors.rate-limit": {"errors.retry-after"},
    "errors.refusal": {"errors.refusal-words"},
    "pairing.client-call-shown": {"is-error.client-flag"},
    "parallel.all-answered": {"parallel.in-order"},
    "parallel.client-all": {"parallel.client-order", "parallel.client-results"},
    "mixed.client-call": {"mixed.stop-reason", "mixed.result-taken", "mixed.paired"},
    "is-error.goes-on": {"is-error.bad-arguments"},
}


def blind(rule: str) -> set[str]:
    """Rules of which nothing can be said at the mutant of this rule."""
    return (BLIND_IN_ANY_CASE | BLIND.get(rule, set())) - {rule}
