"""Which headers cross, and which refusals are asked again."""

import pytest

from auxot_tools.driver.upstreams import Upstream, forwarded_headers, returned_headers


def test_the_clients_headers_go_up_but_for_its_key_and_its_connection() -> None:
    sent = {"anthropic-beta": "a", "user-agent": "u", "x-api-key": "k", "cookie": "c", "te": "x"}
    sent |= {"x-forwarded-for": "1", "sec-fetch-mode": "cors", "auxot-events": "tool_output"}
    assert forwarded_headers(sent) == {"anthropic-beta": "a", "user-agent": "u"}


@pytest.mark.parametrize("value", ["req_€", "", "req_1"])
def test_an_upstreams_request_id_comes_back_when_a_header_can_hold_it(value: str) -> None:
    returned = returned_headers({"request-id": value})
    assert returned == ({"upstream-request-id": value} if value == "req_1" else {})


def test_a_header_that_cannot_be_passed_on_is_left_out() -> None:
    assert returned_headers({"x-ratelimit-cost": "5 €", "retry-after": "1"}) == {"retry-after": "1"}


def test_rate_limits_and_retry_hints_come_back_and_nothing_else() -> None:
    got = {
        "anthropic-ratelimit-tokens-remaining": "1",
        "retry-after": "2",
        "x-should-retry": "false",
        "set-cookie": "c",
        "server": "s",
        "request-id": "req_1",
    }
    assert returned_headers(got) == {
        "anthropic-ratelimit-tokens-remaining": "1",
        "retry-after": "2",
        "x-should-retry": "false",
        "upstream-request-id": "req_1",
    }


def test_the_operators_key_is_not_in_the_repr() -> None:
    assert "sk-secret" not in repr(Upstream("http://up", {"x-api-key": "sk-secret"}))
