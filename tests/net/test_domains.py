"""Patterns of domains."""

import pytest

from auxot_tools.net.domains import domain_refusal


@pytest.mark.parametrize(
    ("pattern", "host", "is_covered"),
    [
        ("example.org", "example.org", True),
        ("example.org", "a.b.example.org", True),
        ("example.org", "badexample.org", False),
        ("example.org", "example.org.evil.test", False),
        ("example.org", "org", False),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("Example.ORG.", "A.EXAMPLE.org.", True),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "BÜCHER.example", True),
        ("org", "example.org", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("0.0.1", "10.0.0.1", False),
        ("*.0.0.1", "10.0.0.1", False),
        ("2001:db8::1", "2001:DB8:0::1", True),
        ("*", "example.org", False),
        ("", "example.org", False),
        ("*.", "example.org", False),
        ("http://example.org", "example.org", False),
    ],
)
def test_a_pattern_covers_what_it_says(pattern: str, host: str, is_covered: bool) -> None:
    assert (domain_refusal(host, (pattern,), ()) == "") == is_covered
    assert (domain_refusal(host, (), (pattern,)) == "a blocked domain") == is_covered


def test_without_lists_every_domain_may_be_reached() -> None:
    assert domain_refusal("example.org", (), ()) == ""


def test_what_is_blocked_is_blocked_also_when_it_is_allowed() -> None:
    allowed, blocked = ("example.org",), ("bad.example.org",)
    assert domain_refusal("good.example.org", allowed, blocked) == ""
    assert domain_refusal("a.bad.example.org", allowed, blocked) == "a blocked domain"
    assert domain_refusal("else.test", allowed, blocked) == "not an allowed domain"


@pytest.mark.parametrize("host", ["", "127.1", "a b", "a..b"])
def test_what_is_no_host_is_refused_without_lists_too(host: str) -> None:
    assert domain_refusal(host, (), ()) == "not a host name"
