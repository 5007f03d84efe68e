"""Seconds and addresses on a command line: what is none is told, and never a traceback."""

import socket
from contextlib import closing

import pytest

from auxot_tools.cli.main import main
from auxot_tools.cli.option_values import listener_at
from auxot_tools.errors import ConfigError
from auxot_tools.router.serve import open_socket

URL = ["--url", "http://127.0.0.1:1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["roundtrip", *URL, "--quiet-s", "nan"],
        ["roundtrip", *URL, "--limit-s", "NaN"],
        ["doctor", "url", *URL, "--timeout", "nan"],
        ["doctor", "client", *URL, "--timeout", "nan"],
        ["doctor", "sketch", *URL, "--timeout", "nan"],
        ["call", "code_executor", "--timeout", "nan"],
    ],
)
def test_what_is_no_number_is_no_number_of_seconds(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "is no number of seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("9009", "127.0.0.1", 9009),
        (":9009", "127.0.0.1", 9009),
        ("localhost:0", "localhost", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_an_address_is_a_port_with_or_without_a_host(text: str, host: str, port: int) -> None:
    listener = listener_at(text, "--listen", "127.0.0.1:0")
    assert (listener.host, listener.port) == (host, port)


@pytest.mark.parametrize("text", ["", "host", "host:", "1:2:x", "65536", "-1", "9" * 5000, "٣"])
def test_what_is_no_address_is_told_with_one_that_is(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        listener_at(text, "--listen", "127.0.0.1:0")
    told = str(refused.value)
    assert told.startswith("--listen is ")
    assert "HOST:PORT or PORT, such as 127.0.0.1:0." in told
    assert len(told) < 200


def test_an_address_that_is_taken_is_told_in_one_short_line() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError) as refused:
            open_socket(listener_at(address, "--listen", "127.0.0.1:0"))
    assert str(refused.value) == f"--listen: cannot listen on {address}: address already in use"
