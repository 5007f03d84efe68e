"""URLs, taken apart strictly."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auxot_tools.errors import OutboundRefused
from auxot_tools.net.urls import Target, parse_url, redirect_target

calmly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://Example.ORG:443/A?b=C#d", "https://example.org/A?b=C"),
        ("http://example.org:8080?q", "http://example.org:8080/?q"),
        ("http://example.org:/", "http://example.org/"),
        ("http://example.org:00080/", "http://example.org/"),
        ("  http://example.org/ \n", "http://example.org/"),
        ("http://bücher.example/ü?ü=ü#ü", "http://xn--bcher-kva.example/%C3%BC?%C3%BC=%C3%BC"),
        ("http://[2001:DB8::0001]:81/", "http://[2001:db8::1]:81/"),
        ("http://a.example/%2e%2E/%zz", "http://a.example/%2e%2E/%zz"),
        ("http://a.example/<\"'>", "http://a.example/%3C%22'%3E"),
        ("http://a.example//b@c:d", "http://a.example//b@c:d"),
    ],
)
def test_a_url_has_one_spelling(typed: str, url: str) -> None:
    assert parse_url(typed).url == url
    assert parse_url(url).url == url


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "not complete"),
        ("example.org", "not complete"),
        ("//example.org/", "not complete"),
        ("http:example.org", "not complete"),
        ("mailto:a@b.example", "not complete"),
        ("ftp://example.org/", "Only `http` and `https`"),
        ("http:///path", "no valid host"),
        ("http://:80/", "no valid host"),
        ("http://a.example:b/", "no valid host"),
        ("http://[::1/", "no valid host"),
        ("http://::1/", "no valid host"),
        ("http://a[::1]/", "no valid host"),
        ("http://a.example:0/", "port"),
        ("http://a.example:65536/", "port"),
        ("http://a:b@example.org/", "user name or password"),
        ("http://@example.org/", "user name or password"),
        ("http://a.example/b c", "space or a control"),
        ("http://a.example/\r\nX: y", "space or a control"),
        ("http://a.example/\x00", "space or a control"),
        ("http://a.example/\u2028", "space or a control"),
        ("http://a.example\\b", "backslash"),
        ("http://127.1/", "four decimal numbers"),
        ("http://a%2eexample/", "not a host name"),
        ("http://[v1.x]/", "only IPv6 stands in brackets|not"),
        ("http://a.example/\ud800", "not a character"),
        ("http://a.example/" + "a" * 9000, "longer than 8192 bytes"),
        ("http://a.example/" + "ü" * 5000, "longer than 8192 bytes"),
    ],
)
def test_what_is_ambiguous_or_broken_is_refused_with_what_is_wrong(
    typed: str, problem: str
) -> None:
    with pytest.raises(OutboundRefused, match=problem):
        parse_url(typed)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://a.example:81/x"),
        ("x?y", "https://a.example:81/b/x?y"),
        ("?y", "https://a.example:81/b/c?y"),
        ("../x", "https://a.example:81/x"),
        ("//b.example/x", "https://b.example/x"),
        ("http://b.example", "http://b.example/"),
        ("#part", "https://a.example:81/b/c?q"),
        (" /a b ", "https://a.example:81/a%20b"),
        ("/\udcc3\udca9", "https://a.example:81/%C3%A9"),
    ],
)
def test_a_location_counts_from_where_it_was_said(location: str, url: str) -> None:
    base = Target("https", "a.example", 81, "/b/c?q")
    assert redirect_target(base, location).url == url


@calmly
@given(st.text(max_size=200))
def test_whatever_comes_is_a_url_or_refused(text: str) -> None:
    base = Target("https", "a.example", 443, "/b")
    for read in (parse_url, lambda typed: parse_url(f"http://{typed}")):
        try:
            target = read(text)
        except OutboundRefused:
            continue
        assert target.url.isascii()
        assert parse_url(target.url) == target
    try:
        assert redirect_target(base, text).url.isascii()
    except OutboundRefused:
        return
