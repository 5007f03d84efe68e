"""Is this machine ready? One line for each thing: PASS, or what to do.

One job: run the looks side by side, each bounded in time and none able to break the others. What a
look finds is its own business (`environment_here`, `environment_there`).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import anyio

from auxot_tools.config import Config
from auxot_tools.errors import AuxotError, ConfigError

_T = TypeVar("_T")
log = logging.getLogger(__name__)

UP_DIR = Path(".state/up")  # where `make up` keeps what it makes
LOOK_S = 20.0  # of one look: an engine that hangs costs 8 s a call


class Verdict(StrEnum):
    """``NOTE``: worth knowing, and nothing to do."""

    WELL = "PASS"
    FAIL = "FAIL"
    NOTE = "NOTE"


@dataclass(frozen=True, slots=True)
class Line:
    """What was found of one thing, in one line; of a FAIL ``do`` says what to do."""

    name: str
    verdict: Verdict
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What is looked at. ``mistakes`` are those of the configuration; ``config`` then holds the
    defaults. ``unset_keys`` are the mistakes of a router whose providers' keys are not there.
    """

    config: Config
    mistakes: tuple[str, ...] = ()
    file: Path | None = None
    unset_keys: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    cwd: Path = Path()
    now: Callable[[], float] = time.time


Look = Callable[[Machine], Awaitable[Sequence[Line]]]


def passed(name: str, says: str) -> Line:
    return Line(name, Verdict.WELL, says)


def failed(name: str, says: str, do: str = "") -> Line:
    return Line(name, Verdict.FAIL, says, do)


def noted(name: str, says: str) -> Line:
    return Line(name, Verdict.NOTE, says)


async def aside(ask: Callable[[], _T]) -> _T:
    """What a blocking call says. When nobody waits any more its thread is left behind, and keeps
    no process from its end: an engine, a disk or a name may never answer.
    """
    answer: Future[_T] = Future()
    answer.set_running_or_notify_cancel()  # from now on only the thread ends it

    def run() -> None:
        try:
            answer.set_result(ask())
        except BaseException as error:  # it belongs to whoever waits
            answer.set_exception(error)

    threading.Thread(target=run, name="look", daemon=True).start()
    return await asyncio.wrap_future(answer)


async def look_around(
    machine: Machine, looks: Mapping[str, Look], within_s: float = LOOK_S
) -> list[Line]:
    """The lines of all looks, in their order. Never raises for what a look meets."""
    found: dict[str, Sequence[Line]] = {}

    async def run(name: str, look: Look) -> None:
        found[name] = await _bounded(name, look, machine, within_s)

    async with anyio.create_task_group() as tasks:
        for name, look in looks.items():
            tasks.start_soon(run, name, look)
    return [line for name in looks for line in found[name]]


async def _bounded(name: str, look: Look, machine: Machine, within_s: float) -> Sequence[Line]:
    try:
        with anyio.fail_after(within_s):
            return await look(machine)
    except TimeoutError:
        return [failed(name, f"no answer within {within_s:g} s", "Look why it hangs, and repeat.")]
    except ConfigError as error:
        return [failed(name, mistake) for mistake in error.mistakes]
    except AuxotError as error:
        return [failed(name, str(error))]
    except Exception as error:  # a look must not take the others with it
        log.debug("a look failed", exc_info=True)
        return [failed(name, f"could not be looked at ({type(error).__name__})")]
