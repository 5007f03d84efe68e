"""Inside a network namespace: listeners that count, and clients that try to touch them.

One job: tell on stdout, for each case on stdin, what the client said and what was touched.
Run as `python -m tests.support.touches`, in the namespace of `network_namespace.py` only.
"""

import json
import selectors
import socket
import ssl
import sys
from collections.abc import Iterator, Sequence
from http.client import HTTPResponse
from ipaddress import ip_network
from threading import Condition, Thread
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import anyio
import anyio.to_thread

from auxot_tools.errors import AuxotError
from auxot_tools.net.outbound import Outbound, OutboundLimits, OutboundRequest, OutboundRules
from auxot_tools.types import Deadline

PORTS = (80, 443, 22)
CASE_S = 2.0
# Connected to after each case: when it is seen, so is all that came before.
MARKERS = {socket.AF_INET: "203.0.113.254", socket.AF_INET6: "2001:db8::feed"}


class Listeners:
    """On every address, with a list of those that were connected to.

    The path `/to/STATUS/LOCATION` redirects; every other answers `touched`.
    """

    def __init__(self) -> None:
        self._touched: list[tuple[str, int]] = []
        self._changed = Condition()
        self._selector = selectors.DefaultSelector()
        for port in PORTS:
            for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                listening = socket.create_server((address, port), family=family)
                self._selector.register(listening, selectors.EVENT_READ)
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                accepted, _peer = key.fileobj.accept()  # type: ignore[union-attr]
                with self._changed:
                    self._touched.append(accepted.getsockname()[:2])
                    self._changed.notify_all()
                Thread(target=_answer, args=(accepted,), daemon=True).start()

    def taken(self) -> list[str]:
        """The addresses touched since the last time."""
        markers = {(address, port) for address in MARKERS.values() for port in PORTS}
        for address, port in markers:
            socket.create_connection((address, port), timeout=CASE_S).close()
        with self._changed:
            assert self._changed.wait_for(lambda: markers <= set(self._touched), CASE_S)
            seen = [address for address, port in self._touched if (address, port) not in markers]
            self._touched.clear()
        return seen


def _answer(accepted: socket.socket) -> None:
    with accepted:
        accepted.settimeout(CASE_S)
        try:
            path = accepted.recv(65536).decode("latin-1").partition(" ")[2].partition(" ")[0]
            head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n"
            if path.startswith("/to/"):
                _, _, status, location = path.split("/", 3)
                head = head.replace("200 OK", f"{status} Go") + f"Location: {unquote(location)}\r\n"
            accepted.sendall(f"{head}\r\ntouched".encode())
        except OSError:
            return


class Names:
    """A resolver whose answers change: each name has a list of them, the last one stays."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = {name: list(each) for name, each in answers.items()}
        self.lookups = 0

    def answer(self, name: str) -> Sequence[str]:
        self.lookups += 1
        if name not in self._answers:
            raise OSError("no such name")
        each = self._answers[name]
        return each.pop(0) if len(each) > 1 else each[0]

    async def __call__(self, name: str) -> Sequence[str]:
        return self.answer(name)


def unguarded(url: str, names: Names) -> Iterator[str]:
    """What a client does that checks nothing: connects to what there is, and follows."""
    for _ in range(5):
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            addresses = names.answer(host)
        except OSError:
            addresses = [unquote(host)]
        for address in addresses:
            with socket.create_connection((address, parts.port or 80), timeout=CASE_S) as stream:
                stream.sendall(f"GET {parts.path or '/'} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                response = HTTPResponse(stream)
                response.begin()
                yield str(response.status)
                location = response.headers.get("Location")
        if not location:
            return
        url = urljoin(url, location)


def _unguarded_outcome(url: str, names: Names) -> str:
    try:
        return ",".join(unguarded(url, names))
    except (OSError, ValueError) as error:
        return type(error).__name__


async def _outcome(case: dict[str, Any], names: Names, tls: ssl.SSLContext) -> tuple[str, str]:
    if case["mode"] == "unguarded":
        return await anyio.to_thread.run_sync(_unguarded_outcome, case["url"], names), ""
    reachable = tuple(ip_network(network) for network in case.get("reachable", ()))
    limits = OutboundLimits(connect_s=CASE_S)
    rules = OutboundRules(reachable=reachable)
    async with Outbound(rules, limits, resolve=names, ssl_context=tls) as way_out:
        try:
            if case["mode"] == "connect":
                stream = await way_out.connect(case["host"], 80, Deadline.after(CASE_S))
                await stream.aclose()
                return "connected", ""
            is_operators = case["mode"] == "operator"
            request = OutboundRequest(case["url"], operator_chosen=is_operators)
            answer = await way_out.fetch(request, Deadline.after(CASE_S))
            return f"{answer.status}", answer.body.decode()
        except AuxotError as error:
            return type(error).__name__, str(error)


async def main() -> None:
    """Every case of stdin, one after the other."""
    listeners = Listeners()
    tls = ssl.create_default_context()
    results = []
    for case in json.loads(sys.stdin.read()):
        names = Names(case.get("names", {}))
        outcome, text = await _outcome(case, names, tls)
        touched = await anyio.to_thread.run_sync(listeners.taken)
        results.append(
            {"outcome": outcome, "text": text, "touched": touched, "lookups": names.lookups}
        )
    print(json.dumps(results))


if __name__ == "__main__":
    anyio.run(main)
