"""The programs of the weak set-ups, as text: PID 1, agents, a collector. Each is weak on purpose.

They run in containers of `attack_weak` only; nothing here is imported by the product.
"""

ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/work",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
}

# PID 1: handles signals, listens where everybody may speak, and never reaps. The image has no
# setuid programs, as most images have: here is one.
PID_1 = """
import os, signal, socket, threading
def hit(number, frame):
    open("/tmp/init_was_hit", "w").write(str(number))
for number in (1, 2, 3, 10, 12, 15):
    signal.signal(number, hit)
os.makedirs("/run/auxot", exist_ok=True)
for folder in ("/work", "/work/out", "/tmp", "/run/auxot", "/dev/shm", "/tool"):
    os.makedirs(folder, exist_ok=True)
    os.chmod(folder, 0o1777)
os.chmod("/usr/bin/su", 0o4755)
server = socket.socket(socket.AF_UNIX)
server.bind("/run/auxot/s")
server.listen(16)
os.chmod("/run/auxot/s", 0o777)
open("/tmp/.ready", "w").close()
while True:
    server.accept()[0].close()
"""

WAIT_FOR_PID_1 = """
import os, time
end = time.monotonic() + 10
while not os.path.exists("/tmp/.ready") and time.monotonic() < end:
    time.sleep(0.01)
"""

# Waits, at most 10 s, until the first program of two has said that it is done.
WAIT_FOR_WORD = """
for _ in $(seq 500); do grep -q PLANTED "$1" && break; sleep 0.02; done
cat "$1"
"""

# Runs a program as a child of the same user, with all it has itself, and tells how it ended.
AGENT = """
import json, os, subprocess, sys
folder = os.open("/etc", os.O_RDONLY)
os.set_inheritable(folder, True)
for code in json.loads(sys.argv[1]):
    run = subprocess.run(["python3", "-u", "-c", code], stdin=0, close_fds=False)
    os.write(1, b"\\0EXIT %d\\n" % abs(run.returncode))
"""

# Keeps what it was asked to run, and forks without the C library's and Python's own care.
ZYGOTE = """
import ctypes, json, os, random, sys
programs = json.loads(sys.argv[1])
random.random()
libc = ctypes.PyDLL(None)
for code in programs:
    if libc.fork() == 0:
        try:
            exec(compile(code, "main.py", "exec"), {"__name__": "__main__"})
        finally:
            sys.stdout.flush()
            os._exit(0)
    _, status = os.wait()
    os.write(1, b"\\0EXIT %d\\n" % os.waitstatus_to_exitcode(status))
"""

INTERPRETER = """
import json, os, sys, traceback
for code in json.loads(sys.argv[1]):
    try:
        exec(compile(code, "main.py", "exec"), {"__name__": "__main__"})
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os.write(1, b"\\0EXIT 0\\n")
"""

# Opens what a program left by its name, as root, and follows every link.
COLLECT = """
import base64, json, os, signal
class Late(Exception): pass
def late(number, frame): raise Late
signal.signal(signal.SIGALRM, late)
def take(path):
    signal.alarm(2)
    try:
        if os.path.isdir(path):
            for name in sorted(os.listdir(path))[:2000]:
                take(os.path.join(path, name)) if path.count("/") < 4 else None
            return
        with open(path, "rb") as file:
            data = file.read(24 << 20)
        name = os.fsencode(path[len("/work/out/"):]).decode("utf-8", "replace")
        print(json.dumps([name, base64.b64encode(data).decode()]))
    except Late:
        print(json.dumps([os.path.basename(path), base64.b64encode(b"WAITED FOR EVER").decode()]))
    except OSError:
        pass
    finally:
        signal.alarm(0)
take("/work/out")
os.system("rm -rf /work/out; mkdir -m 1777 /work/out")
"""

# Writes what a caller sent under the names that it gave.
WRITER = """
import json, os, sys
for name, data in json.loads(sys.argv[1]):
    try:
        with open(os.path.join("/work", name), "w") as file:
            file.write(data)
    except (OSError, ValueError):
        pass
"""
