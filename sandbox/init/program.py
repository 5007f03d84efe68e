"""The process that becomes the program: waits in its place, takes its request, runs it.

One job: from a request to a running program. A Python script is run in this very interpreter, which
is up and warm; everything else replaces it by exec. It has the program's rights already when it
reads the request, so nothing here can do more than the program itself could. It knows nothing of
the channel. Standard library only.
"""

import atexit
import gc
import os
import resource
import signal
import socket
import sys
import types

from kernel import HEADER, LENGTH, set_dumpable, unblock_signals
from place import write

REQUEST, TOLD = 3, 4  # descriptors, while it waits
ABOVE = 64  # where descriptors are put aside before they get their places
COPY_BYTES = 64 << 10
OVERTIME_S = 10  # CPU time beyond the call's wall time; PID 1 has stopped the program long before
PREFERRED_OOM_VICTIM = b"500"
FOLDERS = {b"t": ("/tool", 0o555), b"w": ("/work", 0o644)}
OUT_FOLDER = "/work/out"
OUR_MODULES = ("call", "channel", "collect", "counters", "kernel", "place", "polling", "program",
               "relay", "supervisor", "zygote")  # fmt: skip
OWN_FOLDERS = ("/work/", "/tool/", "/tmp/")  # modules that a program brings
PYTHON_NAMES = {"python3", "/usr/bin/python3"}
NODE_NAMES = {b"node", b"/usr/bin/node"}
NODE_COMMAND = ("/usr/bin/node", "/usr/libexec/auxot/node.cjs")
REHEARSAL = b"""
import json, sys
def f(x):
    return f"{x!r}"
class C:
    pass
with open("/dev/null", "w") as file:
    print(f([1, 2.5, "a"]), {1: C()}, file=file)
try:
    json.loads("[1]")[1]
except IndexError as error:
    str(error)
"""


class NotStarted(Exception):
    """The program cannot be started; the argument is one word that says why."""


def wait_and_run(box, place, runtime, descriptors):
    """The child's whole life, from the fork by its keeper. Never returns."""
    told = TOLD
    try:
        arrange(descriptors)
        os.setsid()
        write_oom_score()
        place.enter()
        place.drop()
        go_to_work()
        open_streams(told)
        resource.setrlimit(resource.RLIMIT_NOFILE, box["nofile"])
        unblock_signals()
        if runtime == "node":
            become_node()
        rehearse()
        os.write(told, b"r")
        run(*read_request(box))
    except NotStarted as reason:
        os.write(told, b"f" + str(reason).encode())
    except BaseException as error:  # our own bug, or a place that cannot be had
        os.write(told, b"f" + f"!{type(error).__name__}: {error}".encode()[:500])
    finally:
        os._exit(127)


def arrange(descriptors):
    """Give our two descriptors their places, and close every other one."""
    for offset, fd in enumerate(descriptors):
        os.dup2(fd, ABOVE + offset)
    os.dup2(ABOVE, REQUEST, inheritable=False)
    os.dup2(ABOVE + 1, TOLD, inheritable=False)
    os.closerange(TOLD + 1, ABOVE + 2)


def go_to_work():
    """The folder is the program's: an earlier call of the session may have shut itself out."""
    try:
        os.chdir("/work")
    except OSError:
        os.chdir("/")


def open_streams(told):
    """Our own standard streams, whose other ends go to PID 1.

    We make them ourselves, so that they are the program's: /dev/stdout can be opened.
    """
    (stdin, their_stdin), (their_stdout, stdout), (their_stderr, stderr) = (
        os.pipe() for _ in range(3)
    )
    with socket.socket(fileno=told) as telling:
        socket.send_fds(telling, [b"p"], [their_stdin, their_stdout, their_stderr])
        telling.detach()
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
    os.closerange(TOLD + 1, TOLD + 7)


def write_oom_score():
    set_dumpable(1)  # or our own /proc/self would be root's
    write("/proc/self/oom_score_adj", PREFERRED_OOM_VICTIM)
    set_dumpable(0)


def rehearse():
    """Do once what most programs do first: the pages that it touches are then ours already.

    A process shares its parent's pages until it touches them, which costs a fault for each. Here
    nobody waits for it.
    """
    hides_our_modules("/")
    execute(REHEARSAL, "<rehearsal>", {"__name__": "rehearsal"})
    gc.collect()


def become_node():
    """Node.js loads, tells that it is ready, and reads the request itself (node.cjs)."""
    set_dumpable(1)
    for fd in (REQUEST, TOLD):
        os.set_inheritable(fd, True)
    restore_signals()
    os.execv(NODE_COMMAND[0], NODE_COMMAND)


def read_request(box):
    """The command and its options, with all files in their places."""
    command = []
    with os.fdopen(REQUEST, "rb", COPY_BYTES) as request:
        while header := request.read(HEADER.size):
            kind, length = HEADER.unpack(header)
            if kind in FOLDERS:
                put_file(kind, length, request)
            elif kind == b"a":
                command.append(request.read(length).decode())
            elif kind == b"v":
                name, _, value = request.read(length).partition(b"=")
                os.environb[name] = value
            else:
                return command, request.read(length).split(), box
    raise NotStarted("protocol")


