"""Rules: is the URL one, and is anybody there?

One job: data about addresses, names, ports and TLS. Must not make requests.
"""

from urllib.parse import urlsplit

from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.rules import Place, Rule, When
from auxot_tools.net.exact import FailureKind

_BROKEN = frozenset({FailureKind.TLS, FailureKind.NOT_HTTP, FailureKind.CLOSED})
_NO_WAY = frozenset({FailureKind.REFUSED, FailureKind.UNREACHABLE, FailureKind.TIMED_OUT})
_NO_CONNECTION = "no connection in time"  # `net/exact.py`
_TO_TLS = "plain http"  # of a server that wants TLS: nginx, Go and Apache all say it


def _has_problem(seen: Observations) -> bool:
    return seen.base is not None and bool(seen.base.problem)


def _is_there_by(seen: Observations, scheme: str) -> bool:
    """Somebody answers by that other scheme, be it with a certificate that is not trusted."""
    looks = seen.of("scheme", scheme)
    return any(
        one.status is not None or one.failure is FailureKind.CERTIFICATE for one in looks
    ) and not any(one.status == 400 and _TO_TLS in one.reading.message.lower() for one in looks)


def _is_http_to_tls(seen: Observations) -> bool:
    if seen.base is not None and seen.base.scheme != "http":
        return False
    says = f"{seen.reading.message} {seen.asked.body.decode('latin-1') if seen.asked else ''}"
    is_told = seen.status == 400 and _TO_TLS in says.lower()
    is_broken = seen.failure in _BROKEN | {FailureKind.TIMED_OUT}
    return is_told or (is_broken and _is_there_by(seen, "https"))


def _is_https_to_plain(seen: Observations) -> bool:
    if seen.base is None or seen.base.scheme != "https":
        return False
    if seen.failure is FailureKind.TIMED_OUT:  # a plain server waits for the end of its headers
        looks = seen.of("scheme", "http")
        return any(one.status and urlsplit(one.url).port == seen.base.port for one in looks)
    is_plain = _is_there_by(seen, "http")
    return seen.failure in _BROKEN and (is_plain or not seen.was_tried)


def _untrusted(*words: str) -> When:
    def when(seen: Observations) -> bool:
        text = seen.asked.failure_text.lower() if seen.asked else ""
        return seen.failure is FailureKind.CERTIFICATE and any(word in text for word in words)

    return when


def _is_failed(*kinds: FailureKind) -> When:
    return lambda seen: seen.status == 0 and seen.failure in kinds


def _hangs(seen: Observations) -> bool:
    asked = seen.asked
    is_late = seen.status == 0 and seen.failure is FailureKind.TIMED_OUT
    return is_late and asked is not None and _NO_CONNECTION not in asked.failure_text


def _has_no_gpu_worker(seen: Observations) -> bool:
    health = seen.first("health")
    value = health.reading.value if health else None
    return _hangs(seen) and isinstance(value, dict) and value.get("workers") == 0


def _is_another_port(seen: Observations) -> bool:
    found = any(one.speaks_messages for one in seen.of("port"))
    return seen.status == 0 and seen.failure in _NO_WAY and found


_TRUST = (
    "Trust its authority: NODE_EXTRA_CA_CERTS=ca.pem for Claude Code, SSL_CERT_FILE=ca.pem for the "
    "Python SDK (here: --ca ca.pem)."
)

