"""PID 1 of every sandbox container: takes one request, runs one program, tells how it ended.

One job: be the only thing in the container that speaks with the worker. It is run as
`/usr/bin/python3 -I -S init.py` with the container's own fixed user, no capabilities and our
seccomp profile. It knows nothing of Docker, tools or JSON, and imports little, for a fast start.

Theory of operation
-------------------
The channel. The worker holds the container's stdin and stdout. Both carry frames: one letter, a
big-endian 32-bit length, the payload. When stdin ends, the worker is gone: everything is killed
and the container ends. So a container never outlives its worker.

    to us    a argument (in order)   i stdin   t file for /tool   w file for /work
             l time limit, seconds   g go      k kill what runs, then report
    from us  s the program runs      o e its stdout, stderr
             x how it ended, "exit N oom K", "signal N oom K", or "stopped N oom K" when that
               was the engine's doing: the last frame
             f it could not be started, one word: the last frame

A file's payload is a 16-bit name length, the name, the data. All frames together are bounded.

The life of a call. Files are written, the program is started in a session of its own with three
pipes and no other descriptor. One poll loop moves the pipes' data to stdout. A pipe is read only
when all that was read before is sent: we hold one read at most, and a program that writes faster
than the worker reads is slowed down by its own full pipe. Orphans become our children, and are
reaped. When the main process ends, everything left is killed (`kill(-1)` from PID 1 reaches every
process of the container at once, so a fork bomb cannot outrun it), the pipes are drained, and only
then the end is reported: a daemon left behind cannot hold a call up. We leave when stdin ends.

Why the tool cannot reach us, although it runs as the same user. We are not dumpable, so
/proc/1/{fd,mem,environ,...} belongs to root, and ptrace is refused. As PID 1 we get no signal from
inside that we have no handler for, and we have none at all: SIGTERM and SIGCHLD are blocked and
read from a signalfd, and SIGTERM counts only when the kernel says that its sender is outside
(`si_code` SI_USER and sender 0; a program that uses up its user's pending signals can imitate it,
and so end itself as if stopped from outside, no more). The channel's descriptors are
replaced in the child before the program runs. seccomp refuses limits and scheduling for other
processes. The kernel could still choose us when memory runs out: the program is made the preferred
victim, and when it happens all the same, the engine tells the worker so.

When this program has a bug, its traceback goes to stderr, which no tool has.
"""

# (pathlib and contextlib would cost milliseconds at every start.)

import ctypes
import os
import select
import signal
import struct
import sys
import time

REQUEST_LIMIT_BYTES = 64 << 20  # arguments, stdin and files; what a gRPC message may carry
READ_BYTES = 64 << 10  # a pipe's capacity: the most that one read can give
LITTLE_BYTES = 4 << 10  # after a smaller read the pipe is left to fill up for PAUSE_S, so that a
PAUSE_S = 0.005  # program that writes byte by byte does not cost the worker a frame for each
DRAIN_S = 2.0  # after kill(-1) pipes end at once; only a process stuck in the kernel takes longer
OVERTIME_S = 10.0  # the worker enforces the time limit; this much later we do it ourselves
LIBC = ctypes.CDLL(None, use_errno=True)
HEADER = struct.Struct(">cI")
SIGINFO = struct.Struct("=IiiI112x")  # signo, errno, code, pid of struct signalfd_siginfo (128 B)
PR_SET_DUMPABLE = 4
PREFERRED_OOM_VICTIM = b"500"
FOLDERS = {b"t": ("/tool", 0o555), b"w": ("/work", 0o644)}
ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/work",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",  # what was printed before a time limit must be seen
}
OOM_COUNTERS = (
    "/sys/fs/cgroup/memory.events",  # cgroup v2
    "/sys/fs/cgroup/memory/memory.oom_control",  # cgroup v1
)


class NotStarted(Exception):
    """The program was not started; the argument is the word that goes into frame `f`."""


def split_file(payload):
    """The name and the data of a file frame. The name must be plain: no folder, no dots alone."""
    (length,) = struct.unpack_from(">H", payload)
    name = payload[2 : 2 + length].decode()
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise NotStarted("protocol")
    return name, payload[2 + length :]


