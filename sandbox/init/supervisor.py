"""The loop of PID 1: one thing at a time, nothing ever waited for but in `poll`.

One job: what follows from what: a frame, a word of keeper or program, a signal, the clock. The
theory of operation is in init.py. Standard library only.
"""

import json
import os
import signal
import socket
import struct
import time

from call import Call
from channel import Ended
from counters import are_empty, count_oom_kills, count_refused_forks
from kernel import HEADER
from polling import any_readable, wait
from program import FOLDERS, is_node_script
from zygote import SHARED_FOLDERS

PROTOCOL = 3
REQUEST_LIMIT_BYTES = 64 << 20  # arguments, stdin and files; what a gRPC message may carry
READ_BYTES = 64 << 10
LITTLE_BYTES = 4 << 10  # after a smaller read the pipe is left to fill up for PAUSE_S, so that a
PAUSE_S = 0.005  # program that writes byte by byte does not cost the worker a frame for each
KEEPER_END_S = 10.0  # from the program's end: to kill what is left, and to take its files
DRAIN_S = 2.0  # after the kill pipes end at once; only a process stuck in the kernel takes longer
OVERTIME_S = 10.0  # the worker enforces the time limit; this much later we do it ourselves
ANSWER_BYTES = 200
SIGINFO = struct.Struct("=IiiI112x")  # signo, errno, code, pid of struct signalfd_siginfo (128 B)


