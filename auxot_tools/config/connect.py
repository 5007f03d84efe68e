"""The settings of the process that works for an Auxot router, and the names its users know.

One job: declare, as `settings.py` does for everything else, and say which plain names of the
environment stand for a credential there. It must not know the router's protocol.
"""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic import Field as Setting

from auxot_tools.config.kinds import (
    SOCKET,
    Allowed,
    Count,
    Seconds,
    Secret,
    Section,
    target_address,
)

DEFAULT_ROUTER = "wss://auxot.com/ws"  # where Auxot's own worker goes when it is told nothing
_SCHEMES = ("ws", "wss", "http", "https")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9a-fA-F:.]{2,45}")

# The bare names that Auxot's worker reads for its own tools -> the names that we give them.
_BARE_CREDENTIALS: Mapping[str, str] = {
    "BRAVE_SEARCH_API_KEY": "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY",
    "BRAVE_ANSWERS_API_KEY": "AUXOT_TOOLS_WEB_ANSWERS__BRAVE_ANSWERS_API_KEY",
}


def with_bare_credentials(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` with Brave's keys under our names too, where only Auxot's bare names are set."""
    found = dict(environ)
    for bare, ours in _BARE_CREDENTIALS.items():
        if environ.get(bare) and ours not in environ and f"{ours}_FILE" not in environ:
            found[ours] = environ[bare]
    return found


def _router_url(text: str) -> str:
    """The address as it was written, if a router can have it."""
    written = text.strip()
    scheme, separator, _ = written.partition("://")
    parts = urlsplit(written if separator else f"//{written}")
    if separator and scheme.lower() not in _SCHEMES:
        raise ValueError(text)
    if "@" in parts.netloc or _HOST.fullmatch(parts.hostname or "") is None or parts.port == 0:
        raise ValueError(text)
    return written


def _router_or_default(value: object) -> object:
    return DEFAULT_ROUTER if isinstance(value, str) and not value.strip() else value


def _worker(address: str) -> str:
    return target_address(address) if address else ""


def _tenant(name: str) -> str:
    if len(name) > 100 or not name.isprintable():
        raise ValueError(name)
    return name


class ConnectSettings(Section):
    """The process that runs the tool jobs of an Auxot router: `auxot-tools connect`."""

    router_url: Annotated[
        str,
        BeforeValidator(_router_or_default),
        AfterValidator(_router_url),
        Allowed("a ws, wss, http or https URL without user name, or `host:port`"),
    ] = Setting(
        default=DEFAULT_ROUTER,
        description="The Auxot router. Its path is always `/ws`. Without a scheme TLS is tried, "
        "then, for a loopback or private address only, plain.",
    )
    tools_key: Secret = Setting(
        default=SecretStr(""),
        description="The key that the router gives tools workers: `tls_…`, or a connector key.",
    )
    worker: Annotated[str, AfterValidator(_worker), Allowed(f"{SOCKET}, or empty")] = Setting(
        default="",
        description="A worker that runs the jobs, over gRPC, with `router.worker_key` and "
        "`router.worker_tls_*`; empty: this process runs them.",
    )
    deny_by_default: bool = Setting(
        default=False,
        description="Without `worker.allowed_tools` no tool is offered, in place of all.",
    )
    tenant: Annotated[
        str, AfterValidator(_tenant), Allowed("at most 100 printable characters, or empty")
    ] = Setting(
        default="",
        description="The name of this router's jobs, for policy, memory and sessions; empty: "
        "`auxot-` and a part of the key's digest, or of a connector key its id.",
    )
    concurrent_jobs: Count = Setting(
        default=16, ge=1, le=1024, description="Jobs that run side by side."
    )
    max_waiting: Count = Setting(
        default=256, ge=0, le=10_000, description="Jobs that may wait; more are refused."
    )
    job_timeout_s: Seconds = Setting(
        default=300, ge=1, le=3600, description="Time for one job, its waiting included."
    )
