"""Looks at what this machine needs beside itself: engine, worker, router, upstream, Auxot's router.

One job: ask each once, within seconds. The keys of the configuration go only where they belong: the
worker's key to the worker, a provider's key to that provider. Nothing is made or changed.
"""

import socket
from collections.abc import Sequence
from contextlib import closing
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio

from auxot_tools.assembly import remote_dispatcher
from auxot_tools.config import ProviderSettings, UpstreamSettings
from auxot_tools.connect.router_url import candidates
from auxot_tools.doctor.asking import Asker
from auxot_tools.doctor.environment import Line, Machine, aside, failed, noted, passed
from auxot_tools.doctor.key import KeyFacts, Redactor
from auxot_tools.doctor.observations import NO_ENDPOINT, Attempt
from auxot_tools.doctor.probes import NOBODYS_PATH, VERSION
from auxot_tools.doctor.reading import Kind
from auxot_tools.doctor.words import shortened
from auxot_tools.errors import Unavailable
from auxot_tools.net.exact import ExactClient, ExactLimits, FailureKind
from auxot_tools.sandbox.engine_facts import EngineFacts, engine_facts
from auxot_tools.types import JSON

_LIMITS = ExactLimits(connect_s=4, first_byte_s=8, idle_s=4, max_bytes=2**16)
_ANSWER_S = 9.0  # of one answer; two of them fit into a look
_DRIFT_S = 30.0  # of two clocks: certificates and expiring keys bear that much
_BUILT_UNIX_S = 1_750_000_000  # mid 2025: no clock that is right shows an earlier time
_BUILD = "Build it: `auxot-tools sandbox build` (as root)."
_WORKER_KINDS = frozenset({"tls_", "tools."})
_TAKES_THE_KEY = frozenset({200, 400, 422})  # an empty body is looked at after the key
_LOOKS_AT_CHAT = frozenset({200, 400, 401, 403, 422, 500})  # whatever it thinks of an empty body
_OF_APIS = frozenset({Kind.JSON, Kind.OPENAI, Kind.OPENAI_ERROR})
_TRANSLATE = "A server that translates must stand before it (LiteLLM for example): set its url."
_Server = UpstreamSettings | ProviderSettings
_START_WORKER = "Start `auxot-tools worker`, or correct router.worker where that router runs."
_NO_PORT = "Nobody can begin to listen there: {reason}."


async def look_at_engine(machine: Machine) -> Sequence[Line]:
    """Engine, image, runtime, and what confines boxes."""
    settings = machine.config.sandbox
    ask = partial(
        engine_facts, settings.engine_url, settings.image, settings.base, settings.packages
    )
    facts = await aside(ask)
    lines = [passed("engine", f"Docker {facts.version} ({facts.arch}), cgroup v{facts.cgroup}")]
    lines.append(_image_line(facts, is_ours=not settings.image))
    if settings.runtime and settings.runtime not in facts.runtimes:
        there = ", ".join(facts.runtimes)
        lines.append(
            failed("runtime", f"sandbox.runtime is {settings.runtime}; the engine has {there}",
                   "Install it and name it in the engine's daemon.json, or leave it empty.")
        )  # fmt: skip
    else:
        lines.append(passed("runtime", settings.runtime or "the engine's default"))
    lines.append(_confinement_line(facts))
    drift_s = abs(machine.now() - facts.unix_s) if facts.unix_s else 0.0
    if drift_s > _DRIFT_S:
        do = "Set the clocks right (NTP) on both."
        lines.append(failed("clock", f"{drift_s:.0f} s apart from the engine's", do))
    return lines


def _image_line(facts: EngineFacts, *, is_ours: bool) -> Line:
    if facts.has_image:
        return passed("sandbox image", f"{facts.image}, current")
    if not is_ours:
        do = "Put it there, or correct sandbox.image."
        return failed("sandbox image", f"{facts.image} is not on the engine", do)
    if facts.older_images:
        says = f"{facts.image} is not on the engine; {facts.older_images} of another recipe are"
        return failed("sandbox image", says, _BUILD)
    return failed("sandbox image", f"{facts.image} is not on the engine", _BUILD)


def _confinement_line(facts: EngineFacts) -> Line:
    userns = Path("/proc/sys/user/max_user_namespaces")
    try:
        allowed = int(userns.read_text())
    except (OSError, ValueError):
        allowed = 0
    told = f"user namespaces {'allowed' if allowed else 'not allowed'} on this host"
    if not facts.has_seccomp:
        do = "Use an engine with seccomp: boxes are run with a profile of their own."
        return failed("seccomp", f"the engine has none; {told}", do)
    return passed("seccomp", f"the engine has it; {told}; `sandbox check` tries the walls")


