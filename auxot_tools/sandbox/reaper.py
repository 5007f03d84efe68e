"""Removes what dead workers left on the engine, and never touches what belongs to a living one.

One job: decide from a container's labels, then remove. A container is a leftover only when its
worker is provably dead, or, where nothing can be proved, when its call's deadline is long past.
"""

import logging
from collections.abc import Callable, Mapping

import docker

from auxot_tools.errors import EngineUnavailable, Unavailable
from auxot_tools.sandbox.engine import engine_errors, remove_container
from auxot_tools.sandbox.profile import (
    LABEL,
    LABEL_BOOT,
    LABEL_DEADLINE,
    LABEL_MACHINE,
    LABEL_PID,
    LABEL_PID_NAMESPACE,
    LABEL_PID_START,
    Identity,
)

log = logging.getLogger(__name__)

LONG_PAST_S = 3600.0  # clocks of two machines on one engine may differ; an hour they do not

ProcessStart = Callable[[int], int | None]


def is_leftover(
    labels: Mapping[str, str], me: Identity, now_unix_s: float, process_start: ProcessStart
) -> bool:
    """Whether a container with these labels belongs to nobody; pure but for `process_start`.

    Same boot and same pid namespace: the pid and its start time prove it, either way. Same machine
    after another boot: every process of that boot is dead. Otherwise the deadline decides.
    """
    if labels.get(LABEL) != "1" or LABEL_PID not in labels:
        return False
    if me.boot and labels.get(LABEL_BOOT) == me.boot:
        if labels.get(LABEL_PID_NAMESPACE) == me.pid_namespace:
            started = process_start(_number(labels.get(LABEL_PID)))
            return started is None or started != _number(labels.get(LABEL_PID_START))
    elif me.machine and labels.get(LABEL_MACHINE) == me.machine and labels.get(LABEL_BOOT):
        return True
    return now_unix_s > _number(labels.get(LABEL_DEADLINE)) + LONG_PAST_S


def remove_leftovers(
    client: docker.APIClient, me: Identity, now_unix_s: float, process_start: ProcessStart
) -> int:
    """Remove every leftover and return their number. Blocking.

    Raises `EngineUnavailable`. A container that the engine will not remove is logged and left.
    """
    with engine_errors():
        found = client.containers(all=True, filters={"label": f"{LABEL}=1"})
    removed = 0
    for container in found:
        if is_leftover(container.get("Labels") or {}, me, now_unix_s, process_start):
            removed += _removed(client, str(container["Id"]))
    if removed:
        log.info("removed %d containers that dead workers had left", removed)
    return removed


def _removed(client: docker.APIClient, container_id: str) -> bool:
    try:
        return remove_container(client, container_id)
    except EngineUnavailable:
        raise
    except Unavailable:
        log.warning("the engine does not remove the leftover %s", container_id[:12])
        return False


def _number(text: str | None) -> int:
    """A label's number; 0, which is nobody's pid and long past, when it is none."""
    return int(text) if text and text.isascii() and text.isdigit() else 0
