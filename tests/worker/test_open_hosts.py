"""Which hosts the operator's list opens to a tool."""

import pytest

from auxot_tools.net.egress import HostList
from auxot_tools.worker.open_hosts import is_host, is_open


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        ("example.org", "example.org"),
        ("example.org", "EXAMPLE.org"),
        ("example.org:443", "example.org"),
        ("example.org:8443", "example.org:8443"),
        ("api.example.org", "*.example.org"),
        ("a.b.example.org", "*.example.org"),
        ("*.example.org", "*.example.org"),
        ("*.api.example.org", "*.example.org"),
        ("api.example.org:8443", "*.example.org:8443"),
        ("anything.at.all:1", "*"),
    ],
)
def test_an_entry_opens_what_it_covers(host: str, opened: str) -> None:
    assert is_open(host, ["other.example", opened])


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        ("example.org", "*.example.org"),
        ("*.example.org", "example.org"),
        ("*.example.org", "api.example.org"),
        ("badexample.org", "*.example.org"),
        ("example.org:8443", "example.org"),
        ("example.org", "example.org:443"),
        ("example.org.evil.example", "example.org"),
        ("example.com", "example.org"),
    ],
)
def test_an_entry_opens_nothing_more(host: str, opened: str) -> None:
    assert not is_open(host, [opened])


def test_nothing_is_open_by_default() -> None:
    assert not is_open("example.org", [])


@pytest.mark.parametrize(
    "text",
    ["example.org", "*.a-b.org", "localhost", "10.0.0.1:80", "x.org:65535", "a." * 125 + "org"],
)
def test_a_host_is_taken_and_the_way_out_takes_it_too(text: str) -> None:
    assert is_host(text)
    HostList.of([text])  # would raise


@pytest.mark.parametrize(
    "text",
    ["", "*", "*.", "https://example.org", "a..b", "-a.org", "a_b.org", "example.org:0",
     "example.org:123456", "example.org:65536", "example.org/x", "Example.org", "a." * 140 + "org",
     "user@example.org"],
)  # fmt: skip
def test_what_is_no_host_is_not_taken(text: str) -> None:
    assert not is_host(text)