def put_file(kind, length, request):
    """Write one file under a plain name: what had the name before goes, links are not followed.

    It is copied piece by piece, as the box's memory holds the file once already.
    """
    (name_length,) = LENGTH.unpack(request.read(LENGTH.size))
    name = request.read(name_length).decode()
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise NotStarted("protocol")
    folder, mode = FOLDERS[kind]
    path, left = f"{folder}/{name}", length - LENGTH.size - name_length
    try:
        remove(path)  # of an earlier call of the session
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        while left:
            piece = request.read(min(left, COPY_BYTES))
            left -= len(piece)
            while piece:
                piece = piece[os.write(file, piece) :]
        os.fchmod(file, mode)
        os.close(file)
    except OSError:
        raise NotStarted("files") from None


def remove(path):
    """Remove whatever has this name; a folder with all that is in it, links not followed."""
    if not os.path.isdir(path) or os.path.islink(path):
        if os.path.lexists(path):
            os.unlink(path)
        return
    for folder, folders, files in os.walk(path, topdown=False):
        for name in (*folders, *files):
            entry = f"{folder}/{name}"
            is_folder = name in folders and not os.path.islink(entry)
            (os.rmdir if is_folder else os.unlink)(entry)
    os.rmdir(path)


def run(command, options, box):
    """Become the program. Returns only by an exception."""
    timeout_s, cpu, collect = (int(word) for word in options)
    if box["mode"] != "session":  # what is kept there outlives the call's time
        resource.setrlimit(resource.RLIMIT_CPU, (timeout_s + OVERTIME_S, timeout_s + OVERTIME_S))
    place_on_cpus(cpu, box["visible_cpus"])
    if collect:
        make_out_folder()
    set_dumpable(1)
    if not command:
        raise NotStarted("unfit")
    if arguments := python_arguments(command):
        run_python(arguments)
    try:
        os.set_inheritable(TOLD, False)
        restore_signals()
        os.execvp(command[0], command)
    except PermissionError:
        raise NotStarted("denied") from None
    except (FileNotFoundError, NotADirectoryError):
        raise NotStarted("missing") from None
    except (OSError, ValueError):
        raise NotStarted("unfit") from None


def place_on_cpus(offset, count):
    """Run on as many processors as the limit gives, so that a program does not expect more."""
    here = sorted(os.sched_getaffinity(0))
    if count < len(here):
        os.sched_setaffinity(0, {here[(offset + n) % len(here)] for n in range(count)})


def make_out_folder():
    try:
        os.mkdir(OUT_FOLDER, 0o755)
    except FileExistsError:
        pass  # an earlier call of the session made it, or the program put something else there


def restore_signals():
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # ignored by Python, not for other programs
        signal.signal(number, signal.SIG_DFL)


def python_arguments(command):
    """What `python3` would be told, when this interpreter can stand in for it; else `None`."""
    if command[0] not in PYTHON_NAMES:
        return None
    rest = command[1:]
    if rest[:1] == ["-u"]:  # as we are
        rest = rest[1:]
    if len(rest) >= 2 and rest[0] == "-c":
        return rest
    if not rest or rest[0].startswith("-") or not os.path.isfile(rest[0]):
        return None
    if hides_our_modules(os.path.dirname(rest[0]) or "."):
        return None
    return rest


def is_node_script(command):
    """Whether a waiting Node.js can stand in for this command, whose words are bytes."""
    return len(command) > 1 and command[0] in NODE_NAMES and not command[1].startswith(b"-")


def hides_our_modules(folder):
    """A file beside the script that has the name of a module which is loaded here already."""
    names = {entry.name.partition(".")[0] for entry in os.scandir(folder)}
    return not names.isdisjoint(sys.modules)


def run_python(arguments):
    """Run a script, or `-c CODE`, as `python3` would, and end the process as `python3` would."""
    if arguments[0] == "-c":
        name, source, folder = "<string>", arguments[1].encode(), ""
        sys.argv = ["-c", *arguments[2:]]
    else:
        name = arguments[0]
        with open(name, "rb") as file:
            source = file.read()
        folder, sys.argv = os.path.dirname(os.path.abspath(name)), arguments
    sys.path[0] = folder
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as Python does at its start
    os.close(TOLD)  # it has started
    main = types.ModuleType("__main__")
    main.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={})
    if arguments[0] != "-c":
        main.__dict__.update(__file__=name, __cached__=None)
    sys.modules["__main__"] = main
    for ours in OUR_MODULES:
        sys.modules.pop(ours, None)
    known = set(sys.modules)
    status = execute(source, name, main.__dict__)
    finish(main, known, status)


def execute(source, name, namespace):
    """Compile and run; returns the exit status by Python's own rules."""
    try:
        exec(compile(source, name, "exec", dont_inherit=True), namespace)
    except SystemExit as end:
        return exit_status(end.code)
    except BaseException as error:
        trace = error.__traceback__.tb_next  # without the frame of this function
        show(type(error), error.with_traceback(trace), trace)
        return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    return 0


def show(kind, error, trace):
    """Tell of an exception as the program wants it told, or else as Python does."""
    try:
        sys.excepthook(kind, error, trace)
    except BaseException:
        sys.__excepthook__(kind, error, trace)


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


def finish(main, known, status):
    """What the interpreter does at its end: threads, exit handlers, open files, streams."""
    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        main.__dict__.clear()
        for name in [name for name in sys.modules if name not in known]:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(OWN_FOLDERS):
                sys.modules.pop(name).__dict__.clear()
        gc.collect()  # short: what was there before the program is frozen
    except BaseException:
        sys.excepthook(*sys.exc_info())
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            status = status or 120  # as Python does when standard output cannot be flushed
    os._exit(status)
