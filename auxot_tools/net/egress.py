"""The proxy that is a sandbox's only way to the network: to the hosts that its tool may reach.

One job: take connections of one box, ask whether the host is on the box's list, carry bytes. Whom
an address belongs to, and whether it may be reached at all, is judged by whoever connects
(`Connect`). What a request says is read by `proxy_request`. It must not know boxes, nor tools.

The other side is hostile: everything of it is bounded, and nothing of it is repeated in a log or an
answer but the names of hosts, whose characters are few.
"""

import logging
import math
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol, Self

import anyio
from anyio import BrokenResourceError, ClosedResourceError, EndOfStream
from anyio.abc import ByteStream, TaskGroup

from auxot_tools.errors import AuxotError, DeadlineExceeded, OutboundRefused
from auxot_tools.net.proxy_request import Asked, NotServed, RequestReader, is_host_name, is_port
from auxot_tools.net.unix_socket import accept
from auxot_tools.types import Deadline

log = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 2**10  # the most that is held of one direction of a connection
BACKLOG = 16  # of the kernel's, for connections that wait to be taken
_SHOWN_HOSTS = 8  # of a list, in an answer
_LINGER_S, _LINGER_BYTES = 1.0, 256 * 2**10  # of a refused request that are read to let it see why
_REFUSED_PAUSE_S = 0.1  # between refusals, while every connection is in use
_WEB_PORTS = frozenset({80, 443})
_GONE = (BrokenResourceError, ClosedResourceError)


