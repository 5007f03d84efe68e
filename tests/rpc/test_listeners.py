"""Where a worker may listen: the whole rule as a table."""

import pytest

from auxot_tools.rpc.listeners import Address, ListenerConfig, listener_problems, parse_address

KEY = "k3y-0f-the-w0rker"
CERT = {"tls_cert": "c.pem", "tls_key": "k.pem"}
LOOPBACK = ("127.0.0.1:1", "127.9.9.9:1", "localhost:1", "[::1]:1", "LocalHost:1", "unix:/w.sock")
EXPOSED = ("0.0.0.0:1", "[::]:1", "192.168.1.2:1", "[fe80::1]:1", "worker.internal:1", "127.1:1")


@pytest.mark.parametrize("listen", LOOPBACK)
@pytest.mark.parametrize("settings", [{}, {"key": KEY}, CERT, {"allow_plaintext": True}])
def test_loopback_and_unix_need_neither_tls_nor_key(
    listen: str, settings: dict[str, object]
) -> None:
    assert listener_problems(ListenerConfig((listen,), **settings)) == ()  # type: ignore[arg-type]


@pytest.mark.parametrize("listen", EXPOSED)
@pytest.mark.parametrize(
    ("settings", "missing"),
    [
        ({}, ["TLS", "key"]),
        ({"key": KEY}, ["TLS"]),
        ({"allow_plaintext": True}, ["key"]),
        ({"allow_plaintext": True, "key": KEY}, []),
        (CERT, ["key"]),
        ({**CERT, "key": KEY}, []),
        ({**CERT, "tls_client_ca": "ca.pem"}, []),
        ({**CERT, "tls_client_ca": "ca.pem", "key": KEY}, []),
        ({**CERT, "allow_plaintext": True}, ["key"]),
    ],
)
def test_off_loopback_needs_tls_and_a_key_or_client_certificates(
    listen: str, settings: dict[str, object], missing: list[str]
) -> None:
    problems = listener_problems(ListenerConfig((listen,), **settings))  # type: ignore[arg-type]
    says = {"TLS": "without TLS", "key": "AUXOT_WORKER_KEY"}
    assert len(problems) == len(missing)
    for problem, what in zip(problems, missing, strict=True):
        assert says[what] in problem
        assert f"`{listen}`" in problem
        assert problem.startswith("worker.listen: ")


def test_one_exposed_address_among_many_is_enough() -> None:
    config = ListenerConfig(("127.0.0.1:1", "unix:/w.sock", "0.0.0.0:2"))
    problems = listener_problems(config)
    assert len(problems) == 2
    assert all("`0.0.0.0:2`" in problem and "127" not in problem for problem in problems)


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"tls_cert": "c.pem"}, "worker.tls_key"),
        ({"tls_key": "k.pem"}, "worker.tls_cert"),
        ({"tls_client_ca": "ca.pem"}, "worker.tls_client_ca"),
        ({"key": "two words"}, "AUXOT_WORKER_KEY"),
        ({"key": "clé"}, "AUXOT_WORKER_KEY"),
        ({"listen": ()}, "worker.listen"),
        ({"listen": ("127.0.0.1:1", "127.0.0.1:1")}, "twice"),
    ],
)
def test_what_does_not_go_together_is_named(settings: dict[str, object], setting: str) -> None:
    config = ListenerConfig(**{"listen": ("127.0.0.1:1",), **settings})  # type: ignore[arg-type]
    problems = listener_problems(config)
    assert len(problems) == 1
    assert setting in problems[0]


def test_every_problem_is_told_at_once_and_none_tells_the_key() -> None:
    config = ListenerConfig(("nonsense", "0.0.0.0:1"), key="a b", tls_cert="c.pem")
    problems = listener_problems(config)
    assert len(problems) == 4
    assert "a b" not in "".join(problems)
    assert "a b" not in repr(config)


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("127.0.0.1:50061", Address("127.0.0.1", 50061), "127.0.0.1:50061"),
        ("Worker-1.example:0", Address("worker-1.example", 0), "worker-1.example:0"),
        ("[0:0::1]:9", Address("::1", 9), "[::1]:9"),
        ("unix:/run/w.sock", Address(path="/run/w.sock"), "unix:/run/w.sock"),
        ("unix:///run/w.sock", Address(path="/run/w.sock"), "unix:/run/w.sock"),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address, written: str) -> None:
    assert parse_address(text) == address
    assert str(address) == written


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not an address"),
        ("localhost", "not an address"),
        (":50061", "not an address"),
        ("localhost:", "no port"),
        ("localhost:65536", "no port"),
        ("localhost:-1", "no port"),
        ("localhost:٣", "no port"),
        ("::1:50061", "without brackets"),
        ("[::g]:1", "not an IPv6"),
        ("http://localhost:1", "without brackets"),
        ("a b:1", "characters"),
        ("unix:", "absolute"),
        ("unix:run/w.sock", "absolute"),
        ("unix:/" + "x" * 107, "too long"),
    ],
)
def test_what_is_no_address_is_told_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_address(text)
