"""Removes what dead workers left on the engine, and never touches what belongs to a living one.

One job: decide from a container's labels, then remove. A container is a leftover only when its
worker is provably dead, or, where nothing can be proved (a worker in another container, on another
machine, or hidden in /proc), when it ended a while ago, or its call's deadline is long past.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import docker
from docker.errors import NotFound

from auxot_tools.errors import EngineUnavailable, Unavailable
from auxot_tools.sandbox.engine import engine_errors, remove_container
from auxot_tools.sandbox.identity import UNSEEN
from auxot_tools.sandbox.profile import (
    LABEL,
    LABEL_BOOT,
    LABEL_DEADLINE,
    LABEL_FORM,
    LABEL_MACHINE,
    LABEL_MODE,
    LABEL_PID,
    LABEL_PID_NAMESPACE,
    LABEL_PID_START,
    LABEL_WORKER,
    Identity,
)
from auxot_tools.types import JSON

log = logging.getLogger(__name__)

LONG_PAST_S = 3600.0  # clocks of two machines on one engine may differ; an hour they do not
ENDED_S = 300.0  # by the engine's own clock; a living worker removes an ended box within a minute
_ENDED = frozenset({"exited", "dead"})  # the engine's words for a container's state
_SECOND_CHARS = len("2026-01-31T23:59:59")  # of the engine's times; nanoseconds follow

ProcessStart = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class ListedBox:
    """A container of ours on the engine. ``owner_lives`` is `None` when nothing can be proved."""

    id: str
    name: str
    worker: str
    mode: str
    form: str
    state: str
    created_unix_s: int
    owner_lives: bool | None


def owner_lives(
    labels: Mapping[str, str], me: Identity, process_start: ProcessStart, *, has_ended: bool
) -> bool | None:
    """Whether the worker that made a container lives; `None` when that cannot be proved.

    Same boot and same pid namespace: the pid and its start time prove it, either way. Same machine
    after another boot: every process of that boot is dead. But two machines may have one name, as
    clones do, so that counts only for a container that ``has_ended``.
    """
    if me.boot and labels.get(LABEL_BOOT) == me.boot:
        if labels.get(LABEL_PID_NAMESPACE) == me.pid_namespace:
            started = process_start(_number(labels.get(LABEL_PID)))
            theirs = _number(labels.get(LABEL_PID_START))
            return None if UNSEEN in {started, theirs} else started == theirs
        return None
    is_same_machine = me.machine and labels.get(LABEL_MACHINE) == me.machine
    if has_ended and is_same_machine and labels.get(LABEL_BOOT):
        return False
    return None


def is_leftover(
    labels: Mapping[str, str],
    me: Identity,
    now_unix_s: float,
    process_start: ProcessStart,
    *,
    has_ended: bool = False,
) -> bool:
    """Whether a container with these labels belongs to nobody; pure but for `process_start`.

    Where nothing can be proved of its owner, the deadline decides.
    """
    if labels.get(LABEL) != "1" or LABEL_PID not in labels:
        return False
    lives = owner_lives(labels, me, process_start, has_ended=has_ended)
    if lives is not None:
        return not lives
    return now_unix_s > _number(labels.get(LABEL_DEADLINE)) + LONG_PAST_S


def remove_leftovers(
    client: docker.APIClient, me: Identity, now_unix_s: float, process_start: ProcessStart
) -> int:
    """Remove every leftover and return their number. Blocking.

    Raises `EngineUnavailable`. A container that the engine will not remove is logged and left.
    """
    boxes = [found for found in _containers(client) if LABEL_PID in (found.get("Labels") or {})]
    gone = [
        str(found["Id"])
        for found in boxes
        if is_leftover(found["Labels"], me, now_unix_s, process_start, has_ended=_has_ended(found))
    ]
    ended = [
        str(found["Id"])
        for found in boxes
        if _has_ended(found)
        and owner_lives(found["Labels"], me, process_start, has_ended=True) is None
        and str(found["Id"]) not in gone
    ]
    gone += _ended_a_while_ago(client, ended)
    return _remove_all(client, gone, "dead workers had left")


def _ended_a_while_ago(client: docker.APIClient, ids: list[str]) -> list[str]:
    """Those that ended ``ENDED_S`` ago. Both times are the engine's, so no clocks differ."""
    if not ids:
        return []
    with engine_errors():
        now_s = _seconds(str(client.info()["SystemTime"]))
        return [one for one in ids if now_s - _ended_at(client, one) > ENDED_S]


