"""One spare, and the call that it becomes: its descriptors and what is known of it.

One job: state, and the reading and writing of its pipes. What follows from it all is
`supervisor.py`'s. Standard library only.
"""

import os
import signal
import socket

READ_BYTES = 64 << 10  # a pipe's capacity: the most that one read can give
TOLD_BYTES = 1024
STREAMS = 3


class Call:
    """Our ends of the pipes of a keeper and its program. `pid` is the keeper's, 0 until known."""

    def __init__(self, runtime):
        self.runtime = runtime
        their_request, self.request = os.pipe()
        os.set_blocking(self.request, False)
        self.told, their_told = pair()
        self.status, their_status = pair()
        self.theirs = [their_request, their_told, their_status]
        self.stdin = None
        self.outputs = {}  # descriptor -> frame letter, until it ends
        self.pid = 0
        self.is_ready = self.is_requested = self.is_started = False
        self.is_reported = self.is_reaped = False
        self.was_killed = False  # by us, for the worker
        self.was_interrupted = False  # by the engine
        self.wait_status = None
        self.unread = {}  # descriptor -> pieces still to be written to it, the next one last
        self.collects = False  # the keeper was asked for files

    def give_away(self):
        """Close the other side's ends, which the zygote has now."""
        for fd in self.theirs:
            os.close(fd)
        self.theirs = []

    def give(self, request, stdin):
        """What the program gets; the pieces of the request are not joined, and go one by one."""
        self.unread[self.request] = [memoryview(piece) for piece in reversed(request)]
        self.unread[self.stdin] = [memoryview(stdin)]

    def feed(self, fd):
        """Write what goes of the request or of stdin; close it at its end, or when nobody reads."""
        left = self.unread[fd]
        try:
            while left:
                left[-1] = left[-1][os.write(fd, left[-1][:READ_BYTES]) :]
                if not left[-1]:
                    left.pop()
        except BlockingIOError:
            return
        except BrokenPipeError:
            left.clear()
        os.close(fd)
        if fd == self.request:
            self.request = None
        else:
            self.stdin = None

    def read_told(self):
        """What the waiting program says: `r` when it is ready, `f` and a word, or nothing when it
        has started. Before that it gives its streams, which are taken here.
        """
        word, streams, _flags, _address = socket.recv_fds(self.told, TOLD_BYTES, STREAMS)
        if len(streams) == STREAMS:
            self.stdin, out, err = streams
            self.outputs = {out: b"o", err: b"e"}
            for fd in streams:
                os.set_blocking(fd, False)
            return self.told.recv(TOLD_BYTES)  # `BlockingIOError` when it has said no more yet
        return word

    def read_status(self):
        """What the keeper says: `e STATUS`, `c` and a piece, or nothing when it has ended."""
        try:
            return self.status.recv(READ_BYTES)
        except ConnectionResetError:  # it ended with something of ours unread
            return b""

    def last_word(self, not_started, oom, forks):
        """The frame that ends the call: its letter and payload."""
        if not_started or not self.is_started:
            return b"f", not_started or b"killed"
        code = os.waitstatus_to_exitcode(self.wait_status)
        how = b"exit" if code >= 0 else b"signal"
        if self.was_interrupted and code == -signal.SIGKILL:
            how, code = b"stopped", signal.SIGTERM
        return b"x", b"%s %d oom %d pids %d" % (how, abs(code), oom, forks)

    def close_socket(self, name):
        getattr(self, name).close()
        setattr(self, name, None)

    def drop_outputs(self):
        for fd in self.outputs:
            os.close(fd)
        self.outputs = {}

    def close(self):
        """Every descriptor that is still open."""
        self.drop_outputs()
        self.give_away()
        for fd in (self.stdin, self.request):
            if fd is not None:
                os.close(fd)
        for connection in (self.told, self.status):
            if connection is not None:
                connection.close()
        self.stdin = self.request = self.told = self.status = None


def pair():
    """A pair of message sockets: ours, which never blocks, and the descriptor of theirs."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs.detach()