async def look_at_worker(machine: Machine) -> Sequence[Line]:
    """A worker that answers the router's way, or an address where one can listen."""
    config = machine.config
    try:
        async with remote_dispatcher(config) as worker:
            facts = await worker.get_info()
            tools = await worker.list_tools()
    except Unavailable as error:
        problem = str(error)
    else:
        told = f"{config.router.worker} answers: auxot-tools {facts.software_version}, "
        return [passed("worker", f"{told}{facts.total_slots} slots, {len(tools)} tools")]
    if "our key" in problem:
        return [failed("worker", problem)]
    lines = []
    for address in config.worker.listen:
        reason = await aside(partial(_why_not_free, address))
        if not reason:
            lines.append(passed("worker", f"{address} is free: `auxot-tools worker` can start"))
        elif address == config.router.worker:
            lines.append(failed("worker", f"{address} is taken, and {_small(problem)}",
                                "End what listens there, or change worker.listen."))  # fmt: skip
        else:
            lines.append(failed("worker", f"{address}: {reason}", "Change worker.listen."))
    if config.router.worker not in config.worker.listen:
        do = "Start the worker there, or correct router.worker."
        lines.append(failed("worker", f"router.worker {config.router.worker}: {problem}", do))
    return lines


def _small(text: str) -> str:
    return text[:1].lower() + text[1:].rstrip(".")


def _why_not_free(address: str) -> str:
    """Why nobody can begin to listen there; empty when one can."""
    if address.startswith("unix:"):
        path = Path("/" + address.removeprefix("unix:").lstrip("/"))
        if not path.parent.is_dir():
            return f"the folder {path.parent} is not there"
        return _why_not_unix(path)
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trying:
        try:
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trying.bind((host.strip("[]"), int(port)))
        except OSError as error:
            return _NO_PORT.format(reason=error.strerror or "the name is not known")
    return ""


def _why_not_unix(path: Path) -> str:
    with closing(socket.socket(socket.AF_UNIX)) as trying:
        trying.settimeout(1)
        try:
            trying.connect(str(path))
        except OSError:  # nobody listens: a worker clears an old socket away
            return ""
    return "somebody listens there"


async def look_at_router(machine: Machine) -> Sequence[Line]:
    """A router that answers, or a port for one."""
    settings = machine.config.router
    host, _, port = settings.listen.rpartition(":")
    near = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    if port != "0" and settings.tls_cert is None:
        answer = await _ask("GET", f"http://{near}:{port}/health")
        value = answer.reading.value
        if isinstance(value, dict) and "providers" in value:
            return [_router_line(settings.listen, value)]
    reason = await aside(partial(_why_not_free, settings.listen))
    if reason:
        do = "End what listens there, or change router.listen."
        return [failed("router", f"{settings.listen}: {_small(reason)}", do)]
    return [passed("router", f"{settings.listen} is free: `auxot-tools router` can start")]


def _router_line(address: str, health: JSON) -> Line:
    """What `/health` of our router says; `router/app.py`."""
    names = ", ".join(map(str, _list(health.get("tools")))) or "no tools"
    told = f"{address} answers: {health.get('status')}, offers {names}"
    if health.get("worker") == "unreachable":
        return failed("router", f"{told}; it does not reach its worker", _START_WORKER)
    if health.get("worker") == "not serving":
        do = "Look at the engine where that worker runs; its log says why."
        return failed("router", f"{told}; its worker cannot run tools now", do)
    providers = [one for one in _list(health.get("providers")) if isinstance(one, dict)]
    away = [str(one.get("name")) for one in providers if one.get("online") is False]
    if len(away) == len(providers) > 0:
        do = "Start the model's server, or correct its url where that router runs."
        return failed("router", f"{told}; it does not reach {', '.join(away)}", do)
    return passed("router", told)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


async def look_at_upstreams(machine: Machine) -> Sequence[Line]:
    """Each model's server, asked with its own key in its own form, all side by side."""
    config = machine.config
    servers: Sequence[_Server] = config.providers or (config.upstream,)
    found: dict[int, Line] = {}

    async def look(number: int, server: _Server) -> None:
        found[number] = await _upstream_line(server, machine.now())

    async with anyio.create_task_group() as tasks:
        for number, server in enumerate(servers):
            tasks.start_soon(look, number, server)
    return [found[number] for number in sorted(found)]