REACH_RULES = (
    Rule(
        "url_invalid",
        Place.ADDRESS,
        _has_problem,
        "The base URL cannot be used. {problem}",
        "Set {variable}=http://HOST:8080/api/anthropic with the host and port of your router.",
    ),
    Rule(
        "url_has_user",
        Place.ADDRESS,
        lambda seen: seen.base is not None and seen.base.has_user,
        "The base URL has a user name or password, which clients send nowhere or refuse.",
        "Set {variable}={clean} and give the key as ANTHROPIC_API_KEY.",
    ),
    Rule(
        "url_is_websocket",
        Place.ADDRESS,
        lambda seen: seen.base is not None and seen.base.is_websocket,
        "The base URL begins with ws: that is the address for workers.",
        "Set {variable}={good_base}",
    ),
    Rule(
        "url_without_scheme",
        Place.ADDRESS,
        lambda seen: seen.base is not None and not seen.base.has_scheme,
        "The base URL does not begin with http:// or https://.",
        "Set {variable}={clean}",
    ),
    Rule(
        "url_has_space_or_quotes",
        Place.ADDRESS,
        lambda seen: seen.base is not None and seen.base.is_dirty,
        "There are spaces, quotes or a variable's name in the base URL.",
        "Set {variable}={clean}",
    ),
    Rule(
        "proxy_in_the_way",
        Place.PROXY,
        lambda seen: bool(seen.proxies) and (seen.failure in _NO_WAY or _is_near(seen)),
        "Clients go to {host} through a proxy ({proxies}); this was asked directly.",
        "Set NO_PROXY={host} for the client (or ask the proxy's operator to let {host} through).",
    ),
    Rule(
        "host_unknown",
        Place.REACH,
        _is_failed(FailureKind.NAME),
        "The host name {host} is not known: no address belongs to it.",
        "Correct the host in {variable}={given}: {host} does not exist for this machine's DNS.",
    ),
    Rule(
        "https_on_http_port",
        Place.REACH,
        _is_https_to_plain,
        "The URL says https, and {host}:{port} speaks plain http.",
        "Set {variable}={other_base} (the key was not sent over plain http to try it).",
    ),
    Rule(
        "http_on_https_port",
        Place.REACH,
        _is_http_to_tls,
        "The URL says http, and {host}:{port} speaks https only.",
        "Set {variable}={other_base}",
    ),
    Rule(
        "certificate_expired",
        Place.REACH,
        _untrusted("expired"),
        "The TLS certificate of {host} has expired.",
        "Renew the certificate of {host} (its operator must), and check this machine's clock.",
    ),
    Rule(
        "certificate_of_another_host",
        Place.REACH,
        _untrusted("not valid for", "mismatch", "doesn't match", "altname"),
        "The TLS certificate of {host} is for another name ({reason}).",
        "Put the name that the certificate is for into {variable}, in place of {host}.",
    ),
    Rule(
        "certificate_self_signed",
        Place.REACH,
        _untrusted("self-signed", "self signed"),
        "The TLS certificate of {host} is self-signed: nobody whom this machine trusts vouches "
        "for it.",
        _TRUST,
    ),
    Rule(
        "certificate_untrusted",
        Place.REACH,
        _is_failed(FailureKind.CERTIFICATE),
        "The TLS certificate of {host} is not trusted ({reason}).",
        _TRUST,
    ),
    Rule(
        "wrong_port",
        Place.REACH,
        _is_another_port,
        "Nobody serves Messages at port {port} of {host}, and somebody does at another port.",
        "Set {variable}={port_base}",
    ),
    Rule(
        "refused",
        Place.REACH,
        _is_failed(FailureKind.REFUSED),
        "Nobody listens at {host}:{port}.",
        "Start the router (`make up`, or `auxot-tools router`), or correct the port in "
        "{variable}={given}.",
    ),
    Rule(
        "unreachable",
        Place.REACH,
        lambda seen: (
            _is_failed(FailureKind.UNREACHABLE)(seen)
            or (_is_failed(FailureKind.TIMED_OUT)(seen) and not _hangs(seen))
        ),
        "There is no connection to {host}:{port}: {failure}.",
        "Open the way to {host}:{port} (firewall, VPN, container network), or correct the host in "
        "{variable}.",
    ),
    Rule(
        "no_gpu_worker",
        Place.REACH,
        _has_no_gpu_worker,
        "The router took the request and waits: its /health says that no GPU worker is connected.",
        "Start a GPU worker for this router: with none online it lets every request wait.",
    ),
    Rule(
        "provider_hangs",
        Place.REACH,
        lambda seen: _hangs(seen) and _is_healthy(seen),
        "The router lives (/health answers), and its model does not answer in time.",
        "Look at the model server behind {origin}: it is offline, loading or overloaded.",
    ),
    Rule(
        "server_hangs",
        Place.REACH,
        _hangs,
        "{host}:{port} takes the connection and says nothing: {failure}.",
        "Restart what listens at {host}:{port}, or correct the port in {variable}={given}.",
    ),
    Rule(
        "tls_failed",
        Place.REACH,
        _is_failed(FailureKind.TLS),
        "No TLS connection to {host}:{port} can be made: {failure}.",
        "Correct scheme and port in {variable}={given}: https must be spoken at port {port}.",
    ),
    Rule(
        "not_http",
        Place.REACH,
        _is_failed(FailureKind.NOT_HTTP),
        "What listens at {host}:{port} does not speak HTTP/1.",
        "Correct the port in {variable}={given}: {port} belongs to another service (gRPC, a "
        "database).",
    ),
    Rule(
        "closed",
        Place.REACH,
        _is_failed(FailureKind.CLOSED, FailureKind.URL),
        "The connection to {host}:{port} was closed without an answer: {failure}.",
        "Look at the log of what listens at {host}:{port}; a proxy there may have no backend.",
    ),
)


def _is_healthy(seen: Observations) -> bool:
    health = seen.first("health")
    return health is not None and health.status == 200 and health.reading.kind is Kind.JSON


def _is_near(seen: Observations) -> bool:
    """This machine or this network: hardly meant to be reached through a proxy."""
    host = seen.base.host if seen.base else ""
    near = ("127.", "10.", "192.168.", "localhost", "::1", "172.16.", "host.docker.internal")
    return host.startswith(near) or ("." not in host and ":" not in host and bool(host))