class Connect(Protocol):
    """Opens a TCP connection to a host whose name the caller has allowed."""

    async def __call__(self, host: str, port: int, deadline: Deadline, /) -> ByteStream:
        """Resolves once, judges every address, and connects to the very one that was judged.

        Raises `OutboundRefused`, `OutboundFailed` or another `AuxotError`.
        """
        ...


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Of one box. Bytes are not counted: they cost the box its time, and us one piece at a time."""

    connections: int = 16  # at once; one more waits for `slot_wait_s`
    slot_wait_s: float = 5.0
    per_s: float = 50.0  # connections taken on the average; each costs our event loop about 0.5 ms
    burst: int = 64
    head_s: float = 10.0  # for a request's head to come
    connect_s: float = 20.0  # names and all addresses included
    idle_s: float = 60.0  # without a byte in any direction
    total_s: float = 3600.0  # as long as the longest call


class HostList:
    """What one box may reach, as `BoxSpec.hosts` has it."""

    def __init__(
        self, exact: frozenset[tuple[str, int]], below: frozenset[tuple[str, int]]
    ) -> None:
        self._exact = exact
        self._below = below
        self._told = ""

    @classmethod
    def of(cls, hosts: Iterable[str]) -> Self:
        """Raises `ValueError` for what is no host, `*.HOST`, or either with `:PORT`."""
        exact: set[tuple[str, int]] = set()
        below: set[tuple[str, int]] = set()
        names = list(hosts)
        for entry in names:
            name, colon, port = entry.lower().partition(":")
            parent = name.removeprefix("*.")
            if not is_host_name(parent) or (colon and not is_port(port)):
                raise ValueError(entry)
            ports = frozenset({int(port)}) if colon else _WEB_PORTS
            (exact if parent == name else below).update((parent, number) for number in ports)
        made = cls(frozenset(exact), frozenset(below))
        more = f" and {len(names) - _SHOWN_HOSTS} more" if len(names) > _SHOWN_HOSTS else ""
        made._told = ", ".join(names[:_SHOWN_HOSTS]) + more
        return made

    def __str__(self) -> str:
        """For an answer to the box: the first of them."""
        return self._told

    def allows(self, host: str, port: int) -> bool:
        """Addresses only as they are listed, in no other of their spellings."""
        if (host, port) in self._exact:
            return True
        if ":" in host or _ends_in_a_number(host):
            return False
        labels = host.split(".")
        parents = (".".join(labels[start:]) for start in range(1, len(labels)))
        return any((parent, port) in self._below for parent in parents)


def _ends_in_a_number(host: str) -> bool:
    """As every host does that a resolver could take for an address (`127.1`, `0x7f.1`)."""
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")


class EgressProxy:
    """Serves the boxes of one worker, each at a socket of its own."""

    def __init__(self, connect: Connect, limits: EgressLimits | None = None) -> None:
        self._connect = connect
        self._limits = limits or EgressLimits()

    async def serve(self, listener: socket.socket, hosts: HostList) -> None:
        """Serve one box at a listening unix socket, until cancelled: that ends its connections, and
        closes the listener.
        """
        with listener:
            async with anyio.create_task_group() as tasks:
                await _Door(self._connect, self._limits, hosts, listener).serve(tasks)


class _Door:
    """One box's: its list, and its connections."""

    def __init__(
        self, connect: Connect, limits: EgressLimits, hosts: HostList, listener: socket.socket
    ) -> None:
        self._connect = connect
        self._limits = limits
        self._hosts = hosts
        self._listener = listener
        self._slots = anyio.Semaphore(limits.connections)
        self._next_at = -math.inf  # when the next connection is due, at the average rate

    async def serve(self, tasks: TaskGroup) -> None:
        patience_s = self._limits.slot_wait_s
        while True:
            await self._keep_pace()
            try:
                client = await accept(self._listener)
            except OSError:  # no descriptor left in this process, or the client has gone
                await anyio.sleep(_REFUSED_PAUSE_S)
                continue
            has_slot = False
            try:
                with anyio.move_on_after(patience_s):
                    await self._slots.acquire()
                    has_slot = True
            finally:
                if not has_slot:
                    await self._turn_away(client)
            patience_s = _REFUSED_PAUSE_S
            if has_slot:
                patience_s = self._limits.slot_wait_s
                tasks.start_soon(self._serve_one, client)

    async def _keep_pace(self) -> None:
        """A box that connects again and again must not have our event loop for itself."""
        now, step_s = anyio.current_time(), 1 / self._limits.per_s
        self._next_at = max(self._next_at + step_s, now - self._limits.burst * step_s)
        if self._next_at > now:
            await anyio.sleep(self._next_at - now)

    async def _turn_away(self, client: ByteStream) -> None:
        most = self._limits.connections
        text = f"All {most} connections of this sandbox are in use. Close some, then try again."
        async with client:
            with suppress(*_GONE), anyio.move_on_after(_REFUSED_PAUSE_S):
                await client.send(_answer(NotServed(503, text)))

    async def _serve_one(self, client: ByteStream) -> None:
        try:
            async with client:
                with anyio.move_on_after(self._limits.total_s):
                    await self._converse(client)
        except* (*_GONE, EndOfStream):
            pass  # the client left
        except* Exception:  # a bug of ours must not end the others' connections
            log.exception("a connection of a sandbox broke the proxy")
        finally:
            self._slots.release()

    async def _converse(self, client: ByteStream) -> None:
        reader = RequestReader()
        try:
            asked = await self._read_head(client, reader)
            upstream = await self._reach(asked)
        except NotServed as refusal:
            await _refuse(client, refusal)
            return
        async with upstream:
            if asked.is_tunnel:
                await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await _Exchange(client, upstream, self._limits.idle_s).run(asked, reader)

    async def _read_head(self, client: ByteStream, reader: RequestReader) -> Asked:
        with anyio.move_on_after(self._limits.head_s):
            while reader.asked is None:
                reader.feed(await client.receive(reader.room))
        if reader.asked is None:
            raise NotServed(408, f"The request's head did not come in {self._limits.head_s:g} s.")
        return reader.asked

    async def _reach(self, asked: Asked) -> ByteStream:
        if not self._hosts.allows(asked.host, asked.port):
            log.info("a sandbox may not reach %s", asked.place)
            raise NotServed(
                403,
                f"This tool may not reach {asked.place}. Its setting `network` allows only: "
                f"{self._hosts}.",
                f"{asked.place} is not in the tool's setting network",
            )
        deadline = Deadline.after(self._limits.connect_s)
        try:
            with anyio.fail_after(self._limits.connect_s):
                return await self._connect(asked.host, asked.port, deadline)
        except OutboundRefused as error:
            log.info("a sandbox may not reach %s: %s", asked.place, error)
            raise NotServed(
                403,
                f"{asked.place} may not be reached, though the tool's setting `network` allows the "
                "name: its address is not a public one, or the operator has blocked it.",
                f"{asked.place} has an address that may not be reached",
            ) from error
        except (DeadlineExceeded, TimeoutError) as error:
            text = f"{asked.place} did not answer in time."
            raise NotServed(504, text, text[:-1]) from error
        except (AuxotError, OSError) as error:
            text = f"{asked.place} could not be reached."
            raise NotServed(502, text, text[:-1]) from error


