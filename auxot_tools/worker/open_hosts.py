"""Says whether a tool may reach a host on the network: the operator's list against the tool's.

One job: that comparison. Pure: it must not know tools, settings or sockets.

An entry is a host (``example.org``), the hosts below it (``*.example.org``, without itself), or all
(``*``), with or without a port. Without a port it means the two of the web, 80 and 443.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

# Lower case, as they are compared; no underscore: a host, not any name of the DNS.
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(\*\.)?(?P<name>{_LABEL}(\.{_LABEL})*)(:(?P<port>[1-9][0-9]{{0,4}}))?")
_MAX_NAME_CHARS = 253  # of the DNS
_MAX_PORT = 65535
ALL = "*"
_WEB_PORTS = frozenset({80, 443})


class _Entry(NamedTuple):
    name: str
    is_below: bool  # the hosts below the name, not itself
    ports: frozenset[int]


def is_host(text: str) -> bool:
    """Whether it is an entry that a tool may ask for (so not ``*``)."""
    match = _HOST.fullmatch(text)
    if match is None:
        return False
    return len(match["name"]) <= _MAX_NAME_CHARS and int(match["port"] or 0) <= _MAX_PORT


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