class Supervisor:
    """Its state. `call` is the spare, or what it has become; there is at most one."""

    def __init__(self, box, channel, signals, zygote, zygote_pid):
        self.box, self.channel, self.signals = box, channel, signals
        self.zygote, self.zygote_pid = zygote, zygote_pid
        self.asked = []  # what the zygote has not yet answered: one at most
        self.early = {}  # statuses of processes that ended before the zygote's answer was read
        self.sweeper = 0  # pid
        self.call = None
        self.begin_request()
        self.not_started, self.keeper_failed = b"", False
        self.was_ready = False
        self.is_over = False  # nothing more will be run here
        self.told_to_leave = False
        self.look_at = 0.0  # when the outputs are looked at again, unless the program ends before
        self.stop_at = None  # when we act by ourselves: overtime, or the end of draining

    def begin_request(self):
        self.pieces, self.command, self.stdin_text = [], [], b""
        self.request_bytes, self.options = 0, None

    def run(self):
        """Until the channel ends, or the engine tells us to leave and all is said."""
        hello = {"protocol": PROTOCOL, "form": self.box["form"]}
        try:
            self.channel.queue(b"h", json.dumps(hello).encode())
            self.make_spare(self.box["ready"])
            while self.channel.unsent or not (self.told_to_leave and self.is_over):
                self.work_through(wait(self))
                self.on_clock()
        except Ended:
            return

    def work_through(self, ready):
        call = self.call
        for fd in ready:
            self.on_ready(fd)
            if self.call is not call:  # the numbers of closed descriptors may be others' now
                return

    # -- descriptors ------------------------------------------------------------------------------

    def on_ready(self, fd):
        try:
            self.handle(fd)
        except BlockingIOError:
            return  # the tool can read its own pipe (/proc/self/fd/1), and was faster

    def handle(self, fd):
        call = self.call
        if fd == self.channel.outgoing and self.channel.unsent:
            self.channel.send()
        if fd == self.channel.incoming:
            for frame in self.channel.receive():
                self.on_frame(*frame)
        elif fd == self.signals:
            self.on_signals()
        elif self.zygote is not None and fd == self.zygote.fileno():
            self.on_zygote()
        elif call is not None:
            self.handle_call(call, fd)

    def handle_call(self, call, fd):
        if call.told is not None and fd == call.told.fileno():
            self.on_told(call)
        elif call.status is not None and fd == call.status.fileno():
            self.on_status(call)
        elif fd in (call.request, call.stdin):
            call.feed(fd)
        elif fd in call.outputs:
            self.on_output(call, fd)

    # -- the worker ------------------------------------------------------------------------------

    def on_frame(self, kind, payload):
        if kind == b"k":
            self.on_kill()
            return
        if self.is_over or self.options is not None or not self.take(kind, payload):
            return
        self.options = json.loads(payload)
        is_for_node = is_node_script(self.command)
        if self.call is not None and self.call.runtime == "node" and not is_for_node:
            self.stop(self.call)  # of no use for this request: another is made when it has ended
        elif self.call is not None and self.call.is_ready:
            self.go(self.call)

    def take(self, kind, payload):
        """Keep one frame of a request; whether it was the last. What is too much ends it all."""
        self.request_bytes += HEADER.size + len(payload)
        is_early = self.call is not None and self.call.is_requested
        is_known = kind in (b"a", b"v", b"i", b"g", *FOLDERS)
        if is_early or not is_known or self.request_bytes > REQUEST_LIMIT_BYTES:
            self.channel.queue(b"f", b"protocol")
            self.is_over = True
            return False
        if kind == b"i":
            self.stdin_text = payload
            return False
        if kind == b"a":
            self.command.append(payload)
        if kind == b"g":
            return True
        self.pieces += HEADER.pack(kind, len(payload)), payload
        return False

    def go(self, call):
        """The request to the program that waits."""
        call.is_requested = True
        self.oom_before, self.forks_before = count_oom_kills(), count_refused_forks()
        self.stop_at = time.monotonic() + self.options["timeout_s"] + OVERTIME_S
        self.ask_for_files(call)
        words = b"%d %d %d" % (self.options["timeout_s"], self.options["cpu"], call.collects)
        self.pieces += HEADER.pack(b"g", len(words)), words
        call.give(self.pieces, self.stdin_text)
        self.begin_request()
        call.feed(call.request)
        call.feed(call.stdin)

    def ask_for_files(self, call):
        limits = self.options["collect"]
        if limits:
            call.collects = True
            words = (limits["files"], limits["file_bytes"], limits["total_bytes"])
            call.status.send(b"%d %d %d" % words)

    def on_kill(self):
        call = self.call
        has_request = self.options is not None or (call is not None and call.is_requested)
        if call is None or not has_request or call.wait_status is not None:
            return  # it has ended already; the next spare is not what was meant
        call.was_killed = True
        self.stop(call)

    def stop(self, call):
        """End the call's processes: the keeper does it, or takes them along."""
        if call.pid and not call.is_reaped:
            os.kill(call.pid, signal.SIGKILL if self.box["form"] == "ns" else signal.SIGTERM)

    # -- zygote, keeper, program -----------------------------------------------------------------

    def make_spare(self, runtime):
        self.call = Call(runtime)
        self.ask("keeper", runtime, self.call.theirs)
        self.call.give_away()

    def ask(self, purpose, message, descriptors=()):
        self.asked.append(purpose)
        socket.send_fds(self.zygote, [message.encode()], list(descriptors))

    def on_zygote(self):
        answer = self.zygote.recv(ANSWER_BYTES)
        if not answer:
            self.zygote.close()
            self.zygote = None
            if self.asked:
                self.give_up(b"the zygote ended before it answered")
            return
        purpose = self.asked.pop()
        if answer.startswith(b"!"):
            self.refuse(b"clone: " + answer[1:])
            return
        pid = int(answer)
        if purpose == "sweeper":
            self.sweeper = pid
        else:
            self.call.pid = pid
            if self.call.was_killed:
                self.stop(self.call)
        early, self.early = self.early, {}
        if pid in early:
            self.on_end(pid, early[pid])

    def on_told(self, call):
        word = call.read_told()
        if word == b"p":
            return
        if word == b"r":
            call.is_ready = self.was_ready = True
            if self.options is not None:
                self.go(call)
            else:
                self.channel.queue(b"r")
            return
        call.close_socket("told")
        if word.startswith(b"f!"):
            self.refuse(word[2:])
        elif word:
            self.not_started = word[1:]
        elif call.is_requested and not call.was_killed:
            call.is_started = True
            self.channel.queue(b"s")
        self.report_if_over(call)

    def on_status(self, call):
        message = call.read_status()
        if message.startswith(b"e "):
            call.wait_status = int(message[2:])
            self.look_at, self.stop_at = 0.0, time.monotonic() + KEEPER_END_S
        elif message.startswith(b"c"):
            self.channel.queue(b"c", message[1:])
            return
        elif message == b"d":
            self.channel.queue(b"c", message)  # that was all
        elif message.startswith(b"!"):
            self.refuse(message[1:])
        if not (message.startswith(b"e") and call.collects):
            call.close_socket("status")
        self.report_if_over(call)

    def refuse(self, reason):
        """There is no such place here: the worker has to take another form."""
        if self.was_ready:
            self.give_up(reason)
        elif not self.is_over:
            self.is_over = True
            self.channel.queue(b"n", reason[:ANSWER_BYTES])

    def give_up(self, reason):
        """No further call can be run here."""
        if not self.is_over:
            self.is_over = True
            self.channel.queue(b"z", reason[:ANSWER_BYTES])

    # -- output ----------------------------------------------------------------------------------

    def on_output(self, call, fd):
        if self.channel.unsent:
            return
        data = os.read(fd, READ_BYTES)
        if data:
            if len(data) < LITTLE_BYTES:
                self.look_at = time.monotonic() + PAUSE_S
            self.channel.queue(call.outputs[fd], data)
            return
        del call.outputs[fd]
        os.close(fd)
        self.report_if_over(call)

    # -- ends ------------------------------------------------------------------------------------

    def on_signals(self):
        info = os.read(self.signals, SIGINFO.size)
        number, _errno, code, sender = SIGINFO.unpack(info)
        if number == signal.SIGTERM and code == 0 and sender == 0:  # from outside: the engine
            self.told_to_leave = True
            if self.call is not None and self.call.is_requested:
                self.call.was_interrupted = self.call.wait_status is None
                self.stop(self.call)
            else:
                self.is_over = True
        self.reap()

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.zygote_pid and (self.call is None or not self.call.is_requested):
                self.give_up(b"the zygote ended")
            elif not self.on_end(pid, status) and self.asked:
                self.early[pid] = status  # perhaps of a process whose pid we have not heard yet

    def on_end(self, pid, status):
        """Whether it was a process that we asked for."""
        if self.call is not None and pid == self.call.pid:
            self.on_keeper_end(self.call, status)
            return True
        if pid == self.sweeper:
            self.sweeper = 0
            self.on_sweeper_end()
            return True
        return False

    def on_keeper_end(self, call, status):
        if call.status is not None and call.wait_status is None:  # its last word may be unread yet
            try:
                self.on_status(call)
            except BlockingIOError:
                pass  # it had none
        call.is_reaped = True
        if call.wait_status is None:
            call.wait_status = status
        self.keeper_failed = status != 0 and self.box["form"] == "uid"
        self.stop_at = time.monotonic() + DRAIN_S
        self.report_if_over(call)

    def on_clock(self):
        call = self.call
        if call is None:
            return
        is_quiet = call.wait_status is not None and call.outputs and not self.channel.unsent
        if is_quiet and self.box["mode"] == "session" and not any_readable(call.outputs, 0):
            call.drop_outputs()  # a process that lives on holds the pipes, and has written nothing
            self.report_if_over(call)
            return
        if self.stop_at is None or time.monotonic() < self.stop_at:
            return
        self.stop_at = time.monotonic() + DRAIN_S
        if call.wait_status is None:
            self.stop(call)
        elif not call.is_reaped:
            os.kill(call.pid, signal.SIGKILL)  # the keeper is stuck in taking files, or stopped
        elif not self.channel.unsent:  # a slow worker still gets everything
            call.drop_outputs()
            self.report_if_over(call)

    def report_if_over(self, call):
        """The last word, when the program has ended, its pipes are drained, its files are taken.

        The keeper may still be at work: it ends what holds no pipe. Nothing else begins before it
        has ended too.
        """
        if call is not self.call or call.wait_status is None or call.outputs:
            return
        if call.is_requested and not call.is_reported:
            if call.told is not None:  # nobody is left who could write: a last word, or the end
                if any_readable([call.told], 0):
                    self.on_told(call)
                return
            if call.collects and call.status is not None:
                return  # files are on their way
            call.is_reported = True
            oom = count_oom_kills() - self.oom_before
            forks = count_refused_forks() - self.forks_before
            self.channel.queue(*call.last_word(self.not_started, oom, forks))
        if call.is_reaped:
            self.end_call(call)

    def end_call(self, call):
        """Everything of it has ended; or it was a spare: exchanged, killed unused, or broken."""
        call.close()
        self.call, self.stop_at, self.not_started = None, None, b""
        if call.is_reported:
            self.prepare_next()
        elif call.was_killed:
            self.channel.queue(b"f", b"killed")
            self.begin_request()
            self.prepare_next()
        elif self.options is not None:
            self.make_spare("python")
        else:
            self.refuse(b"the spare ended by itself")

    def prepare_next(self):
        """Get ready for another call, where there may be one."""
        if self.is_over or self.told_to_leave or self.box["mode"] == "call":
            self.is_over = True
        elif self.zygote is None or self.keeper_failed:
            self.give_up(b"a process of ours was killed")
        elif self.box["mode"] == "warm" and self.box["form"] == "uid":
            self.ask("sweeper", "sweep")
        else:
            self.make_spare(self.box["ready"])

    def on_sweeper_end(self):
        if not are_empty(SHARED_FOLDERS):
            self.give_up(b"the folders could not be emptied")
            return
        self.make_spare(self.box["ready"])
