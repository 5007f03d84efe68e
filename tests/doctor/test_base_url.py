"""A base URL as it was written: its parts, and what was perhaps meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.doctor.base_url import CANDIDATES, BaseUrl, Client, likely_root

HOST = "http://h:8080"
# as it was written -> scheme, host and port; and the path
WRITTEN = {
    "http://h:8080/api/anthropic": (HOST, "/api/anthropic"),
    " http://H:8080/a/ ": (HOST, "/a/"),
    "h:8080/a": (HOST, "/a"),
    "example.com/a": ("https://example.com", "/a"),
    "localhost": ("http://localhost", ""),
    "ws://h:8080/ws": (HOST, "/ws"),
    "wss://h": ("https://h", ""),
    "ANTHROPIC_BASE_URL=http://h:8080/a": (HOST, "/a"),
    "http://h:80/a": ("http://h", "/a"),
    "https://h:443": ("https://h", ""),
    "http://[::1]:8080/a": ("http://[::1]:8080", "/a"),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_what_was_meant_is_read(text: str) -> None:
    base = BaseUrl(text)
    assert base.problem == ""
    assert (base.origin(), base.path) == WRITTEN[text]


NO_URLS = ["", "  ", "http://", "ftp://h/", "http://$H/", "http://h:0/", "http://h:99999/"]


@pytest.mark.parametrize("text", [*NO_URLS, "http://a b/", "http://[::1/", "<url>"])
def test_what_is_no_url_has_a_problem_in_words(text: str) -> None:
    assert BaseUrl(text).problem.endswith(".")


def test_clients_append_what_they_append() -> None:
    assert BaseUrl("http://h/a/").asked_url == "http://h/a/v1/messages"
    assert BaseUrl("http://h/a/").literal_url == "http://h/a//v1/messages"
    assert BaseUrl("http://h/v1", Client.VERCEL).asked_url == "http://h/v1/messages"
    assert BaseUrl("http://h/a?b=c").asked_url == "http://h/a"  # the query swallows it


# path -> a root that must be tried
ROOTS = {
    "": "/api/anthropic",
    "/v1": "",
    "/proxy/openai/v1": "/proxy/anthropic",
    "/proxy/api/openai/v1/chat/completions": "/proxy/api/anthropic",
    "/API/ANTHROPIC/v1/v1/v1": "/api/anthropic",
    "/api/anthropic/v1/messages/count_tokens": "/api/anthropic",
    "//api//anthropic": "/api/anthropic",
    "/team": "/team/api/anthropic",
}


@pytest.mark.parametrize("path", ROOTS)
def test_what_was_perhaps_meant_is_among_the_few_that_are_tried(path: str) -> None:
    roots = BaseUrl(HOST + path).roots()
    assert ROOTS[path] in roots
    assert len(roots) <= CANDIDATES
    assert likely_root(BaseUrl(HOST + path)).endswith("/anthropic")


def test_nothing_secret_of_a_url_is_shown() -> None:
    base = BaseUrl("http://me:pass-word@h:8080/a?key=secret-key#part")
    assert base.shown == "http://h:8080/a?\u2026"
    assert "pass-word" not in base.clean + base.origin() + base.asked_url


@given(st.text(max_size=60))
def test_any_text_may_be_given(text: str) -> None:
    base = BaseUrl(text)
    assert isinstance(base.problem, str)
    if not base.problem:
        assert base.asked_url.startswith(base.origin())
        assert base.shown
        base.roots()
