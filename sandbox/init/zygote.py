"""The process that all others are forked from: a warm interpreter that never sees a call's data.

One job: on request, make a keeper (with a program that waits), a collector or a sweeper, as a
sibling, so that PID 1 is their parent. Whatever it held in memory could be read by every later
call, so it is told nothing but what to make. Standard library only.

Asked over a socket of messages, the descriptors with them; answers with the new pid, or `!` and a
reason:
    python, node      stdin, stdout, stderr, request, told, status -> a keeper and its program
    collect LIMITS    the folder /work, a pipe                     -> a collector
    sweep                                                          -> a sweeper of /tmp and its like
"""

import gc
import importlib
import json
import os
import signal
import socket

from collect import collect
from kernel import clone_sibling
from program import STDERR, STDIN, STDOUT, REQUEST, TOLD, wait_and_run

MESSAGE_BYTES = 512
MOST_DESCRIPTORS = 6
KEEPER_STATUS = 5  # the keeper's own descriptor, above the program's five
ABOVE = 64  # where descriptors are put aside before they get their places
SHARED_FOLDERS = ("/tmp", "/work", "/tool", "/dev/shm")
# Loaded once for all calls of a container; a container for a single call would pay for it alone.
PRELOADED = {
    "warm": ("argparse", "base64", "collections", "contextlib", "copy", "csv", "dataclasses",
             "datetime", "decimal", "enum", "functools", "hashlib", "heapq", "io", "itertools",
             "json", "math", "operator", "pathlib", "random", "re", "statistics", "string",
             "subprocess", "tempfile", "textwrap", "time", "traceback", "typing"),
}  # fmt: skip
PRELOADED["session"] = PRELOADED["warm"]


def serve(asked, box, place):
    """Until the socket ends. Never returns."""
    for name in PRELOADED.get(box["mode"], ()):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        message, descriptors, _flags, _address = socket.recv_fds(asked, MESSAGE_BYTES, MOST_DESCRIPTORS)
        if not message:
            os._exit(0)
        kind, _, rest = message.decode().partition(" ")
        try:
            pid = clone_sibling(place.flags if kind in {"python", "node"} else 0)
        except OSError as error:
            answer = f"!{error.strerror or error}"
        else:
            if pid == 0:
                become(kind, rest, descriptors, asked, box, place)
            answer = str(pid)
        for fd in descriptors:
            os.close(fd)
        asked.send(answer.encode())


def become(kind, rest, descriptors, asked, box, place):
    """The new process's part. Never returns."""
    status = 1
    try:
        asked.close()
        if kind == "collect":
            place.drop()
            collect(*descriptors, json.loads(rest))
        elif kind == "sweep":
            place.drop()
            sweep_folders()
        else:
            keep(kind, descriptors, box, place)
        status = 0
    finally:
        os._exit(status)


def keep(runtime, descriptors, box, place):
    """The keeper: makes the place, forks the program, tells how it ended, ends what it left.

    To PID 1: `d` with the folder /work, `e STATUS` (as wait gives it), `! REASON` when there is no
    such place here. SIGTERM, which only PID 1 can send, ends the call.
    """
    arrange(descriptors)
    told = socket.socket(fileno=KEEPER_STATUS)
    try:
        place.enter()
        work = os.open("/work", os.O_RDONLY | os.O_DIRECTORY)
        pid = os.fork()
        if pid == 0:
            told.close()
            os.close(work)
            wait_and_run(box, place, runtime)
        socket.send_fds(told, [b"d"], [work])
        os.closerange(STDIN, KEEPER_STATUS)
        os.close(work)
        place.retire()
    except OSError as error:
        told.send(f"! {error.strerror or error}".encode())
        os._exit(1)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True) or kill(pid))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    status = wait_for(pid)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # its pid may be another's now
    if box["mode"] != "session":
        told.send(b"e %d" % status)
        place.sweep()
    else:
        if stopped:
            end_descendants()
        told.send(b"e %d" % status)
    os._exit(0)


def arrange(descriptors):
    """Give the descriptors the places 0 to 5, and close every other one."""
    for offset, fd in enumerate(descriptors):
        os.dup2(fd, ABOVE + offset)
    for target in (STDIN, STDOUT, STDERR, REQUEST, TOLD, KEEPER_STATUS):
        os.dup2(ABOVE + target, target, inheritable=target <= STDERR)
    os.closerange(KEEPER_STATUS + 1, ABOVE + MOST_DESCRIPTORS)


def wait_for(pid):
    """The wait status of `pid`; orphans of the program are reaped on the way."""
    while True:
        done, status = os.waitpid(-1, 0)
        if done == pid:
            return status


def end_descendants():
    """Kill what the call started, until nothing of it is left; the session's others live on.

    Orphans come to us, so everything that the call started is below us. PID 1 ends the container
    when this takes too long.
    """
    while True:
        for pid in descendants(os.getpid()):
            kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def descendants(root):
    """The pids of all processes below `root`."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
            except OSError:
                continue  # it has just ended
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return below - {root}


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def sweep_folders():
    """Remove what the program left where it could write; PID 1 looks whether anything remains."""
    for shared in SHARED_FOLDERS:
        for folder, folders, files in os.walk(shared, topdown=False):
            for name in (*folders, *files):
                path = f"{folder}/{name}"
                try:
                    remove = os.unlink if os.path.islink(path) or name in files else os.rmdir
                    remove(path)
                except OSError:
                    pass
