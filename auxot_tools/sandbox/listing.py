"""For people at a command line: which boxes there are on an engine, and the removal of leftovers.

One job: connect, do one thing, hang up. No sandbox needs to run. Blocking.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import docker

from auxot_tools.sandbox import reaper
from auxot_tools.sandbox.engine import connect
from auxot_tools.sandbox.identity import process_start, this_process
from auxot_tools.sandbox.reaper import ListedBox
from auxot_tools.sandbox.run_dir import RunDir

_WORKER_ID = "command-line"  # makes no box


def list_boxes(engine_url: str = "") -> list[ListedBox]:
    """Every container of every worker on the engine, the oldest first. Raises `Unavailable`."""
    with _connected(engine_url) as client:
        return reaper.list_boxes(client, this_process(_WORKER_ID), process_start)


def reap(engine_url: str = "") -> int:
    """Remove what dead workers left, containers and folders; how many containers that were.

    Boxes of living workers are not touched. Raises `Unavailable`.
    """
    me = this_process(_WORKER_ID)
    with _connected(engine_url) as client:
        removed = reaper.remove_leftovers(client, me, time.time(), process_start)
    RunDir(me).remove_leftovers(process_start)
    return removed


@contextmanager
def _connected(engine_url: str) -> Iterator[docker.APIClient]:
    client = connect(engine_url or None)
    try:
        yield client
    finally:
        client.close()
