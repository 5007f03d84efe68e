"""PID 1 of every sandbox container: takes requests, has programs run, tells how they ended.

One job: be the only thing in the container that speaks with the worker. It knows nothing of Docker
or tools. Standard library only, as all of this folder.

Theory of operation
-------------------
Five kinds of processes:

    PID 1    this file: the channel, the pipes, the clock. The only one that sees a call's data.
    zygote   a warm interpreter; forked from PID 1 at the start, it sees no data ever (zygote.py).
    keeper   one for each call: makes its place, reaps, ends what is left (zygote.py, place.py).
    program  the keeper's child: waits, gets its request, becomes the program (program.py).
    relay    only in a box that may reach hosts: its way to the worker's proxy (relay.py).

A place has one of two forms. `uid`: we are the container's root with three capabilities (KILL,
SETUID, SETGID), and the program is another user. `ns`: nobody here has any capability, and every
call gets user, pid, mount, ipc, net and uts namespaces of its own, whose PID 1 is the keeper.

Keeper and program are made ahead of the call, so that a call costs one message. The program waits
with the rights it will have, and reads its request itself: files are written, and code is loaded,
by nobody who may do more than the program. Because all programs are forked from the zygote, which
knows nothing, no memory of one call is ever in another.

The channel is a socket of the worker's, or the container's stdin and stdout. Both carry frames: one
letter, a big-endian 32-bit length, the payload. When it ends, the worker is gone: everything is
killed and the container ends. So a container never outlives its worker.

    to us    a argument (in order)   v environment variable, NAME=VALUE   i stdin
             t file for /tool   w file for /work   g go, with options as JSON
             k kill what runs, then report
    from us  h hello   n this form cannot be had here   r ready for a request   s the program runs
             o e its stdout, stderr   c collected files   z we have a bug (for the worker's log)
             x how it ended, "exit N oom K pids P", "signal ...", or "stopped ..." when that was the
               engine's doing       f it could not be started, one word

A pipe is read only when all that was read before is sent: we hold one read at most, and a program
that writes faster than the worker reads is slowed down by its own full pipe. When the program ends,
its keeper ends what it left (in mode `session` that lives on), the pipes are drained, and only then
the end is told: a daemon left behind cannot hold a call up.

Out of reach: we are not dumpable, so /proc/1 belongs to root; signals from inside are blocked or
have no handler, and SIGTERM counts only when the kernel says that its sender is outside (`si_code`
SI_USER and sender 0). In form `uid` the program is another user besides, and in form `ns` it has
another pid namespace, where we do not exist. It has no descriptor of ours. Should the kernel choose
us when memory runs out (the program is made the preferred victim), the engine tells the worker so.
"""

import ctypes  # noqa: F401 - loaded here, for all who are forked from us
import json
import os
import signal
import socket
import traceback

from channel import Channel
from kernel import CAP_KILL, keep_capabilities, set_dumpable, signal_descriptor, unblock_signals
from place import FORMS, RELAY_UID, become_user, kill_all, whole_cpus, write_machine_facts
from relay import open_listener, relay
from supervisor import Supervisor
from zygote import serve

SOCKET_PATH = "/run/auxot/s"
REFUSED = 3  # our exit code when the channel cannot be had


def open_channel(kind):
    """Our end of the channel; 0, 1 and 2 are free for others afterwards, and lead nowhere."""
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(SOCKET_PATH)
        ends = (connection.detach(),) * 2
    else:
        ends = (os.dup(0), os.dup(1))
    nowhere = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2) if kind == "unix" else (0, 1):
        os.dup2(nowhere, fd)
    os.close(nowhere)
    return Channel(*ends)


def start_zygote(box, place, channel, signals):
    """Fork it; returns our end of its socket and its pid."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        os.close(signals)
        channel.close()
        serve(theirs, box, place)
    theirs.close()
    ours.setblocking(False)
    return ours, pid


def start_relay(port, channel, signals):
    """Fork it, where the box has a way out; it has none of our descriptors, and no rights."""
    listener = open_listener(port)
    if os.fork() == 0:
        try:
            os.close(signals)
            channel.close()
            become_user(RELAY_UID)
            unblock_signals()
            relay(listener)
        finally:
            os._exit(1)
    listener.close()


def main():
    set_dumpable(0)
    box = json.loads(os.environ.pop("AUXOT_BOX"))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler: PID 1 then ignores it
    watched = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, watched)
    signals = signal_descriptor(watched)
    try:
        channel = open_channel(box["channel"])
    except OSError:
        os._exit(REFUSED)
    try:
        box["visible_cpus"] = whole_cpus(box)
        box["nofile"] = (box["open_files"],) * 2
        write_machine_facts(box)
        place = FORMS[box["form"]](box)
        if "proxy_port" in box:
            start_relay(box["proxy_port"], channel, signals)
        zygote, zygote_pid = start_zygote(box, place, channel, signals)
        if box["form"] == "uid":
            keep_capabilities(CAP_KILL)
        Supervisor(box, channel, signals, zygote, zygote_pid).run()
    except Exception:  # a bug of ours; the worker's log is the only place where it can be seen
        channel.complain(traceback.format_exc())
    kill_all()
    os._exit(0)


if __name__ == "__main__":
    main()
