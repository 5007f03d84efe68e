"""The router as a process: TLS, addresses that cannot be used, and its end."""

import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
import trustme
from anyio.abc import Process

from auxot_tools.errors import ConfigError
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.router.serve import Listener, open_socket, serve
from tests.support.running import CHEAP, KEY

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def router_process(home: Path, **settings: str) -> AsyncGenerator[tuple[Process, str], None]:
    """`auxot-tools router`; yields the process and its origin."""
    append_key(home / "keys.toml", KeyEntry(name="t", hash=CHEAP.hash(KEY)))
    environment = {"AUXOT_ROUTER__LISTEN": "127.0.0.1:0"} | settings
    process = await anyio.open_process(
        [sys.executable, "-m", "auxot_tools.cli.main", "router"],
        cwd=home,
        env=os.environ | environment,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        with anyio.fail_after(60):
            line = (await process.stdout.receive()).decode()
        yield process, line.split()[-1]
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    settings = {"AUXOT_ROUTER__TLS_CERT": "cert.pem", "AUXOT_ROUTER__TLS_KEY": "key.pem"}
    async with router_process(tmp_path, **settings) as (_, origin):
        assert origin.startswith("https://127.0.0.1:")
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{origin}/health", ssl=trusted) as response,
        ):
            told = await response.json()
    assert told == {
        "status": "ok",
        "tools": [],
        "providers": [{"name": "upstream", "online": True}],
    }


async def test_a_signal_ends_it_with_exit_code_0(tmp_path: Path) -> None:
    async with router_process(tmp_path) as (process, _):
        process.send_signal(signal.SIGTERM)
        with anyio.fail_after(30):
            assert await process.wait() == 0


class NoApp:
    """An app that is never reached."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    def give_up(self) -> None:
        raise AssertionError


def test_an_address_in_use_is_named() -> None:
    with open_socket(Listener("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"router\.listen: .*127\.0\.0\.1:{port}.*in use"):
            open_socket(Listener("127.0.0.1", port))


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(ConfigError, match=r"router\.listen"):
        open_socket(Listener("192.0.2.1", 8080))


async def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("no certificate")
    listener = Listener("127.0.0.1", 0, tmp_path / "cert.pem", tmp_path / "key.pem")
    with pytest.raises(ConfigError, match=r"router\.tls_cert"):
        await serve(NoApp(), listener, lambda _: None)
