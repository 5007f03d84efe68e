"""Names to addresses, each of them checked, and the last check of a socket before it connects.

One job: that nothing of ours connects to an address that was not judged. It must not know HTTP.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from anyio.abc import ByteStream, SocketStream

from auxot_tools.net.addresses import Network, forbidden_reason

# A host name -> all its addresses as text. Raises OSError when there are none.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

# Look-ups cannot be cancelled, only forgotten: slow ones must not take all the process's threads.
LOOKUP_THREADS = 16
TRIED = 8  # of the addresses of one name; all are checked


class ForbiddenAddressError(OSError):
    """Told as an OSError, so that whoever connects for us gives up and passes it on."""


class SystemLookup:
    """Asks the system's resolver, on threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")

    async def __call__(self, host: str) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._threads, _addresses, host)
        except UnicodeError:  # the system's resolver has limits of its own on names
            raise OSError("not a name") from None
        return list(dict.fromkeys(found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses(host: str) -> list[str]:
    infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in infos]


async def checked_addresses(
    host: str, resolve: Resolve, reachable: Sequence[Network]
) -> Sequence[str]:
    """The addresses of `host`, resolved once. One that is forbidden refuses them all.

    A name that has public and private addresses is either a mistake or an attack. Raises
    `ForbiddenAddressError`, and `OSError` when there is no address.
    """
    found = await resolve(host)
    if any(forbidden_reason(address, reachable) for address in found):
        raise ForbiddenAddressError
    if not found:
        raise OSError("no address")
    return found[:TRIED]


class CheckedResolver(AbstractResolver):
    """Resolves for the HTTP client. `reachable` None: addresses are not judged."""

    def __init__(self, resolve: Resolve, reachable: Sequence[Network] | None) -> None:
        self._resolve = resolve
        self._reachable = reachable

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - both families are asked
    ) -> list[ResolveResult]:
        if self._reachable is None:
            found = list(await self._resolve(host))[:TRIED]
        else:
            found = list(await checked_addresses(host, self._resolve, self._reachable))
        if not found:
            raise OSError("no address")
        return [_resolved(host, address, port) for address in found]

    async def close(self) -> None:
        """There is nothing to close: whoever made `resolve` closes it."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    is_v4 = ip_address(address).version == 4
    return ResolveResult(
        hostname=host,
        host=address,
        port=port,
        family=socket.AF_INET if is_v4 else socket.AF_INET6,
        proto=0,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )


def checked_socket(reachable: Sequence[Network]) -> Callable[[Any], socket.socket]:
    """Makes the socket for an address, which it is handed as it will be connected to.

    The last check, after all parsing and resolving: whatever form the address had before, here
    it is what the kernel will see.
    """

    def make(info: Any) -> socket.socket:
        family, kind, proto, _name, address = info
        scope = address[3] if family == socket.AF_INET6 else 0
        is_inet = family in {socket.AF_INET, socket.AF_INET6}
        if not is_inet or scope or forbidden_reason(str(address[0]), reachable):
            raise ForbiddenAddressError
        return socket.socket(family, kind, proto)

    return make


async def connect_checked(address: str, port: int, reachable: Sequence[Network]) -> ByteStream:
    """A TCP connection to `address`, which is judged once more. Raises `OSError`."""
    is_v4 = ip_address(address).version == 4
    family = socket.AF_INET if is_v4 else socket.AF_INET6
    where = (address, port) if is_v4 else (address, port, 0, 0)
    connecting = checked_socket(reachable)((family, socket.SOCK_STREAM, 0, "", where))
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, where)
        return await SocketStream.from_socket(connecting)
    except BaseException:
        connecting.close()
        raise
