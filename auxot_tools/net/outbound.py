"""The checked way out: one request to somebody whose address we do not choose.

One job: send it by the rules, hop by hop, and keep a bounded answer. It must not know tools,
documents or Messages.
"""

import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Self

import aiohttp
import anyio
from anyio.abc import ByteStream
from multidict import CIMultiDict
from yarl import URL

from auxot_tools.errors import OutboundFailed, OutboundRefused
from auxot_tools.net.addresses import forbidden_reason
from auxot_tools.net.answers import headers_of, read_answer
from auxot_tools.net.decoding import ACCEPTED
from auxot_tools.net.domains import domain_refusal
from auxot_tools.net.exchange import (
    OutboundAnswer,
    OutboundLimits,
    OutboundRequest,
    OutboundRules,
    outbound_limits,
    outbound_rules,
)
from auxot_tools.net.failures import address_refusal, failure_of, named, too_slow
from auxot_tools.net.guard import (
    CheckedResolver,
    ForbiddenAddressError,
    Resolve,
    SystemLookup,
    checked_addresses,
    checked_socket,
    connect_checked,
)
from auxot_tools.net.hosts import canonical_host, is_address
from auxot_tools.net.redirects import after_redirect, checked, is_redirect
from auxot_tools.net.urls import Target, parse_url, redirect_target
from auxot_tools.types import Deadline

__all__ = [
    "Outbound",
    "OutboundAnswer",
    "OutboundLimits",
    "OutboundRequest",
    "OutboundRules",
    "Resolve",
    "outbound_limits",
    "outbound_rules",
]

ANSWER_HEADERS = 128  # more is no ordinary answer
OUR_NAME = "auxot-tools"