def set_dumpable(value):
    if LIBC.prctl(PR_SET_DUMPABLE, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def harden():
    """Out of reach of the tool: see above. Returns the descriptor that signals are read from."""
    set_dumpable(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python's own handler: PID 1 then ignores it
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    mask = (ctypes.c_ulong * 16)(1 << (signal.SIGCHLD - 1) | 1 << (signal.SIGTERM - 1))
    if (signals := LIBC.signalfd(-1, mask, os.O_CLOEXEC | os.O_NONBLOCK)) < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return signals


def count_oom_kills():
    """How often the kernel has killed for memory in this container; 0 when it does not say."""
    for path in OOM_COUNTERS:
        try:
            with open(path, "rb") as file:
                return sum(int(line[9:]) for line in file if line.startswith(b"oom_kill "))
        except OSError:
            continue
    return 0


def write_files(files):
    """Put the files in place. New names only, never through a link."""
    for kind, name, data in files:
        folder, mode = FOLDERS[kind]
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
            with open(os.open(f"{folder}/{name}", flags, 0o600), "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
        except OSError:
            raise NotStarted("files") from None
    os.chmod("/tool", 0o555)


def start(command):
    """Fork and exec; returns the pid and our ends of its stdin, stdout and stderr."""
    inner, outer = [], []
    for stream in range(3):
        read_end, write_end = os.pipe()
        inner.append(read_end if stream == 0 else write_end)
        outer.append(write_end if stream == 0 else read_end)
    told, tell = os.pipe()
    if (pid := os.fork()) == 0:
        become_program(command, inner, tell)
    for fd in (*inner, tell):
        os.close(fd)
    refused = os.read(told, 16)  # ends at exec, or says why there was none
    os.close(told)
    if refused:
        raise NotStarted(refused.decode())
    for fd in outer:
        os.set_blocking(fd, False)
    return pid, outer


def become_program(command, inner, tell):
    """The child's part of `start`. Everything but 0, 1, 2 closes at exec (Python's default)."""
    try:
        os.setsid()
        os.chdir("/work")
        set_dumpable(1)  # exec does it anyway; without it our own /proc/self is root's
        with open("/proc/self/oom_score_adj", "wb", 0) as file:
            file.write(PREFERRED_OOM_VICTIM)
        for target, fd in enumerate(inner):
            os.dup2(fd, target)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, not for the tool
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvpe(command[0], command, ENVIRONMENT)
    except PermissionError:
        os.write(tell, b"denied")
    except (FileNotFoundError, NotADirectoryError):
        os.write(tell, b"missing")
    except BaseException:
        os.write(tell, b"unfit")
    finally:
        os._exit(127)


def kill_everything():
    try:
        os.kill(-1, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nobody is left


class Init:
    """The poll loop and its state."""

    def __init__(self, signals):
        self.signals = signals
        self.incoming, self.incoming_bytes = bytearray(), 0
        self.command, self.files, self.timeout_s = [], [], 0.0
        self.unsent = b""
        self.tool_stdin, self.unread_stdin = None, memoryview(b"")
        self.outputs = {}  # descriptor -> frame letter, until it ends
        self.pid, self.status = 0, None
        self.ended = False  # the last frame is queued
        self.told_to_leave = False
        self.interrupted = False  # told to leave before the program's end
        self.look_at = 0.0  # when the outputs are looked at again, unless the program ends before
        self.stop_at = None  # when we act by ourselves: overtime, or the end of draining
        self.oom_before = count_oom_kills()

    def run(self):
        """Until stdin ends: the engine drops output that is unread 2 s after a container's end."""
        while self.unsent or not (self.ended and self.told_to_leave):
            for fd in self.wait():
                self.on_ready(fd)
            self.on_clock()

    def wait(self):
        """Descriptors that are ready. A pipe is looked at only while nothing waits to be sent."""
        now = time.monotonic()
        pausing = self.status is None and now < self.look_at
        poll = select.poll()
        for fd in (0, self.signals, *(() if self.unsent or pausing else self.outputs)):
            poll.register(fd, select.POLLIN)
        if self.unsent:
            poll.register(1, select.POLLOUT)
        if self.tool_stdin is not None:
            poll.register(self.tool_stdin, select.POLLOUT)
        until = self.look_at if pausing else self.stop_at
        wait_ms = None if until is None else max(0.0, until - now) * 1000 + 1
        return [fd for fd, _ in poll.poll(wait_ms)]

    def on_ready(self, fd):
        if fd == 0:
            self.on_channel()
        elif fd == 1:
            self.send()
        elif fd == self.signals:
            self.on_signals()
        elif fd == self.tool_stdin:
            self.feed()
        elif fd in self.outputs and not self.unsent:
            self.on_output(fd)

    def on_channel(self):
        data = os.read(0, READ_BYTES)
        if not data:  # the worker is gone
            kill_everything()
            os._exit(0)
        if self.ended:
            return
        self.incoming += data
        self.incoming_bytes += len(data)
        if self.incoming_bytes > REQUEST_LIMIT_BYTES:
            self.end(b"f", b"protocol")
        while not self.ended and len(self.incoming) >= HEADER.size:
            kind, length = HEADER.unpack_from(self.incoming)
            whole = HEADER.size + length
            if len(self.incoming) < whole:
                return
            payload = bytes(self.incoming[HEADER.size : whole])
            del self.incoming[:whole]
            self.on_frame(kind, payload)

    def on_frame(self, kind, payload):
        if kind == b"k":
            kill_everything()
            if not self.pid:
                self.end(b"f", b"killed")
            return
        try:
            self.on_request(kind, payload)
        except NotStarted as reason:
            kill_everything()
            self.end(b"f", str(reason).encode())

    def on_request(self, kind, payload):
        if self.pid:
            raise NotStarted("protocol")
        if kind == b"a":
            self.command.append(payload)
        elif kind == b"i":
            self.unread_stdin = memoryview(payload)
        elif kind in FOLDERS:
            self.files.append((kind, *split_file(payload)))
        elif kind == b"l":
            self.timeout_s = float(payload)
        elif kind == b"g":
            self.go()
        else:
            raise NotStarted("protocol")

    def go(self):
        write_files(self.files)
        self.files.clear()
        self.pid, (self.tool_stdin, out, err) = start(self.command)
        self.outputs = {out: b"o", err: b"e"}
        self.stop_at = time.monotonic() + self.timeout_s + OVERTIME_S
        self.feed()
        self.queue(b"s", b"")

    def feed(self):
        """Give the program more of its stdin; close it when all is given or nobody reads."""
        try:
            while self.unread_stdin:
                count = os.write(self.tool_stdin, self.unread_stdin[:READ_BYTES])
                self.unread_stdin = self.unread_stdin[count:]
        except BlockingIOError:
            return
        except BrokenPipeError:
            self.unread_stdin = memoryview(b"")
        os.close(self.tool_stdin)
        self.tool_stdin = None

    def on_output(self, fd):
        try:
            data = os.read(fd, READ_BYTES)
        except BlockingIOError:  # the tool can read its own pipe (/proc/self/fd/1), and was faster
            return
        if data:
            if len(data) < LITTLE_BYTES:
                self.look_at = time.monotonic() + PAUSE_S
            self.queue(self.outputs[fd], data)
            return
        del self.outputs[fd]
        os.close(fd)
        self.report_if_over()

    def on_signals(self):
        try:
            info = os.read(self.signals, SIGINFO.size)
        except BlockingIOError:
            return
        number, _errno, code, sender = SIGINFO.unpack(info)
        if number == signal.SIGTERM and code == 0 and sender == 0:  # from outside: the engine
            self.told_to_leave = True
            self.interrupted = self.status is None
            kill_everything()
            if not self.pid:
                self.end(b"f", b"killed")
        self.reap()

    def reap(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status
                kill_everything()
                self.stop_at = time.monotonic() + DRAIN_S
                self.report_if_over()

    def on_clock(self):
        if self.ended or self.stop_at is None or time.monotonic() < self.stop_at:
            return
        kill_everything()
        self.stop_at = time.monotonic() + DRAIN_S
        if self.status is not None and not self.unsent:  # a slow worker still gets everything
            self.outputs.clear()
            self.report_if_over()

    def report_if_over(self):
        """The last word: when the main process has ended and its pipes are drained."""
        if self.status is None or self.outputs or self.ended:
            return
        oom = count_oom_kills() - self.oom_before
        code = os.waitstatus_to_exitcode(self.status)
        how = b"exit" if code >= 0 else b"signal"
        if self.interrupted and code == -signal.SIGKILL:
            how, code = b"stopped", signal.SIGTERM
        self.end(b"x", b"%s %d oom %d" % (how, abs(code), oom))

    def end(self, kind, payload):
        """Queue the last frame; what is still in a pipe is given up."""
        if self.ended:
            return
        self.outputs.clear()
        self.ended = True
        self.queue(kind, payload)

    def queue(self, kind, payload):
        self.unsent += HEADER.pack(kind, len(payload)) + payload
        self.send()

    def send(self):
        try:
            while self.unsent:
                self.unsent = self.unsent[os.write(1, self.unsent) :]
        except BlockingIOError:
            return
        except BrokenPipeError:  # nobody reads any more: the same as stdin's end
            kill_everything()
            os._exit(0)


def main():
    os.set_blocking(1, False)
    Init(harden()).run()


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    main()
