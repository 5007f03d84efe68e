"""Says whether a tool may reach a host on the network: the operator's list against the tool's.

One job: that comparison. Pure: it must not know tools, settings or sockets.

An entry is a host (``example.org``), the hosts below it (``*.example.org``, without itself), or all
(``*``), with or without a port. Without a port it means the two of the web, 80 and 443.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Lower case, as they are compared; no underscore: a host, not any name of the DNS.
HOST_PATTERN = (
    r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    r"(:[1-9][0-9]{0,4})?$"
)
MAX_HOST_CHARS = 259  # 253 of a name, a colon and a port
ALL = "*"
_WEB_PORTS = frozenset({80, 443})
_HOST = re.compile(HOST_PATTERN)


class _Entry(NamedTuple):
    name: str
    is_below: bool  # the hosts below the name, not itself
    ports: frozenset[int]


def is_host(text: str) -> bool:
    """Whether it is an entry that a tool may ask for (so not ``*``)."""
    return len(text) <= MAX_HOST_CHARS and _HOST.fullmatch(text) is not None


def is_open(host: str, open_hosts: Iterable[str]) -> bool:
    """Whether one entry of ``open_hosts`` covers all that ``host`` means."""
    wanted = _parsed(host)
    return any(one == ALL or _covers(_parsed(one.lower()), wanted) for one in open_hosts)


def _covers(granted: _Entry, wanted: _Entry) -> bool:
    if not wanted.ports <= granted.ports:
        return False
    if not granted.is_below:
        return granted.name == wanted.name and not wanted.is_below
    if wanted.name.endswith(f".{granted.name}"):
        return True
    return wanted.is_below and wanted.name == granted.name


def _parsed(entry: str) -> _Entry:
    name, _, port = entry.partition(":")
    ports = frozenset({int(port)}) if port.isdecimal() else _WEB_PORTS
    return _Entry(name.removeprefix("*."), name.startswith("*."), ports)
