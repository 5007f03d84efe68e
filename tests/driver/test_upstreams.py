"""Which headers cross, and which refusals are asked again."""

from auxot_tools.driver.upstreams import Upstream, forwarded_headers, returned_headers


def test_only_anthropic_headers_go_up() -> None:
    sent = {"anthropic-beta": "a", "anthropic-version": "v", "x-api-key": "k", "cookie": "c"}
    assert forwarded_headers(sent.items()) == {"anthropic-beta": "a", "anthropic-version": "v"}


def test_a_header_sent_twice_goes_up_with_both_values() -> None:
    sent = [("anthropic-beta", "a"), ("anthropic-beta", "b,c")]
    assert forwarded_headers(sent) == {"anthropic-beta": "a, b,c"}


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
