"""`auxot-tools health`: is the worker or the router beside us well? For probes of containers.

One job: ask at the very address that the configuration makes the other process listen on, and say
the answer in a line and an exit code: 0 well, 1 not.
"""

import http.client
import json
import ssl
from pathlib import Path

import click

from auxot_tools.cli.start import loaded_config
from auxot_tools.config import RouterSettings, WorkerSettings
from auxot_tools.errors import AuxotError, ConfigError, Unavailable
from auxot_tools.rpc.health import worker_health

_ASK_S = 7.0  # a router waits up to 5 s for its worker before it says `degraded`
_MAX_BYTES = 64 * 2**10  # of the router's answer, which names its tools and providers
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}


@click.group()
def health() -> None:
    """Ask the worker or the router on this machine whether it is well; exit code 0 means yes."""


@health.command()
@click.pass_context
def worker(ctx: click.Context) -> None:
    """Well: it can run tools now. Asked over gRPC, at the first address without TLS."""
    settings = loaded_config(ctx).config.worker
    state = worker_health(_plain_listener(settings))
    if state != "SERVING":
        raise Unavailable(f"the worker says {state}: its log says why")
    click.echo("serving")


@health.command()
@click.pass_context
def router(ctx: click.Context) -> None:
    """Well: it answers. Whether its worker and providers can be reached is told, and no failure."""
    click.echo(_router_state(loaded_config(ctx).config.router))


def _plain_listener(settings: WorkerSettings) -> str:
    for address in sorted(settings.listen, key=lambda one: not one.startswith("unix:")):
        if address.startswith("unix:") or settings.tls_cert is None:
            return address
    raise ConfigError(
        ["The worker listens with TLS only: add a `unix:/path` to worker.listen to ask it at."]
    )


def _router_state(settings: RouterSettings) -> str:
    host, _, port = settings.listen.rpartition(":")
    host = _EVERY_ADDRESS.get(host, host.strip("[]"))
    try:
        connection = _connection(host, int(port), settings.tls_cert)
        try:
            connection.request("GET", "/health")
            answer = connection.getresponse()
            body = answer.read(_MAX_BYTES)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"no router answers at {settings.listen}") from error
    return _told(answer.status, body)


def _connection(host: str, port: int, certificate: Path | None) -> http.client.HTTPConnection:
    if certificate is None:
        return http.client.HTTPConnection(host, port, timeout=_ASK_S)
    # The router's own certificate is what it must show, whatever name that is for.
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, port, timeout=_ASK_S, context=context)


def _told(status: int, body: bytes) -> str:
    try:
        told = json.loads(body)["status"]
    except (ValueError, KeyError, TypeError):
        told = ""
    if status != http.client.OK or told not in {"ok", "degraded"}:
        raise AuxotError(f"what answers there is not a router that is well (HTTP {status})")
    return str(told)
