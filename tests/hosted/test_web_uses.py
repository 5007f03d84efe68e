"""How often one request may use a tool."""

from auxot_tools.hosted.web_uses import Uses
from auxot_tools.ports import HostedCall
from auxot_tools.types import Status


def call(request_id: str = "r", tenant: str = "ann") -> HostedCall:
    return HostedCall("toolu_1", {}, tenant, request_id=request_id)


def allowed(uses: Uses, request_id: str = "r", tenant: str = "ann") -> bool:
    return uses.refusal(call(request_id, tenant)) is None


def test_uses_beyond_the_limit_are_refused_in_words() -> None:
    uses = Uses("web_fetch", 2)
    assert [allowed(uses) for _ in range(4)] == [True, True, False, False]
    refusal = uses.refusal(call())
    assert refusal is not None
    assert refusal.status is Status.DENIED
    assert refusal.content[0]["text"].startswith("web_fetch was not run: ")


def test_requests_and_tenants_count_apart() -> None:
    uses = Uses("web_fetch", 1)
    assert allowed(uses)
    assert allowed(uses, "other")
    assert allowed(uses, tenant="bob")
    assert not allowed(uses)


def test_a_call_without_a_request_counts_alone() -> None:
    uses = Uses("web_fetch", 1)
    assert all(allowed(uses, "") for _ in range(5))


def test_memory_is_bounded_and_the_longest_unheard_of_is_forgotten() -> None:
    uses = Uses("web_fetch", 1, max_requests=2)
    assert allowed(uses, "a")
    assert allowed(uses, "b")
    assert not allowed(uses, "a")  # heard of again
    assert allowed(uses, "c")  # forgets b
    assert not allowed(uses, "a")
    assert allowed(uses, "b")
