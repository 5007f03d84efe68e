"""What compose.yaml promises, judged on what docker-compose makes of it.

One job: sentences for what is missing. It must not run anything or read files.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.deploy.settings_of import environment_problems

ENGINE_SOCKET = "/var/run/docker.sock"
CLEAN_UP_S = 70  # after worker.grace_s: 45 s for clean-ups, 25 s until every box is removed
Service = Mapping[str, Any]


def problems(config: Mapping[str, Any]) -> list[str]:
    """One sentence for each thing that is wrong; empty when all is well."""
    return [
        f"{name}: {problem}"
        for name, service in sorted(config["services"].items())
        for problem in (*_of(service), *environment_problems(environment(service)))
    ]


def environment(service: Service) -> dict[str, str]:
    return {name: str(value or "") for name, value in service.get("environment", {}).items()}


def mounts(service: Service) -> dict[str, str]:
    """Place in the container -> what is there, and how."""
    pairs = (_mount(one) for one in service.get("volumes", ()))
    return dict(pairs)


def _mount(one: str | Mapping[str, Any]) -> tuple[str, str]:
    if isinstance(one, str):
        source, place, *mode = one.split(":")
        return place, ":".join([source, *mode])
    return one["target"], f"{one['source']}:{'ro' if one.get('read_only') else 'rw'}"


def _of(service: Service) -> Iterator[str]:
    yield from _rights(service)
    command = service["command"]
    name = command[0] if isinstance(command, list) else command
    if service.get("healthcheck", {}).get("test") != ["CMD", "auxot-tools", "health", name]:
        yield "is not asked whether it is well"
    for limit in ("mem_limit", "pids_limit"):
        if not service.get(limit):
            yield f"has no {limit}"
    if name != "worker" and ENGINE_SOCKET in mounts(service):
        yield "has the engine's socket"
    for port in service.get("ports", ()):
        published = port if isinstance(port, str) else f"{port.get('host_ip', '')}:"
        if not published.startswith("127.0.0.1:"):
            yield "can be reached from other machines, without TLS"
    conditions = service.get("depends_on", ())
    if isinstance(conditions, Mapping) and any(
        one.get("condition") == "service_healthy" for one in conditions.values()
    ):
        yield "does not start while another service is not well"
    grace = environment(service).get("AUXOT_WORKER__GRACE_S")
    if grace is not None and _seconds(service["stop_grace_period"]) < float(grace) + CLEAN_UP_S:
        yield "is killed before it has ended"


def _rights(service: Service) -> Iterator[str]:
    if service.get("read_only") is not True:
        yield "can write its root"
    if service.get("cap_drop") != ["ALL"]:
        yield "keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", ()):
        yield "may become more"
    if str(service.get("user", "")).split(":")[0] in {"", "0", "root"}:
        yield "runs as root"
    if service.get("privileged"):
        yield "is privileged"


def _seconds(text: str) -> float:
    """Compose's spelling of a span: 95s, 1m35s."""
    minutes, _, seconds = text.rpartition("m")
    return 60 * float(minutes or 0) + float(seconds.removesuffix("s") or 0)