async def _upstream_line(settings: _Server, now: float) -> Line:
    name = f"upstream {settings.name}" if isinstance(settings, ProviderSettings) else "upstream"
    if settings.url == "demo":
        return noted(name, "demo: embedded and scripted, no language model ([upstream] url)")
    key = KeyFacts(settings.api_key.get_secret_value() or None)
    forms = {
        "x-api-key": ("x-api-key", key.given),
        "bearer": ("authorization", f"Bearer {key.given}"),
    }
    headers = {"content-type": "application/json", "anthropic-version": VERSION}
    if key.given and settings.auth in forms:
        header, value = forms[settings.auth]
        headers[header] = value or ""
    sent = f"{settings.auth}, {key.shown}" if key.given else "no key"
    base = settings.url.rstrip("/").removesuffix("/v1")
    answer = await _ask("POST", f"{base}/v1/messages", headers, b"{}")
    told = f"{settings.url} ({sent})"
    says = shortened(Redactor([key]).clean(answer.reading.message)) or "nothing"
    if answer.status is None or answer.failure is not None:
        return failed(name, f"{told}: {answer.failure_text}", _reach_fix(answer.failure))
    if answer.refuses_key:
        do = "Set its key (AUXOT_UPSTREAM_API_KEY, or api_key_env), or another `auth`."
        return failed(name, f"{told} refuses the key: {says}", do)
    if not answer.speaks_messages and not await _is_endpoint(answer, base, headers):
        if await _speaks_openai(answer, base, headers):
            says = f"{told} speaks OpenAI's API only: {answer.status} at /v1/messages"
            return failed(name, says, _TRANSLATE)
        kind = answer.reading.kind.replace("_", " ")
        do = "Correct the url: `/v1/messages` is appended to it."
        return failed(name, f"{told} is no Messages endpoint: {answer.status}, {kind}", do)
    if answer.status not in _TAKES_THE_KEY:
        do = "Pay for it." if answer.status == 402 else "Wait, or ask its operator."
        return failed(name, f"{told}: {answer.status} {says}", do)
    return _with_clock(name, told, answer, now)


async def _is_endpoint(answer: Attempt, base: str, headers: dict[str, str]) -> bool:
    """In the words of another dialect: it is one if a path beside it, that nobody has, is none."""
    if not answer.may_be_endpoint:
        return False
    beside = await _ask("POST", f"{base}/v1/{NOBODYS_PATH}", headers, b"{}")
    return beside.status in NO_ENDPOINT


async def _speaks_openai(answer: Attempt, base: str, headers: dict[str, str]) -> bool:
    """It has no Messages endpoint, and does have one for chat completions."""
    if answer.status not in NO_ENDPOINT:
        return False
    chat = await _ask("POST", f"{base}/v1/chat/completions", headers, b"{}")
    return chat.status in _LOOKS_AT_CHAT and chat.reading.kind in _OF_APIS


def _with_clock(name: str, told: str, answer: Attempt, now: float) -> Line:
    try:
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        there = now
    if abs(there - now) > 10 * _DRIFT_S:
        do = "Set this machine's clock right (NTP)."
        return failed("clock", f"{abs(there - now):.0f} s apart from that of {name}", do)
    return passed(name, f"{told} speaks Messages and takes the key")


def _reach_fix(failure: FailureKind | None) -> str:
    if failure is FailureKind.NAME:
        return "Correct the host in its url."
    if failure is FailureKind.CERTIFICATE:
        return "Trust its authority on this machine (SSL_CERT_FILE), or renew its certificate."
    return "Start it, or correct its url."


async def look_at_clock(machine: Machine) -> Sequence[Line]:
    """Against the oldest time that can be; engine and upstream are compared by their own looks."""
    if machine.now() < _BUILT_UNIX_S:
        do = "Set it right (NTP): TLS and expiring keys need it."
        return [failed("clock", "this machine's clock is years behind", do)]
    return [passed("clock", "plausible")]


async def look_at_connect(machine: Machine) -> Sequence[Line]:
    """Only where this worker is to serve an Auxot router."""
    settings = machine.config.connect
    if not machine.environ.get("AUXOT_ROUTER_URL") and not settings.tools_key.get_secret_value():
        return []
    key = KeyFacts(settings.tools_key.get_secret_value() or None)
    lines = [_tools_key_line(key)]
    seen = []
    for one in candidates(settings.router_url):
        scheme = "https" if one.is_secure else "http"
        answer = await _ask("GET", f"{scheme}://{urlsplit(one.url).netloc}/health")
        if answer.status is not None and answer.reading.kind is Kind.JSON:
            lines.append(passed("Auxot router", f"{settings.router_url} answers by {scheme}"))
            return lines
        seen.append(f"{scheme}: {answer.failure_text or f'status {answer.status}'}")
    do = "Correct AUXOT_ROUTER_URL (ws://HOST:8080 without TLS), or start the router."
    lines.append(failed("Auxot router", f"{settings.router_url}: {'; '.join(seen)}", do))
    return lines


def _tools_key_line(key: KeyFacts) -> Line:
    name, do = "tools key", "Set AUXOT_TOOLS_KEY to the router's tools key (tls_\u2026)."
    if not key.is_there:
        return failed(name, "AUXOT_TOOLS_KEY is not set, or a placeholder", do)
    if key.kind and key.kind not in _WORKER_KINDS:
        return failed(name, f"{key.shown} is of another kind", do)
    return passed(name, key.shown)


async def _ask(
    method: str, url: str, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Attempt:
    parts = urlsplit(url)
    async with ExactClient(_LIMITS) as http:
        asker = Asker(http, f"{parts.scheme}://{parts.netloc}", 1, answer_s=_ANSWER_S)
        if method == "GET":
            return await asker.get("look", url)
        return await asker.post("look", url, body or b"", headers or {})
