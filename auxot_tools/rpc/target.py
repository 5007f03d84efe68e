"""Which worker a client talks to, and with what credentials.

Must not know channels or calls. PEM files are read once, when the client is made; what cannot be
used raises ``ConfigError``.
"""

from dataclasses import dataclass, field
from typing import Final

import grpc

from auxot_tools.errors import ConfigError
from auxot_tools.rpc.listeners import Address, is_sendable_key, parse_address
from auxot_tools.rpc.pem import read_authority, read_pair

_OPEN_WAY: Final = (
    "The way to the tools worker has no TLS and is neither a unix socket nor loopback, so others "
    "could read them. Set router.worker_tls_ca here, and worker.tls_cert and worker.tls_key there; "
    "or set the credentials on that worker, as AUXOT_TOOLS_<TOOL>__<NAME>."
)
_KEY_PROBLEM: Final = (
    "router.worker_key (AUXOT_WORKER_KEY) has a space or a character that is not printable ASCII; "
    "no worker can have such a key"
)


@dataclass(frozen=True, slots=True)
class WorkerTarget:
    """A worker's address (`host:port`, `[ipv6]:port`, `unix:/path`) and how to be let in.

    With ``tls_ca`` (the path of a PEM file) the worker must show a certificate that this authority
    signed for the target's host; ``tls_cert`` and ``tls_key`` are our own, for workers that ask.
    """

    worker: str
    key: str = field(default="", repr=False)
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""

    @property
    def address(self) -> Address:
        """The parsed address. Raises ``ValueError``, but not once a client has been made."""
        return parse_address(self.worker)

    def __str__(self) -> str:
        return self.worker

    @property
    def credentials_refusal(self) -> str:
        """Why the credentials of a call are not sent there; empty where nobody can read along."""
        return "" if self.tls_ca or self.address.is_loopback else _OPEN_WAY


def target_problems(target: WorkerTarget) -> tuple[str, ...]:
    """One sentence for each thing to fix; empty when a client can be made. Never holds the key."""
    problems = []
    try:
        if not target.address.is_unix and target.address.port == 0:
            problems.append(f"router.worker: `{target.worker}` has port 0, where nobody listens")
    except ValueError as error:
        problems.append(f"router.worker: `{target.worker}` {error}")
    if bool(target.tls_cert) != bool(target.tls_key):
        problems.append("router.worker_tls_cert and router.worker_tls_key: set both or neither")
    if target.tls_cert and not target.tls_ca:
        problems.append(
            "router.worker_tls_ca is not set, but router.worker_tls_cert is; "
            "a certificate of ours is shown only to a worker whose own we can check"
        )
    if target.key and not is_sendable_key(target.key):
        problems.append(_KEY_PROBLEM)
    return tuple(problems)


def channel_credentials(target: WorkerTarget) -> grpc.ChannelCredentials | None:
    """What a channel to ``target`` is made with; ``None`` without TLS. Raises ``ConfigError``."""
    problems = target_problems(target)
    if problems:
        raise ConfigError(problems)
    if not target.tls_ca or target.address.is_unix:
        return None
    authority = read_authority("router.worker_tls_ca", target.tls_ca)
    if not target.tls_cert:
        return grpc.ssl_channel_credentials(authority)
    cert, key = read_pair(
        "router.worker_tls_cert", target.tls_cert, "router.worker_tls_key", target.tls_key
    )
    return grpc.ssl_channel_credentials(authority, key, cert)
