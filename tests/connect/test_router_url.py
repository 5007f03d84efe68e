"""Where a router is: what Auxot's worker makes of an address, and where a key goes in clear."""

import pytest

from auxot_tools.connect.router_url import Candidate, candidates, in_clear, is_near


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("wss://auxot.com", "wss://auxot.com/ws"),
        ("wss://auxot.com/ws", "wss://auxot.com/ws"),
        ("ws://localhost:8080/other?x#y", "ws://localhost:8080/ws"),
        ("http://router:8080", "ws://router:8080/ws"),
        ("HTTPS://Router", "wss://Router/ws"),
        ("ws://[::1]:8080/", "ws://[::1]:8080/ws"),
    ],
)
def test_a_scheme_is_taken_at_its_word_and_the_path_is_always_ws(written: str, url: str) -> None:
    assert candidates(written) == (Candidate(url, url.startswith("wss")),)


@pytest.mark.parametrize("written", ["router:8080", "router:8080/x"])
def test_without_a_scheme_tls_comes_first(written: str) -> None:
    assert candidates(written) == (
        Candidate("wss://router:8080/ws", True, True),
        Candidate("ws://router:8080/ws", False, True),
    )


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.17.0.2", "192.168.1.1", "169.254.3.4", "::1", "fd00::1",
     "fe80::1%eth0", "::ffff:10.0.0.1"],
)  # fmt: skip
def test_loopback_and_private_addresses_are_near(address: str) -> None:
    assert is_near(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "100.64.0.1", "0.0.0.0", "::", "2606:4700::1111", "::ffff:8.8.8.8", "", "router"],
)
def test_all_others_are_not(address: str) -> None:
    assert not is_near(address)


GUESS, ASKED = Candidate("ws://r/ws", False, True), Candidate("ws://r/ws", False)


def test_a_guess_sends_the_key_in_clear_to_private_addresses_only() -> None:
    assert in_clear(GUESS, "10.0.0.1") == ("", "")
    refusal, _ = in_clear(GUESS, "8.8.8.8")
    assert refusal.endswith("write ws://r/ws if it shall be")
    assert in_clear(GUESS, "")[0] != ""


def test_who_writes_ws_gets_it_and_is_told_where_others_can_read_the_key() -> None:
    assert in_clear(ASKED, "127.0.0.1") == ("", "")
    assert in_clear(ASKED, "8.8.8.8") == (
        "",
        "the key goes to ws://r/ws in clear: without TLS others can read it",
    )
    assert in_clear(Candidate("wss://r/ws", True, True), "8.8.8.8") == ("", "")
