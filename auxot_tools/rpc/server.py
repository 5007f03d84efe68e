"""Serves a ``ToolDispatcher`` over gRPC: listeners, health, reflection, key, limits, stop.

Must not know what a call does, nor signals (``lifecycle.py``), nor where settings come from.
"""

import logging
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.to_thread
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from auxot_tools.errors import ConfigError
from auxot_tools.ports import Approvals, ToolDispatcher
from auxot_tools.rpc.auth import KeyInterceptor
from auxot_tools.rpc.binding import bind, make_way, server_credentials, unlink_socket
from auxot_tools.rpc.decoding import LenientDecoding
from auxot_tools.rpc.info import WorkerInfo
from auxot_tools.rpc.limits import MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES
from auxot_tools.rpc.listeners import Address, ListenerConfig, listener_problems
from auxot_tools.rpc.servicer import (
    MAX_CALLS,
    READ_PATIENCE_S,
    CredentialFault,
    Servicer,
    takes_none,
)
from auxot_tools.rpc.watching import BoundedHealth
from auxot_tools.types import Deadline
from auxot_tools.v1 import tools_pb2 as pb
from auxot_tools.v1.tools_pb2_grpc import add_ToolsServicer_to_server

SERVICE_NAME: Final = pb.DESCRIPTOR.services_by_name["Tools"].full_name

_WHOLE_SERVER: Final = ""  # health's name for all services together

CLEAN_UP_S: Final = 45.0  # clean-ups of cancelled calls: an executor bounds its own to 40 s
_FLUSH_S: Final = 1.0  # for last messages on their way out, and for health watchers to be told

# The calls of the contract are bounded by MAX_CALLS; the rest is for health, lists and hints.
_MAX_RPCS: Final = MAX_CALLS + 256

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_send_message_length", MAX_RESPONSE_BYTES),
    ("grpc.so_reuseport", 0),  # two workers on one port would share its calls by chance
    # A caller that vanished without a word is noticed, and its programs killed, within 30 s.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # Callers may ping as often as every 5 s; more is taken for a flood and disconnected.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
)

_log = logging.getLogger(__name__)


class WorkerServer:
    """One worker's gRPC server. ``async with`` starts it, and stops it without grace.

    ``approvals`` are the calls that wait for an operator; without it none ever does.
    ``credential_fault`` judges what calls bring (``Servicer``); without it none may bring any.

    Raises ``ConfigError`` at construction when ``listener_problems`` finds any, and at start when
    an address, a socket file or a PEM file cannot be used; then nothing listens.
    """

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        info: WorkerInfo,
        config: ListenerConfig,
        *,
        approvals: Approvals | None = None,
        credential_fault: CredentialFault = takes_none,
        read_patience_s: float = READ_PATIENCE_S,
    ) -> None:
        problems = listener_problems(config)
        if problems:
            raise ConfigError(problems)
        self._config = config
        self._servicer = Servicer(dispatcher, info, read_patience_s, approvals, credential_fault)
        self._health = BoundedHealth()
        self._server: grpc.aio.Server | None = None
        self._addresses: tuple[Address, ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, in the order of the setting, with the ports that were bound."""
        return tuple(str(address) for address in self._addresses)

    @property
    def running_calls(self) -> int:
        """Calls whose clean-up is not over."""
        return self._servicer.running

    async def start(self) -> None:
        """Listen everywhere and answer health with SERVING. Called once, in the serving loop."""
        credentials = await anyio.to_thread.run_sync(server_credentials, self._config)
        for text in self._config.listen:
            await anyio.to_thread.run_sync(make_way, text)
        server = self._make_server()
        try:
            self._addresses = tuple(bind(server, text, credentials) for text in self._config.listen)
        except ConfigError:
            self._servicer.refuse_new()
            with anyio.CancelScope(shield=True):
                await server.start()  # grpc.aio gives bound sockets back only of started servers
                await server.stop(0)
            raise
        await self.set_serving(True)
        await server.start()
        self._server = server
        _log.info("the worker listens on %s", ", ".join(self.addresses))

    async def set_serving(self, is_serving: bool) -> None:
        """What health says from now on; calls are taken all the same. Nothing once it drains."""
        answers = health_pb2.HealthCheckResponse
        status = answers.SERVING if is_serving else answers.NOT_SERVING
        with anyio.move_on_after(_FLUSH_S):  # a watcher that does not read must not hold us up
            for service in (_WHOLE_SERVER, SERVICE_NAME):
                await self._health.set(service, status)

    async def begin_drain(self) -> None:
        """Health says NOT_SERVING and new calls are refused; running ones go on. For good."""
        self._servicer.refuse_new()
        with anyio.move_on_after(_FLUSH_S):  # a watcher that does not read must not hold us up
            await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Stop for good; returns when all clean-ups have run. A second call does nothing.

        Running calls have ``grace_s`` seconds to finish; then they are cancelled, their callers are
        told so, and their clean-ups are waited for (at most ``CLEAN_UP_S`` seconds).
        """
        server, self._server = self._server, None
        if server is None:
            return
        grace = Deadline.after(grace_s)
        await self.begin_drain()
        if not await self._servicer.wait_idle(grace.remaining_s()):
            _log.warning("%d calls outlived the grace period: cancelled", self.running_calls)
            self._servicer.cancel_running()
            await self._servicer.wait_idle(CLEAN_UP_S)
        await server.stop(_FLUSH_S)
        if not await self._servicer.wait_idle(CLEAN_UP_S):
            _log.error("%d calls did not finish their clean-up in time", self.running_calls)
        for address in self._addresses:
            if address.is_unix:
                await anyio.to_thread.run_sync(unlink_socket, address.path)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):  # bounded by stop itself
            await self.stop(0)

    def _make_server(self) -> grpc.aio.Server:
        interceptors: list[Any] = [LenientDecoding()]
        if self._config.key:
            interceptors.insert(0, KeyInterceptor(self._config.key))
        server = grpc.aio.server(
            interceptors=interceptors, options=_OPTIONS, maximum_concurrent_rpcs=_MAX_RPCS
        )
        add_ToolsServicer_to_server(self._servicer, server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server