class _Exchange:
    """The two directions of one connection, and the clock that ends both."""

    def __init__(self, client: ByteStream, upstream: ByteStream, idle_s: float) -> None:
        self._client = client
        self._upstream = upstream
        self._idle_s = idle_s
        self._last = anyio.current_time()
        self._ended = 0  # directions

    async def run(self, asked: Asked, reader: RequestReader) -> None:
        async with anyio.create_task_group() as tasks:
            scope = tasks.cancel_scope
            if asked.is_tunnel:
                tasks.start_soon(self._carry, self._client, self._upstream, reader.take(), scope)
            else:
                tasks.start_soon(self._send_request, asked, reader, scope)
            tasks.start_soon(self._carry_back, asked, scope)
            tasks.start_soon(self._watch, scope)

    async def _watch(self, scope: anyio.CancelScope) -> None:
        until = self._last + self._idle_s
        while until > anyio.current_time():
            await anyio.sleep_until(until)
            until = self._last + self._idle_s
        scope.cancel()

    async def _carry(
        self, source: ByteStream, sink: ByteStream, data: bytes, scope: anyio.CancelScope
    ) -> None:
        """One direction, until its end; the other may go on."""
        try:
            with suppress(EndOfStream):
                while True:
                    if data:
                        await sink.send(data)
                    data = await source.receive(_PIECE_BYTES)
                    self._last = anyio.current_time()
            await sink.send_eof()
        except (*_GONE, OSError):
            scope.cancel()
        self._ended += 1
        if self._ended == 2:
            scope.cancel()

    async def _carry_back(self, asked: Asked, scope: anyio.CancelScope) -> None:
        await self._carry(self._upstream, self._client, b"", scope)
        if not asked.is_tunnel:  # the answer is whole, and there is no second one
            scope.cancel()

    async def _send_request(
        self, asked: Asked, reader: RequestReader, scope: anyio.CancelScope
    ) -> None:
        try:
            await self._upstream.send(asked.head + reader.take())
            while True:
                reader.feed(await self._client.receive(_PIECE_BYTES))
                self._last = anyio.current_time()
                if data := reader.take():
                    await self._upstream.send(data)
        except NotServed:  # no longer HTTP, or a second request
            scope.cancel()
        except EndOfStream:
            if not reader.is_complete:
                scope.cancel()
        except (*_GONE, OSError):
            pass  # the server takes no more, and may have said why


async def _refuse(client: ByteStream, refusal: NotServed) -> None:
    """Say no, and read on for a moment: a client that is still sending would not hear it else."""
    await client.send(_answer(refusal))
    await client.send_eof()
    left = _LINGER_BYTES
    with suppress(EndOfStream), anyio.move_on_after(_LINGER_S):
        while left > 0:
            left -= len(await client.receive(_PIECE_BYTES))


def _answer(refusal: NotServed) -> bytes:
    text = f"{refusal.text}\n".encode()
    reason = refusal.reason or HTTPStatus(refusal.status).phrase
    head = (
        f"HTTP/1.1 {refusal.status} {reason}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + text
