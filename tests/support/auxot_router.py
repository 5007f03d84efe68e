"""A stand-in for the open-source Auxot router, as far as its tools workers see it.

Written from the facts of its wire protocol (May 2026): one WebSocket path, a hello whose key is
checked against an Argon2id hash, `tool_job` frames, and results that are matched by
`parent_job_id` and `tool_call_id` alone, with a counter that every one of them lowers. Frames are
handled in order, and pings answered in that order too, as Go's library does it.
"""

import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import anyio
from aiohttp import WSMsgType, web
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from auxot_tools.types import JSON

TOOLS_KEY = "tls_" + "k" * 43
# Auxot's own parameters are t=3, m=65536, p=4; the form is the same, and a test needs no cost.
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, hash_len=32, salt_len=16)
WAIT_S = 10.0
_NOT_ENABLED = "tools workers not enabled on this router (AUXOT_TOOLS_KEY_HASH not set)"


@dataclass
class Round:
    """Calls of one turn of a model. ``pending`` is the router's counter; at 0 it goes on."""

    parent_job_id: str
    pending: int
    jobs: list[JSON] = field(default_factory=list)
    results: dict[str, JSON] = field(default_factory=dict)
    is_over: bool = False

    def result(self, call_id: str = "call_0") -> Any:
        return self.results[call_id].get("result")

    def error(self, call_id: str = "call_0") -> str:
        return str(self.results[call_id].get("error", ""))


@dataclass(eq=False)
class Link:
    """One worker's connection."""

    socket: web.WebSocketResponse
    request: web.Request
    hello: JSON
    worker_id: str

    @property
    def tools(self) -> list[str]:
        return list(self.hello["tools_capabilities"]["tools"])

    async def send(self, **frame: Any) -> None:
        await self.socket.send_str(json.dumps(frame))

    async def send_raw(self, data: str | bytes) -> None:
        send = self.socket.send_str if isinstance(data, str) else self.socket.send_bytes
        await send(data)  # type: ignore[arg-type]

    def drop(self) -> None:
        """Cut the connection: no close frame, nothing more is read or sent."""
        transport = self.request.transport
        if transport is not None:
            transport.abort()


@dataclass
class AuxotRouter:
    """``links`` are all connections that said a good hello, ``frames`` all that came on them.

    ``on_frame`` is called with each before it is handled, ``on_result`` with each result after it
    was counted. ``ack`` are more members of the hello_ack; ``silent``: no hello_ack ever;
    ``drop_first``: so many connections are cut right after it.
    ``reads`` is waited for before each frame is read.
    """

    key_hash: str = field(default_factory=lambda: _HASHER.hash(TOOLS_KEY))
    ack: JSON = field(default_factory=dict)
    silent: bool = False
    drop_first: int = 0
    url: str = ""
    links: list[Link] = field(default_factory=list)
    refused: int = 0
    frames: list[JSON] = field(default_factory=list)
    rounds: dict[str, Round] = field(default_factory=dict)
    dropped: list[JSON] = field(default_factory=list)
    on_frame: Callable[[Link, JSON], None] = lambda _link, _frame: None
    on_result: Callable[[Link, JSON], None] = lambda _link, _frame: None
    reads: anyio.Event | None = None
    appeared: anyio.Event = field(default_factory=anyio.Event)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def address(self) -> str:
        return self.url.split("/")[2]

    @property
    def link(self) -> Link:
        """The newest connection."""
        return self.links[-1]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that frames and connections change. Raises `TimeoutError`."""
        with anyio.fail_after(WAIT_S):
            while not holds():
                await self._changed.wait()

    async def connected(self, times: int = 1) -> Link:
        await self.until(lambda: len(self.links) >= times)
        return self.link

    def frames_of(self, kind: str) -> list[JSON]:
        return [frame for frame in self.frames if frame.get("type") == kind]

    async def begin(self, *calls: tuple[str, Any], **job: Any) -> Round:
        """Send the calls of one turn, each a name and arguments, to the newest worker."""
        parent = job.pop("parent_job_id", f"chatcmpl-{uuid4().hex[:24]}")
        begun = self.rounds[parent] = Round(parent, len(calls))
        for number, (name, arguments) in enumerate(calls):
            sent = {
                "type": "tool_job",
                "job_id": uuid4().hex,
                "parent_job_id": parent,
                "tool_name": name,
                "tool_call_id": f"call_{number}",
                "arguments": arguments,
            } | job
            begun.jobs.append(sent)
            await self.link.send(**sent)
        return begun

    async def over(self, begun: Round) -> Round:
        """Wait until the router would go on with the model."""
        await self.until(lambda: begun.is_over)
        return begun

    async def call(self, name: str, arguments: Any, **job: Any) -> Round:
        """One call, to its end."""
        return await self.over(await self.begin((name, arguments), **job))

    def _record(self, frame: JSON) -> None:
        """Whoever sent it, whichever job it names: only these two count."""
        begun = self.rounds.get(frame.get("parent_job_id", ""))
        known = begun is not None and any(
            job["tool_call_id"] == frame.get("tool_call_id") for job in begun.jobs
        )
        if begun is None or begun.is_over or not known:
            self.dropped.append(frame)
            return
        begun.results[frame["tool_call_id"]] = frame
        begun.pending -= 1
        begun.is_over = begun.pending <= 0

    def note(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """One connection; the first frame decides."""
        socket = web.WebSocketResponse(max_msg_size=0, compress=False, timeout=1)
        await socket.prepare(request)
        first = await socket.receive()
        try:
            hello = json.loads(first.data)
        except (ValueError, TypeError):
            hello = {}
        if hello.get("type") != "hello":
            return socket  # closed without a word
        if not await self._let_in(socket, hello):
            self.refused += 1
            self.note()
            return socket
        link = Link(socket, request, hello, uuid4().hex)
        if not self.silent:
            ack = {"type": "hello_ack", "success": True, "gpu_id": link.worker_id} | self.ack
            await socket.send_str(json.dumps(ack))
        self.links.append(link)
        self.appeared.set()
        self.note()
        if len(self.links) <= self.drop_first:
            link.drop()
        await self._read(link)
        return socket

    async def _let_in(self, socket: web.WebSocketResponse, hello: JSON) -> bool:
        error = "" if self.key_hash else _NOT_ENABLED
        if not error:
            try:
                _HASHER.verify(self.key_hash, hello.get("gpu_key", ""))
            except VerificationError:
                error = "authentication failed"
        if error:
            await socket.send_str(json.dumps({"type": "error", "error": error}))
        return not error

    async def _read(self, link: Link) -> None:
        while True:
            if self.reads is not None:
                await self.reads.wait()
            message = await link.socket.receive()
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                self.note()
                return
            frame = json.loads(message.data)
            self.frames.append(frame)
            self.on_frame(link, frame)
            if frame["type"] == "heartbeat":
                await link.send(type="heartbeat_ack")
            if frame["type"] == "tool_result":
                self._record(frame)
                self.on_result(link, frame)
            self.note()


@asynccontextmanager
async def auxot_router(
    tls: ssl.SSLContext | None = None, port: int = 0, **options: Any
) -> AsyncGenerator[AuxotRouter, None]:
    """A router on a loopback port (0: of the system's choice); leaving drops its workers."""
    router = AuxotRouter(**options)
    app = web.Application()
    app.router.add_get("/ws", router.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        listening = runner.addresses[0][1]
        router.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{listening}/ws"
        yield router
    finally:
        if router.reads is not None:
            router.reads.set()
        for link in router.links:
            link.drop()
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
