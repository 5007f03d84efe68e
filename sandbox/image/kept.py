"""Keeps one process alive between the calls of a session, for tools that run in the box.

One job: the guard, which owns the kept process, and a call's way to it. What the process is (an
interpreter, a shell) and what an order means is the tool's affair. Standard library only. It lies
in the image, as more than one tool needs it; everything here has the program's rights alone.

    call 1   forks the guard, then does as every call
    call n   gives the guard an order and its own standard streams, and waits for the answer
    guard    starts the kept process when there is none, hands orders on, tells how it ended; ends
             what a call was doing that was stopped, and the process with it if need be

The guard's socket has a name and no file, so nothing can be deleted, and belongs to the box's own
network namespace. Whoever is in the box may speak to it: that is all one session.
"""

import ctypes
import os
import resource
import select
import signal
import socket
import time

ORDER_BYTES = 4096
ANSWER_BYTES = 200
MOST_DESCRIPTORS = 4
MOST_OPEN = 1024  # descriptors that the first call may have left to the guard
CALLS_WAITING = 8  # a session has one call at a time; a stopped one may still be ending
PATIENCE_S = 0.5  # after an interrupt, and after a second one
RESTART = b"restart"
STREAMS = (0, 1, 2)
PR_SET_CHILD_SUBREAPER = 36
GUARD_LOST = "the process that kept it was ended, by a signal or together with a stopped call"


class Kept:
    """What a tool keeps; to be derived from. The guard calls all but `name`, `lost`."""

    name = ""  # of the socket: one for each kind of process in a box
    lost = ""  # a sentence: what was started anew, with {why}

    def start(self):
        """Start it; returns its pid."""
        raise NotImplementedError

    def give(self, order, descriptors):
        """Hand it an order. The descriptors stay open until its answer."""
        raise NotImplementedError

    def fileno(self):
        """What becomes readable with the answer."""
        raise NotImplementedError

    def answer(self):
        """The exit status of what was ordered; `None` when there is no answer after all."""
        raise NotImplementedError

    def drop(self):
        """It has ended: close what led to it."""
        raise NotImplementedError


def have_done(kept, order, descriptors=STREAMS):
    """Have the kept process do `order`; returns how that ended: an exit code, or minus a signal."""
    with connect(kept) as connection:
        socket.send_fds(connection, [order], list(descriptors))
        answer = connection.recv(ANSWER_BYTES).split()
    if len(answer) == 2:
        return int(answer[1])
    if answer == [b"refused"]:
        say("No process could be started: too many are running in this session. End some first.")
    else:
        say(kept.lost.format(why=GUARD_LOST))
    return 1


def end_as(code):
    """End this process by an exit code, or, when it is negative, by that signal. Never returns."""
    if code < 0:
        if code != -signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


def say(text, stream=2):
    """Tell the model something; when nobody reads, that is all right."""
    try:
        os.write(stream, f"[{text}]\n".encode())
    except OSError:
        pass


# -- the call's side


def connect(kept):
    address = f"\0auxot-kept-{kept.name}"
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if connection.connect_ex(address) != 0:
        start_guard(kept, address)
        connection.connect(address)
    return connection


