"""The process that all others are forked from: a warm interpreter that never sees a call's data.

One job: on request, make a keeper (with a program that waits) or a sweeper, as a sibling, so that
PID 1 is their parent. Whatever it held in memory could be read by every later call, so it is told
nothing but what to make. Standard library only.

Asked over a socket of messages, the descriptors with them; answers with the new pid, or `!` and a
reason:
    python, node    request, told, status -> a keeper and its program
    sweep                                 -> a sweeper of /tmp and its like
"""

import array
import gc
import importlib
import os
import signal
import socket

from collect import collect
from kernel import clone_child, clone_sibling, unblock_signals
from program import wait_and_run

MESSAGE_BYTES = 512
MOST_DESCRIPTORS = 3  # the program's two, and the keeper's status
MOST_OPEN = 64  # more are never open in a keeper
SHARED_FOLDERS = {"/tmp": 0o1777, "/work": 0o755, "/tool": 0o755, "/dev/shm": 0o1777}
# Loaded once for all calls of a container, where there is more than one. What it takes to fork them
# is paid by every call, so these are few, and none that does anything at a fork itself (`threading`
# alone would cost every call 150 page faults more).
PRELOADED = {
    "warm": ("collections", "datetime", "functools", "itertools", "json", "math", "re", "time"),
}
PRELOADED["session"] = PRELOADED["warm"]


def serve(asked, box, place):
    """Until the socket ends. Never returns."""
    for name in PRELOADED.get(box["mode"], ()):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    while True:
        kind, descriptors = receive(asked)
        if not kind:
            os._exit(0)
        try:
            pid = clone_sibling(0 if kind == b"sweep" else place.flags)
        except OSError as error:
            answer = f"!{error.strerror or error}"
        else:
            if pid == 0:
                become(kind, descriptors, asked, box, place)
            answer = str(pid)
        for fd in descriptors:
            os.close(fd)
        asked.send(answer.encode())


def receive(asked):
    """One message and the descriptors that came with it."""
    room = socket.CMSG_LEN(MOST_DESCRIPTORS * array.array("i").itemsize)
    message, ancillary, _flags, _address = asked.recvmsg(MESSAGE_BYTES, room)
    descriptors = array.array("i")
    for _level, _kind, data in ancillary:
        descriptors.frombytes(data)
    return message, descriptors


def become(kind, descriptors, asked, box, place):
    """The new process's part. Never returns."""
    try:
        asked.close()
        if kind == b"sweep":
            unblock_signals()
            place.borrow()
            sweep_folders()
        else:
            keep(kind.decode(), descriptors, box, place)
    finally:
        os._exit(0)


def keep(runtime, descriptors, box, place):
    """The keeper: forks the program, tells how it ended, ends what it left, takes its files.

    To PID 1: `e STATUS` (as wait gives it), then, if PID 1 asked for files with `FILES FILE_BYTES
    TOTAL_BYTES`, `c` and a piece of them, and `d` when that was all. It does little, as every page
    it touches is copied for it.
    """
    *programs, status = descriptors
    pid = clone_child()
    if pid == 0:
        wait_and_run(box, place, runtime, programs)
    os.closerange(0, status)
    os.closerange(status + 1, MOST_OPEN)
    try:
        place.retire()
    except OSError as error:
        os.write(status, f"!{error}".encode())
        os._exit(1)
    rehearse_end()
    stopped = []
    if place.flags == 0:  # else PID 1 ends us, and with us the namespace
        signal.signal(signal.SIGTERM, lambda *_: stopped.append(True) or kill(pid))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    ended = wait_for(pid)
    if place.flags == 0:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # its pid may be another's now
    if stopped and box["mode"] == "session":
        end_descendants()
    os.write(status, b"e %d" % ended)
    limits = asked_to_collect(status)
    if box["mode"] != "session":
        place.sweep()
    elif limits:
        place.borrow()
    if limits:
        collect(status, *limits)
        os.write(status, b"d")
    os._exit(0)


def rehearse_end():
    """Do once what follows on the program's end, while nobody waits for it (see program.py)."""
    reading, writing = os.pipe()
    asked_to_collect(reading)
    os.close(reading)
    os.close(writing)
    collect(-1, 0, 0, 0, "/nowhere")


def asked_to_collect(status):
    os.set_blocking(status, False)
    try:
        limits = [int(word) for word in os.read(status, MESSAGE_BYTES).split()]
    except BlockingIOError:
        limits = []
    os.set_blocking(status, True)
    return limits


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
    for shared, mode in SHARED_FOLDERS.items():
        os.chmod(shared, mode)
        for folder, folders, files in os.walk(shared, topdown=False):
            for name in (*folders, *files):
                path = f"{folder}/{name}"
                try:
                    remove = os.unlink if os.path.islink(path) or name in files else os.rmdir
                    remove(path)
                except OSError:
                    pass
