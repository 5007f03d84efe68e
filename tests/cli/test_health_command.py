"""`auxot-tools health`: what a container's probe is told, and the exit code."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import anyio.to_thread
import pytest
import trustme
from click.testing import CliRunner

from auxot_tools.cli.main import cli
from auxot_tools.errors import AuxotError, ConfigError
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    with TemporaryDirectory(prefix="auxot-") as folder:
        yield Path(folder)


def health(which: str, **settings: str) -> str:
    """What the command says. Raises what `main` would tell, and exit with a code other than 0."""
    result = CliRunner().invoke(cli, ["health", which], env={"AUXOT_CONFIG": None, **settings})
    if result.exception is not None:
        raise result.exception
    return result.stdout.strip()


async def asked(**settings: str) -> str:
    """`health worker`, in a thread: it blocks, and the worker is served by this loop."""
    with anyio.fail_after(20):
        return await anyio.to_thread.run_sync(partial(health, "worker", **settings))


async def test_a_worker_is_asked_at_its_unix_socket_without_a_key(home: Path) -> None:
    address = f"unix:{home}/w.sock"
    async with served(FakeDispatcher(), address, key=KEY):
        assert await asked(AUXOT_WORKER__LISTEN=f"127.0.0.1:1,{address}") == "serving"


async def test_a_worker_on_every_address_is_asked_on_loopback() -> None:
    config = {"key": KEY, "allow_plaintext": True}
    async with served(FakeDispatcher(), "0.0.0.0:0", **config) as server:
        port = server.addresses[0].rpartition(":")[2]
        said = await asked(
            AUXOT_WORKER__LISTEN=f"0.0.0.0:{port}",
            AUXOT_WORKER__ALLOW_PLAINTEXT="true",
            AUXOT_WORKER_KEY=KEY,
        )
    assert said == "serving"


async def test_a_worker_that_cannot_run_anything_is_not_well(home: Path) -> None:
    address = f"unix:{home}/w.sock"
    async with served(FakeDispatcher(), address) as server:
        await server.set_serving(False)
        with pytest.raises(AuxotError, match="says NOT_SERVING"):
            await asked(AUXOT_WORKER__LISTEN=address)


async def test_where_nobody_listens_nobody_is_well(home: Path) -> None:
    with pytest.raises(AuxotError, match="no worker answers at unix:"):
        await asked(AUXOT_WORKER__LISTEN=f"unix:{home}/w.sock")
    with pytest.raises(AuxotError, match="no router answers at 127"):
        health("router", AUXOT_ROUTER__LISTEN="127.0.0.1:1")


def test_a_worker_with_tls_alone_is_told_to_listen_where_it_can_be_asked(tmp_path: Path) -> None:
    settings = {
        "AUXOT_WORKER__TLS_CERT": str(tmp_path / "c.pem"),
        "AUXOT_WORKER__TLS_KEY": str(tmp_path / "k.pem"),
    }
    with pytest.raises(ConfigError) as caught:
        health("worker", **settings)
    assert "unix:/path" in caught.value.mistakes[0]


@contextmanager
def router(status: int, body: bytes, certificate: trustme.LeafCert | None = None) -> Iterator[str]:
    """Something that answers as a router's `/health` might; gives `host:port`."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        if certificate is not None:
            context = trustme_context(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def trustme_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@pytest.mark.parametrize("state", ["ok", "degraded"])
def test_a_router_that_answers_is_well_also_without_its_worker(state: str) -> None:
    body = b'{"status": "%s", "tools": []}' % state.encode()
    with router(200, body) as address:
        assert health("router", AUXOT_ROUTER__LISTEN=address) == state


@pytest.mark.parametrize(
    ("status", "body"), [(500, b'{"status": "ok"}'), (200, b"<html>"), (200, b"[]"), (200, b"{}")]
)
def test_another_server_is_not_taken_for_a_router(status: int, body: bytes) -> None:
    with router(status, body) as address, pytest.raises(AuxotError, match=f"HTTP {status}"):
        health("router", AUXOT_ROUTER__LISTEN=address)


def test_a_router_with_tls_must_show_its_own_certificate(tmp_path: Path) -> None:
    mine, other = (trustme.CA().issue_cert("router.example.org") for _ in range(2))
    mine.cert_chain_pems[0].write_to_path(tmp_path / "c.pem")
    mine.private_key_pem.write_to_path(tmp_path / "k.pem")
    settings = {
        "AUXOT_ROUTER__TLS_CERT": str(tmp_path / "c.pem"),
        "AUXOT_ROUTER__TLS_KEY": str(tmp_path / "k.pem"),
    }
    with router(200, b'{"status": "ok"}', mine) as address:
        assert health("router", AUXOT_ROUTER__LISTEN=address, **settings) == "ok"
    with (
        router(200, b'{"status": "ok"}', other) as address,
        pytest.raises(AuxotError, match="no router answers"),
    ):
        health("router", AUXOT_ROUTER__LISTEN=address, **settings)
