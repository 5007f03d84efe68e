"""Runs the code of a session's call: Python in an interpreter that is kept, the rest by itself.

One job: `python_session.py LANGUAGE FILE`, a call's program in the box when `session` is true.
Python's variables, imports and functions stay from call to call, in a process that `kept.py` of
the image looks after; of the other languages only files stay. Standard library only.

Files in /work/out that a call of the session has returned already make way for the next call's:
they are moved to /work/returned when that begins, unless they were changed meanwhile.
"""

# Pathlib and contextlib would be loaded for each call.
import ast
import json
import linecache
import os
import signal
import socket
import sys
import traceback
import types

sys.path.append("/usr/libexec/auxot/lib")
import kept

sys.path.pop()

INTERPRETERS = {"javascript": "node", "bash": "bash"}
OUT, RETURNED = "/work/out", "/work/returned"
RETURNED_LIST = "/tmp/.returned"  # what the last call gave back: name -> facts of the file
SOURCES = 200  # of the latest calls are kept for tracebacks


# -- the call


def main():
    language, path = sys.argv[1:]
    move_returned_files()
    if language == "python":
        code = kept.have_done(Interpreter(), path.encode())
    else:
        code = run_program(INTERPRETERS[language], path)
    note_returned_files()
    kept.end_as(code)


def run_program(*command):
    """Its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, not for others
                signal.signal(number, signal.SIG_DFL)
            os.execvp(command[0], command)
        finally:
            os._exit(127)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def files_of_out():
    """What makes a file in /work/out the one that it was; plain files only."""
    found = {}
    try:
        with os.scandir(OUT) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    found[entry.name] = [facts.st_ino, facts.st_size, facts.st_mtime_ns]
    except OSError:
        pass  # it is not there, or not a folder
    return found


def note_returned_files():
    try:
        with open(RETURNED_LIST, "w") as file:
            json.dump(files_of_out(), file)
    except OSError:
        pass  # the disk is full: these files will be returned once more


def move_returned_files():
    try:
        with open(RETURNED_LIST) as file:
            returned = json.load(file)
        there = files_of_out()
        for name in [name for name, facts in there.items() if returned.get(name) == facts]:
            os.makedirs(RETURNED, exist_ok=True)
            os.replace(f"{OUT}/{name}", f"{RETURNED}/{name}")
    except (OSError, ValueError, AttributeError):
        pass  # nothing was returned yet, or the program put something else there


# -- the interpreter that is kept


class Interpreter(kept.Kept):
    """A fork of the guard, which has run no code of a call; spoken to over a socket of messages."""

    name = "python"
    lost = (
        "The Python of this session was started anew: {why}. Variables, imports and functions of "
        "earlier calls are gone; files are still there."
    )

    def start(self):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                os.closerange(3, theirs.fileno())
                os.closerange(theirs.fileno() + 1, kept.MOST_OPEN)
                serve(theirs)
            finally:
                os._exit(1)
        theirs.close()
        return pid

    def give(self, order, descriptors):
        socket.send_fds(self.socket, [order], descriptors[:3])

    def fileno(self):
        return self.socket.fileno()

    def answer(self):
        word = self.socket.recv(kept.ANSWER_BYTES)
        return int(word) if word.isdigit() else None

    def drop(self):
        self.socket.close()


def serve(orders):
    """One piece of code after the other, until the guard is gone. Never returns.

    Between calls the streams lead nowhere, so that a call's end is the end of its output.
    """
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    for name in ("kept", "python_session"):
        sys.modules.pop(name, None)
    sys.modules["__main__"] = main
    sys.path[0] = "/work"
    nowhere, ours, number = os.open("/dev/null", os.O_RDWR), os.getpid(), 0
    while True:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        order, streams, _flags, _address = socket.recv_fds(orders, kept.ORDER_BYTES, 3)
        if not order:
            os._exit(0)
        number += 1
        for stream, fd in enumerate(streams):
            os.dup2(fd, stream)
            os.close(fd)
        renew_streams()
        status = run(order.decode(), number, main)
        if os.getpid() != ours:  # a fork made by the code, which has come to the code's end
            os._exit(status)
        for stream in range(3):
            os.dup2(nowhere, stream)
        orders.send(b"%d" % status)


def renew_streams():
    """Standard input is another with every call. The others stay, as loggers keep hold of them."""
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, f"__{name}__")
        if stream is None or stream.closed:
            stream = open(fd, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
            setattr(sys, f"__{name}__", stream)
        stream.reconfigure(write_through=True)
        setattr(sys, name, stream)


def run(path, number, main):
    """Run one file in the namespace that is kept; returns the exit status by Python's own rules."""
    name = f"<call {number}>"
    status = 0
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        remember_source(name, number, text)
        sys.argv, main.__file__ = [path], path
        signal.signal(signal.SIGINT, signal.default_int_handler)
        execute(text, name, main.__dict__)
    except SystemExit as end:
        status = exit_status(end.code)
    except BaseException as error:
        status = 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
        show(error)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except BaseException:
            status = status or 120  # as Python does when standard output cannot be flushed
    return status


def execute(text, name, namespace):
    """As an interactive Python does: the value of a last expression is shown, unless it is None."""
    tree = compile(text, name, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), namespace)
    if last is not None:
        value = compile(ast.Expression(last.value), name, "eval", dont_inherit=True)
        sys.displayhook(eval(value, namespace))


def remember_source(name, number, text):
    """For tracebacks: there is no file of this name. Functions outlive the call that made them."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    linecache.cache.pop(f"<call {number - SOURCES}>", None)


def show(error):
    """Tell of an exception as the program wants it told, or else as Python does, without us."""
    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        error = error.with_traceback(trace)
        if sys.excepthook is sys.__excepthook__:
            traceback.print_exception(type(error), error, trace)
        else:
            sys.excepthook(type(error), error, trace)
    except BaseException:
        pass  # nobody reads any more, or the code's own hook fails


def exit_status(code):
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    try:
        print(code, file=sys.stderr)
    except BaseException:
        pass  # the status says enough
    return 1


if __name__ == "__main__":
    main()