class Outbound:
    """The way out, one for the process. Use as an async context manager.

    `resolve` asks the system when None; `ssl_context` verifies by the system's store when None.
    """

    def __init__(
        self,
        rules: OutboundRules,
        limits: OutboundLimits,
        *,
        resolve: Resolve | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._rules = rules
        self._limits = limits
        self._lookup = SystemLookup() if resolve is None else None
        self._resolve: Resolve = resolve or self._lookup  # type: ignore[assignment]
        self._ssl = ssl_context or ssl.create_default_context()
        self._open = AsyncExitStack()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        # Two pools, so that a connection to an address that only the operator may choose is never
        # used again for somebody else's request.
        for operator_chosen in (False, True):
            session = self._session(operator_chosen)
            self._sessions[operator_chosen] = await self._open.enter_async_context(session)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._sessions.clear()
        await self._open.aclose()
        if self._lookup is not None:
            self._lookup.close()

    def _session(self, operator_chosen: bool) -> aiohttp.ClientSession:
        reachable = None if operator_chosen else self._rules.reachable
        connector = aiohttp.TCPConnector(
            limit=self._limits.max_connections,
            ssl=self._ssl,
            resolver=CheckedResolver(self._resolve, reachable),
            use_dns_cache=False,
            # Each request is resolved and checked for itself.
            force_close=not operator_chosen,
            socket_factory=None if reachable is None else checked_socket(reachable),
        )
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers={"Content-Type"},
            headers={"User-Agent": OUR_NAME},
            max_line_size=self._limits.header_bytes,
            max_field_size=self._limits.header_bytes,
            max_headers=ANSWER_HEADERS,
        )

    async def fetch(self, request: OutboundRequest, deadline: Deadline) -> OutboundAnswer:
        """The answer to `request`, whatever its status, redirects followed.

        Raises `OutboundRefused` when the rules say no, of the request or of a redirect, and
        `OutboundFailed` when no whole answer came in time. Both have a text for the model.
        """
        request = checked(request, self._limits)
        try:
            with anyio.fail_after(deadline.remaining_s()):
                return await self._follow(request)
        except TimeoutError:
            raise too_slow() from None

    async def _follow(self, request: OutboundRequest) -> OutboundAnswer:
        target = parse_url(request.url)
        passed: tuple[str, ...] = ()
        while True:
            if not request.operator_chosen:
                self._check(target, is_redirected=bool(passed))
            found = await self._hop(request, target, passed)
            if isinstance(found, OutboundAnswer):
                return found
            passed = (*passed, target.url)
            if len(passed) > self._limits.max_redirects:
                problem = f"The server redirects more than {self._limits.max_redirects} times."
                raise OutboundFailed(problem, "redirects")
            following = redirect_target(target, found.location)
            request = after_redirect(request, found.status, target, following)
            target = following

    def _check(self, target: Target, is_redirected: bool) -> None:
        """Every rule that can be checked before anything is resolved."""
        rules = self._rules
        refusal = ""
        if target.scheme not in rules.schemes:
            refusal = f"only these schemes can be: {', '.join(rules.schemes)}"
        elif target.port not in rules.ports:
            refusal = f"only these ports can be: {', '.join(str(port) for port in rules.ports)}"
        elif words := domain_refusal(target.host, rules.allowed_domains, rules.blocked_domains):
            refusal = f"it is {words}"
        elif target.is_address and (words := forbidden_reason(target.host, rules.reachable)):
            refusal = f"it is {words}, and only public addresses can be"
        if refusal:
            raise OutboundRefused(
                f"{_refused(target, is_redirected)} cannot be reached: {refusal}."
            )

    async def _hop(
        self, request: OutboundRequest, target: Target, passed: tuple[str, ...]
    ) -> "OutboundAnswer | _Redirect":
        """One request to one server. What it answered, or where it sends us."""
        asked = request.max_bytes
        most = self._limits.body_bytes
        max_bytes = most if asked is None else max(0, min(asked, most))
        try:
            async with self._responding(request, target) as response:
                headers = headers_of(response)
                if not request.operator_chosen and is_redirect(response.status, headers):
                    return _Redirect(response.status, headers["location"])
                return await read_answer(response, target, max_bytes, passed)
        except (aiohttp.ClientError, OSError) as error:
            # The deadline's own TimeoutError is raised outside, so this is the client's.
            raise failure_of(error, named(target.host, bool(passed))) from None

    @asynccontextmanager
    async def _responding(
        self, request: OutboundRequest, target: Target
    ) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        session = self._sessions.get(request.operator_chosen)
        if session is None:
            raise RuntimeError("Outbound is used outside of its context")
        response = await session.request(
            request.method,
            URL(target.url, encoded=True),
            data=request.body,
            headers=CIMultiDict([*request.headers, ("Accept-Encoding", ACCEPTED)]),
            allow_redirects=False,
        )
        try:
            yield response
        finally:
            response.release() if response.content.at_eof() else response.close()

    async def connect(
        self, host: str, port: int, deadline: Deadline, rules: OutboundRules | None = None
    ) -> ByteStream:
        """A TCP connection to `host`, whose addresses are resolved once and checked.

        Address rules are always those of this object. Port and domain rules are those of `rules`;
        None: the caller has checked them. Raises as `fetch` does.
        """
        try:
            name = canonical_host(host)
        except ValueError as reason:
            raise OutboundRefused(f"The host is not valid: {reason}.") from None
        if rules is not None:
            _check_connect(name, port, rules)
        words = forbidden_reason(name, self._rules.reachable) if is_address(name) else ""
        if words:
            raise OutboundRefused(f"`{name}` cannot be reached: it is {words}.")
        try:
            with anyio.fail_after(deadline.remaining_s()):
                return await self._connected(name, port)
        except ForbiddenAddressError:
            raise address_refusal(named(name)) from None
        except TimeoutError:
            raise too_slow() from None
        except OSError:
            problem = f"{named(name)} cannot be connected to."
            raise OutboundFailed(problem, "not_reached") from None

    async def _connected(self, name: str, port: int) -> ByteStream:
        reachable = self._rules.reachable
        resolve = _itself if is_address(name) else self._resolve
        try:
            found = await checked_addresses(name, resolve, reachable)
        except ForbiddenAddressError:
            raise
        except OSError:
            problem = f"{named(name)} has no address: check the name."
            raise OutboundFailed(problem, "not_found") from None
        for address in found:
            try:
                with anyio.move_on_after(self._limits.connect_s):
                    return await connect_checked(address, port, reachable)
            except ForbiddenAddressError:
                raise
            except OSError:
                continue  # the next address may answer
        raise OSError("none of the addresses can be connected to")


@dataclass(frozen=True, slots=True)
class _Redirect:
    status: int
    location: str


def _refused(target: Target, is_redirected: bool) -> str:
    if not is_redirected:
        return f"`{target.host}`"
    # An address to which a server redirects may be one of ours: the model did not write it.
    to = "an address that" if target.is_address else f"`{target.host}`, which"
    return f"The server redirects to {to}"


async def _itself(address: str) -> tuple[str, ...]:
    return (address,)


def _check_connect(name: str, port: int, rules: OutboundRules) -> None:
    words = domain_refusal(name, rules.allowed_domains, rules.blocked_domains)
    if words:
        raise OutboundRefused(f"`{name}` cannot be reached: it is {words}.")
    if port not in rules.ports:
        ports = ", ".join(str(port) for port in rules.ports)
        raise OutboundRefused(f"`{name}` cannot be reached: only these ports can be: {ports}.")
