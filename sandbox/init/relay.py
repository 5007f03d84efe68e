"""The box's end of the way out: from a port on its loopback to the worker's proxy.

One job: carry bytes between the two, in one loop, in pieces. What may be reached is the proxy's to
say: this process is a user of its own who owns nothing, and it reads nothing of what it carries.
It knows no call. Standard library only.
"""

import os
import select
import socket

SOCKET_PATH = "/run/auxot/e"
MOST = 24  # connections at once: more than the proxy serves, so that it is the one to say no
WAITING = 16  # connections that nobody has taken yet
PIECE_BYTES = 64 << 10  # the most that is held of one direction
READABLE = select.POLLIN | select.POLLHUP | select.POLLERR


class End:
    """One end of a connection, and what is to be written to it."""

    def __init__(self, connection):
        connection.setblocking(False)
        self.connection = connection
        self.other = None
        self.unsent = b""
        self.gave_all = False  # it will send us nothing more
        self.got_all = False  # and it has been told that nothing more comes

    def wanted(self):
        """What to wait for: a piece is read only when the last one is written."""
        events = 0 if self.gave_all or self.other.unsent else select.POLLIN
        return events | (select.POLLOUT if self.unsent else 0)

    def read(self):
        data = self.connection.recv(PIECE_BYTES)
        self.gave_all = not data
        self.other.unsent = data
        self.other.write()

    def write(self):
        if self.unsent:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        if self.other.gave_all and not self.unsent and not self.got_all:
            self.got_all = True
            self.connection.shutdown(socket.SHUT_WR)


class Relay:
    """All connections of one box."""

    def __init__(self, listener):
        listener.setblocking(False)
        self.listener = listener
        self.ends = {}  # descriptor -> end

    def run(self):
        while True:
            poll = select.poll()
            if len(self.ends) < 2 * MOST:
                poll.register(self.listener, select.POLLIN)
            for fd, end in self.ends.items():
                if wanted := end.wanted():
                    poll.register(fd, wanted)
            for fd, events in poll.poll():
                if fd == self.listener.fileno():
                    self.take()
                elif fd in self.ends:
                    self.serve(self.ends[fd], events)

    def take(self):
        try:
            client, _address = self.listener.accept()
        except OSError:
            return  # it has left already
        proxy = socket.socket(socket.AF_UNIX)
        ends = End(client), End(proxy)
        try:
            proxy.connect(SOCKET_PATH)  # at once or not at all
        except OSError:  # the worker has closed it, or the program has filled its waiting line
            client.close()
            proxy.close()
            return
        ends[0].other, ends[1].other = ends[1], ends[0]
        for end in ends:
            self.ends[end.connection.fileno()] = end

    def serve(self, end, events):
        try:
            if events & READABLE and not end.gave_all and not end.other.unsent:
                end.read()
            if end.unsent:
                end.write()
        except BlockingIOError:
            return
        except OSError:
            self.drop(end)
            return
        if end.got_all and end.other.got_all:
            self.drop(end)

    def drop(self, end):
        """One end is broken, or all is said: what the other has not got yet is given up."""
        for each in (end, end.other):
            del self.ends[each.connection.fileno()]
            each.connection.close()


def open_listener(port):
    """The port, taken before anything runs that could take it instead."""
    listener = socket.socket(socket.AF_INET)
    listener.bind(("127.0.0.1", port))
    listener.listen(WAITING)
    return listener


def relay(listener):
    """Until killed. Never returns."""
    try:
        Relay(listener).run()
    finally:
        os._exit(1)
