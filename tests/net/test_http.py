"""The HTTP client: what comes, when it comes, and what is said when it does not."""

import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from auxot_tools.assembly.serving import serving
from auxot_tools.errors import DeadlineExceeded, RemoteProtocolError, Unavailable
from auxot_tools.net.http import ERROR_BODY_BYTES, HttpAnswer, HttpClient, HttpTimeouts

pytestmark = pytest.mark.anyio


def app_of(*pieces: bytes, status: int = 200, hold: anyio.Event | None = None) -> Any:
    """An app that sends `pieces`, and waits for `hold` before the last."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"text/plain"), (b"x-a", b"1"), (b"x-a", b"2")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for number, piece in enumerate(pieces):
            if hold is not None and number == len(pieces) - 1:
                await hold.wait()
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    return app


@asynccontextmanager
async def client(**timeouts: float) -> AsyncGenerator[HttpClient, None]:
    async with HttpClient(HttpTimeouts(**timeouts)) as http:
        yield http


@asynccontextmanager
async def asking(app: Any, **timeouts: float) -> AsyncGenerator[HttpAnswer, None]:
    """The answer of `app` to one request."""
    async with (
        serving(app) as origin,
        client(**timeouts) as http,
        http.post(origin, b"{}", {}) as answer,
    ):
        yield answer


async def test_pieces_arrive_before_the_answer_is_complete() -> None:
    hold = anyio.Event()
    app = app_of(b"first", b"second", hold=hold)
    async with asking(app) as answer:
        chunks = answer.chunks()
        assert await anext(chunks) == b"first"
        hold.set()
        assert await anext(chunks) == b"second"
        await chunks.aclose()
        assert answer.headers["x-a"] == "1"


async def test_a_silent_answer_is_given_up_after_the_idle_limit() -> None:
    hold = anyio.Event()
    async with asking(app_of(b"first", b"never", hold=hold), idle_s=0.1) as answer:
        with pytest.raises(RemoteProtocolError, match=r"sent nothing for 0\.1 s"):
            async for _ in answer.chunks():
                pass
        hold.set()


async def test_a_server_that_never_answers_is_given_up_after_the_first_byte_limit() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep(2)

    async with serving(silent) as origin, client(first_byte_s=0.1) as http:
        with pytest.raises(DeadlineExceeded, match="did not answer in time"):
            async with http.post(origin, b"{}", {}):
                raise AssertionError


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://host.invalid:80"])
async def test_a_server_that_is_not_there_cannot_be_reached(url: str) -> None:
    async with client() as http:
        with pytest.raises(Unavailable, match="cannot be reached"):
            async with http.post(url, b"{}", {}):
                raise AssertionError


async def test_what_is_no_http_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        async def hang_up() -> None:
            connection, _ = await anyio.to_thread.run_sync(listening.accept)
            connection.sendall(b"SSH-2.0-x\r\n")
            connection.close()

        async with anyio.create_task_group() as tasks, client() as http:
            tasks.start_soon(hang_up)
            with pytest.raises(Unavailable):
                async with http.post(f"http://127.0.0.1:{port}", b"{}", {}):
                    raise AssertionError


async def test_only_so_much_of_an_error_page_is_kept() -> None:
    async with asking(app_of(b"x" * 2**20, status=500)) as answer:
        assert answer.status == 500
        assert len(await answer.error_body()) == ERROR_BODY_BYTES


async def test_a_finished_answer_gives_its_connection_back() -> None:
    peers = set()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        peers.add(scope["client"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data", "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with serving(app) as origin, client() as http:
        for _ in range(3):
            async with http.post(origin, b"{}", {}) as answer:
                chunks = answer.chunks()
                assert await anext(chunks) == b"data"  # and the end is left unread
                await chunks.aclose()
    assert len(peers) == 1
