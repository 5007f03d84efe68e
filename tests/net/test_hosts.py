"""The one spelling of a host."""

from ipaddress import ip_address

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.net.hosts import canonical_host, is_address

calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("typed", "spelled"),
    [
        ("Example.ORG", "example.org"),
        ("example.org.", "example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("ｅｘａｍｐｌｅ。ｏｒｇ", "example.org"),  # noqa: RUF001
        ("a_b.example", "a_b.example"),
        ("localhost", "localhost"),
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4.", "1.2.3.4"),
        ("①.2.3.④", "1.2.3.4"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("0x7f.example", "0x7f.example"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::FFFF:1.2.3.4", "::ffff:102:304"),
    ],
)
def test_a_host_is_spelled_one_way(typed: str, spelled: str) -> None:
    assert canonical_host(typed) == spelled


@pytest.mark.parametrize(
    "typed",
    [
        "", ".", "..", "a..b", "example.org..", ".example.org", "-a.example", "a" * 64 + ".example",
        "a." * 127 + "ab", "a b", "a/b", "a@b", "a%41", "a*b", "*.example", "a\x00b", "a\nb",
        "a\\b",
        "☃.example", "ü" * 900, "a" * 10_000, "½.example", "\u202ea.example", "a\ud800",
        "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "1.2.3.4.5", "1.2.3.256",
        "1.2.3", "1.2.3.08", "a.example.1", "a.0x1", "0x", "[::1]", "::1%lo", ":::", "1:2", ":",
        "::127.1",
    ],
)  # fmt: skip
def test_what_has_no_one_spelling_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        canonical_host(typed)


@calmly
@given(st.text(max_size=300))
def test_a_spelling_is_its_own_spelling(text: str) -> None:
    try:
        host = canonical_host(text)
    except ValueError:
        return
    assert host.isascii()
    assert canonical_host(host) == host
    assert is_address(host) == _parses(host)


def _parses(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