def _ended_at(client: docker.APIClient, container: str) -> float:
    try:
        state = client.inspect_container(container)["State"]
    except NotFound:
        return float("inf")  # gone already
    return _seconds(str(state["FinishedAt"]))


def _seconds(text: str) -> float:
    """An engine's time, `2026-01-31T23:59:59.123456789Z` or with an offset, in seconds."""
    zone = text[_SECOND_CHARS:].lstrip(".0123456789").replace("Z", "+00:00")
    return datetime.fromisoformat(text[:_SECOND_CHARS] + zone).timestamp()


def remove_strangers(
    client: docker.APIClient, me: Identity, is_known: Callable[[str], bool]
) -> int:
    """Remove containers that carry this very process's labels and that it does not know; return
    their number. `is_known` is asked with names. Blocking. Raises `EngineUnavailable`.

    These come of removals that failed, while the engine was away.
    """
    gone = [
        str(found["Id"])
        for found in _containers(client)
        if _is_mine(found.get("Labels") or {}, me) and not any(map(is_known, _names(found)))
    ]
    return _remove_all(client, gone, "could not be removed before")


def list_boxes(
    client: docker.APIClient, me: Identity, process_start: ProcessStart
) -> list[ListedBox]:
    """Every container of every worker, the oldest first. Blocking. Raises `EngineUnavailable`."""
    listed = [
        _listed(found, me, process_start)
        for found in _containers(client)
        if LABEL_PID in (found.get("Labels") or {})
    ]
    return sorted(listed, key=lambda box: (box.created_unix_s, box.id))


def _listed(found: JSON, me: Identity, process_start: ProcessStart) -> ListedBox:
    labels: Mapping[str, str] = found["Labels"]
    return ListedBox(
        id=str(found["Id"])[:12],
        name=next(iter(_names(found)), ""),
        worker=labels.get(LABEL_WORKER, ""),
        mode=labels.get(LABEL_MODE, ""),
        form=labels.get(LABEL_FORM, ""),
        state=str(found.get("State", "")),
        created_unix_s=int(found.get("Created", 0)),
        owner_lives=owner_lives(labels, me, process_start, has_ended=_has_ended(found)),
    )


def _containers(client: docker.APIClient) -> list[JSON]:
    with engine_errors():
        return list(client.containers(all=True, filters={"label": f"{LABEL}=1"}))


def _has_ended(found: JSON) -> bool:
    return found.get("State") in _ENDED


def _names(found: JSON) -> Iterable[str]:
    return [name.lstrip("/") for name in found.get("Names") or []]


def _is_mine(labels: Mapping[str, str], me: Identity) -> bool:
    """Of this process: without a pid and its start time nothing is."""
    mine = {
        LABEL_WORKER: me.worker_id,
        LABEL_BOOT: me.boot,
        LABEL_PID_NAMESPACE: me.pid_namespace,
        LABEL_PID: str(me.pid),
        LABEL_PID_START: str(me.pid_start),
    }
    return me.pid_start > 0 and mine.items() <= dict(labels).items()


def _remove_all(client: docker.APIClient, ids: Iterable[str], why: str) -> int:
    removed = sum(_removed(client, container_id) for container_id in ids)
    if removed:
        log.info("removed %d containers that %s", removed, why)
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
