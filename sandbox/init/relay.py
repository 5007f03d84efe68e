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


class Broken(Exception):
    """An end that can no longer be used; it is the argument."""


class End:
    """One end of a connection, and what is to be written to it."""

    def __init__(self, connection, is_client):
        connection.setblocking(False)
        self.connection, self.is_client = connection, is_client
        self.other = None
        self.unsent = b""
        self.gave_all = False  # it will send us nothing more
        self.got_all = False  # and it has been told that nothing more comes

    def wanted(self):
        """What to wait for: a piece is read only when the last one is written."""
        events = 0 if self.gave_all or self.other.unsent else select.POLLIN
        return events | (select.POLLOUT if self.unsent else 0)

    def read(self):
        try:
            data = self.connection.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            raise Broken(self) from None
        self.gave_all = not data
        self.other.unsent = data
        self.other.write()

    def write(self):
        try:
            if self.unsent:
                self.unsent = self.unsent[self.connection.send(self.unsent) :]
            if self.other.gave_all and not self.unsent and not self.got_all:
                self.got_all = True
                self.connection.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            raise Broken(self) from None


class Nowhere(End):
    """What stands for a proxy that has hung up: it says nothing and takes everything."""

    def __init__(self, client):
        self.other, self.unsent = client, b""
        self.gave_all, self.got_all = True, client.gave_all

    def write(self):
        self.unsent, self.got_all = b"", self.other.gave_all


class Relay:
    """All connections of one box.

    A client has its place until it closes, also when the proxy has hung up: so the number of
    sockets with anything in their buffers is bounded, which the kernel does not do for the box.
    """

    def __init__(self, listener):
        listener.setblocking(False)
        self.listener = listener
        self.ends = {}  # descriptor -> end
        self.clients = 0

    def run(self):
        while True:
            poll = select.poll()
            if self.clients < MOST:
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
            connection, _address = self.listener.accept()
        except OSError:
            return  # it has left already
        client, proxy = End(connection, True), End(socket.socket(socket.AF_UNIX), False)
        client.other, proxy.other = proxy, client
        self.clients += 1
        for end in (client, proxy):
            self.ends[end.connection.fileno()] = end
        try:
            proxy.connection.connect(SOCKET_PATH)  # at once or not at all
        except OSError:  # the worker has closed it, or the program has filled its waiting line
            self.lose(proxy)

    def serve(self, end, events):
        try:
            if events & READABLE and not end.gave_all and not end.other.unsent:
                end.read()
            if end.unsent:
                end.write()
        except Broken as broken:
            self.lose(broken.args[0])
            return
        if end.got_all and end.other.got_all:
            self.drop(end if end.is_client else end.other)

    def lose(self, end):
        """An end is broken: a client with all of its connection, a proxy alone."""
        if end.is_client:
            self.drop(end)
            return
        del self.ends[end.connection.fileno()]
        end.connection.close()
        client = end.other
        client.other = Nowhere(client)
        try:
            client.write()
        except Broken:
            self.drop(client)
            return
        if client.got_all and client.other.got_all:
            self.drop(client)

    def drop(self, client):
        self.clients -= 1
        for end in (client, client.other):
            if not isinstance(end, Nowhere):
                del self.ends[end.connection.fileno()]
                end.connection.close()


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