def start_guard(kept, address):
    """Fork it. When this session had one before, say that it is lost."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(CALLS_WAITING)
    try:
        os.close(os.open(f"/tmp/.kept-{kept.name}", os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        say(kept.lost.format(why=GUARD_LOST))
    except OSError:
        pass  # without it there is no such notice, and nothing else is amiss
    if os.fork():
        listener.close()
        return
    try:
        leave_call(listener.fileno())
        Guard(listener, kept).serve()
    finally:
        os._exit(1)


def leave_call(kept_open):
    """Out of the call's session, its streams and everything else that it had open."""
    os.setsid()
    nowhere = os.open("/dev/null", os.O_RDWR)
    for stream in STREAMS:
        os.dup2(nowhere, stream)
    os.closerange(3, kept_open)
    os.closerange(kept_open + 1, MOST_OPEN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Orphans of the kept process come to us, so that what a call started can be found and ended.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


# -- the guard


class Guard:
    """Serves one call after the other. `pid` is the kept process's, 0 while there is none."""

    def __init__(self, listener, kept):
        self.listener, self.kept = listener, kept
        self.pid, self.ended, self.why = 0, None, ""
        self.woken, waking = os.pipe()
        for fd in (self.woken, waking):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waking, warn_on_full_buffer=False)

    def serve(self):
        while True:
            if self.listener.fileno() in self.wait(self.listener.fileno(), until_s=None):
                connection, _address = self.listener.accept()
                with connection:
                    self.take(connection)

    def take(self, connection):
        """One call, from its order to the answer."""
        order, descriptors, _flags, _address = socket.recv_fds(
            connection, ORDER_BYTES, MOST_DESCRIPTORS
        )
        try:
            if order == RESTART:
                self.end_everything()
                answer = b"code 0"
            elif len(descriptors) >= len(STREAMS):
                answer = self.have_done(order, descriptors, connection)
            else:
                return
            connection.send(answer)
        except OSError:
            pass  # the call is gone
        finally:
            for fd in descriptors:
                os.close(fd)

    def have_done(self, order, descriptors, connection):
        try:
            self.make_sure_it_lives(descriptors[2])
        except OSError:
            return b"refused"
        earlier = self.descendants()
        self.ended = None
        try:
            self.kept.give(order, descriptors)
        except OSError:
            pass  # it has just ended, and we are about to be told
        while self.pid:
            ready = self.wait(self.kept.fileno(), connection.fileno(), until_s=None)
            if self.pid and self.kept.fileno() in ready:
                status = self.kept.answer()
                if status is not None:
                    return b"code %d" % status
                os.kill(self.pid, signal.SIGKILL)  # it is ending, or has shut its only way to us
                self.wait_for_end()
            elif connection.fileno() in ready:
                self.stop(earlier)
                return b""
        return b"code %d" % os.waitstatus_to_exitcode(self.ended)

    def make_sure_it_lives(self, stream):
        if self.pid:
            return
        if self.ended is not None:
            say(self.kept.lost.format(why=self.why), stream)
        self.why = ""
        self.pid = self.kept.start()

    def stop(self, earlier):
        """End what a stopped call was doing: ask twice, then end the kept process as well."""
        # The kept process first: a shell whose child dies of an interrupt that it has not had
        # itself goes on with the next command.
        self.interrupt()
        self.signal_below(signal.SIGINT, earlier)
        if not self.has_come_back():
            self.signal_below(signal.SIGKILL, earlier)
            self.interrupt()
            if not self.has_come_back():
                os.kill(self.pid, signal.SIGKILL)
                self.why = "it did not stop when its call was stopped"
                self.wait_for_end()
        self.signal_below(signal.SIGKILL, earlier)

    def interrupt(self):
        if self.pid:
            os.kill(self.pid, signal.SIGINT)

    def has_come_back(self):
        """Whether it has answered, or ended, within the time that it gets."""
        give_up_at = time.monotonic() + PATIENCE_S
        while self.pid and (left_s := give_up_at - time.monotonic()) > 0:
            ready = self.wait(self.kept.fileno(), until_s=left_s)
            if self.pid and self.kept.fileno() in ready:
                return self.kept.answer() is not None
        return not self.pid

    def end_everything(self):
        self.signal_below(signal.SIGKILL, set())
        if self.pid:
            self.wait_for_end()
        self.ended, self.why = None, ""

    def wait_for_end(self):
        while self.pid:
            self.wait(until_s=None)

    def signal_below(self, number, spared):
        """Signal what is below us, but not those that `spared` has."""
        for pid, _began in self.descendants() - spared:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass  # it has just ended

    def descendants(self):
        """All that is below us, each as its pid and the time of its start."""
        parents, began = {}, {}
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open(f"/proc/{name}/stat", "rb") as file:
                        facts = file.read().rpartition(b")")[2].split()
                except OSError:
                    continue  # it has just ended
                parents[int(name)], began[int(name)] = int(facts[1]), int(facts[19])
        below = {os.getpid()}
        while more := {pid for pid, parent in parents.items() if parent in below} - below:
            below |= more
        return {(pid, began[pid]) for pid in below if pid in began and pid != os.getpid()}

    def wait(self, *descriptors, until_s):
        """Those that are ready; returns early, with fewer, when a child has ended."""
        poll = select.poll()
        for fd in (self.woken, *descriptors):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(None if until_s is None else until_s * 1000)]
        if self.woken in ready:
            try:
                os.read(self.woken, ANSWER_BYTES)
            except BlockingIOError:
                pass
            self.reap()
        return ready

    def reap(self):
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.pid, self.ended = 0, status
                self.why = self.why or how_it_ended(status, used.ru_utime + used.ru_stime)
                self.kept.drop()


def how_it_ended(status, cpu_s):
    limit_s, _hard = resource.getrlimit(resource.RLIMIT_CPU)
    code = os.waitstatus_to_exitcode(status)
    if code < 0 and 0 < limit_s <= cpu_s + 1:
        return f"it had used up the {limit_s} s of CPU time that it may have"
    if code >= 0:
        return f"it ended with exit code {code}"
    try:
        return f"it was ended by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"it was ended by signal {-code}"
