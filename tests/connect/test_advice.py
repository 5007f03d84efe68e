"""What an operator is told of a key: its kind, what to do, and never the key."""

import pytest

from auxot_tools.connect.advice import final_advice, tenant_of

SECRET = "do-not-show-me"
WRONG = "authentication failed"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (f"tls_{SECRET}", "of the right kind (`tls_…`), so it is an old one, or another router's"),
        (f"adm_{SECRET}", "`adm_`, so it is a GPU worker's key; a tools worker needs the `tls_…`"),
        (f"rtr_{SECRET}", "`rtr_`, so it is an API caller's key"),
        (f"tools.1.{SECRET}", "a connector key (`tools.…`) of Auxot Server"),
        (SECRET, "It begins with no prefix of Auxot's keys"),
    ],
)
def test_the_kind_of_a_wrong_key_is_told_without_the_key(key: str, said: str) -> None:
    advice = final_advice(WRONG, key, "ws://router/ws")
    assert said in advice
    assert "setup --new-tools-key" in advice
    assert "ws://router/ws" in advice
    assert SECRET not in advice


def test_a_router_without_tools_workers_is_told_as_that() -> None:
    error = "tools workers not enabled on this router (AUXOT_TOOLS_KEY_HASH not set)"
    assert "takes no tools workers" in final_advice(error, "tls_x", "r")


@pytest.mark.parametrize(
    "error",
    [
        "",
        "try later",
        "too many workers",
        "authentication backend timed out, try again",
        "authentication failed: the store is away",
    ],
)
def test_what_may_come_right_is_not_final(error: str) -> None:
    assert final_advice(error, "tls_x", "r") == ""


def test_a_key_is_a_tenant_and_its_name_gives_nothing_away() -> None:
    assert tenant_of(f"tools.team-7.{SECRET}") == "auxot-team-7"
    first, second = tenant_of(f"tls_{SECRET}"), tenant_of("tls_other")
    assert first.startswith("auxot-")
    assert first != second
    assert tenant_of(f"tls_{SECRET}") == first
    assert SECRET not in first
    assert len(tenant_of("tools." + "x" * 200 + ".y")) < 30
