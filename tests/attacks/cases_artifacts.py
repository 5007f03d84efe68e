"""Attacks through files that come out of a box (/work/out) and that go in."""

from tests.support.attack import Artifacts, Attack, Ends, Judge

_SECRET = (b":/root:/", b"SECRET_OF", b"the canary of the host")
_OUT = 'os.makedirs("/work/out", exist_ok=True)\nos.chdir("/work/out")\n'
_RAN = '\nprint("ran")'


def _out(
    name: str, code: str, holds: Judge, weak: str | None = "collector", why: str = ""
) -> Attack:
    return Attack(name, "files out", _OUT + code + _RAN, weak, holds=holds, why_not_weak=why)


OUT = [
    Attack(
        "/work/out is a link",
        "files out",
        'os.system("rm -rf /work/out")\nos.symlink("/etc", "/work/out")\nprint("ran")',
        "collector",
        holds=Artifacts(_SECRET, names=("passwd", "hostname", "shadow")),
    ),
    Attack(
        "/work/out is a link to init's files",
        "files out",
        'os.system("rm -rf /work/out")\nos.symlink("/proc/1", "/work/out")\nprint("ran")',
        "collector",
        holds=Artifacts(_SECRET, names=("environ", "cmdline", "status")),
    ),
    _out("a link inside", 'os.symlink("/etc/passwd", "notes.txt")', Artifacts(_SECRET)),
    _out("a link to init's environment", 'os.symlink("/proc/1/environ", "x")', Artifacts(_SECRET)),
    _out(
        "a link to a link out of the folder",
        'os.symlink("/work/l", "x")\n'
        'os.path.lexists("/work/l") or os.symlink("/etc/passwd", "/work/l")',
        Artifacts(_SECRET),
    ),
    _out(
        "a link to what the reader itself has open",
        'os.symlink("/proc/self/environ", "me")',
        Artifacts(_SECRET, names=("me",)),
    ),
    _out(
        "a pipe, which a reader would wait for",
        'os.mkfifo("pipe")',
        Artifacts((b"WAITED FOR EVER",), names=("pipe",)),
    ),
    _out(
        "a pipe behind a link",
        'os.mkfifo("/tmp/p")\nos.symlink("/tmp/p", "p")',
        Artifacts((b"WAITED FOR EVER",), names=("p",)),
    ),
    _out("a device that never ends", 'os.symlink("/dev/zero", "zero")', Artifacts(names=("zero",))),
    _out(
        "a socket",
        'import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind("s")',
        Artifacts(names=("s",)),
        None,
        "a socket cannot be opened by anybody",
    ),
    _out(
        "a huge file",
        'with open("huge", "wb") as file:\n    for _ in range(20): file.write(b"x" * (1 << 20))',
        Artifacts(names=("huge",)),
    ),
    _out(
        "a sparse file",
        "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        'with open("sparse", "wb") as file:\n'
        "    for gib in (2 << 30, 60 << 20, 30 << 20):\n"
        "        try: file.truncate(gib); break\n"
        "        except OSError: pass",
        Artifacts(names=("sparse",)),
    ),
    _out(
        "many files",
        'for number in range(900):\n    with open(f"file-{number}", "w") as file: file.write("x")',
        Artifacts(),
    ),
    _out(
        "many files that are together too much",
        "for number in range(12):\n"
        '    with open(f"file-{number}", "wb") as file: file.write(b"x" * (1 << 20))',
        Artifacts(),
    ),
    _out(
        "a file in a folder in the folder",
        'os.makedirs("sub", exist_ok=True)\nopen("sub/inner", "w").write("inner secret")',
        Artifacts((b"inner secret",)),
    ),
    _out(
        "a link to a folder",
        'os.symlink("/etc", "sub")',
        Artifacts(_SECRET, names=("sub", "sub/passwd")),
    ),
    _out(
        "a file that may not be read, made into a link while it is taken",
        """
import time
open("swap", "w").write("x" * 1000)
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        os.path.lexists("l") or os.symlink("/etc/passwd", "l")
        os.rename("l", "swap")
    os._exit(0)
time.sleep(0.2)
""",
        Artifacts(_SECRET),
    ),
    _out(
        "a file that grows while it is taken",
        """
import time
if os.fork() == 0:
    os.setsid()
    for fd in range(3): os.close(fd)
    end = time.monotonic() + 2
    with open("grows", "ab", 0) as file:
        try:
            while time.monotonic() < end: file.write(b"x" * (1 << 18)); time.sleep(0.001)
        except OSError: pass
    os._exit(0)
time.sleep(0.3)
""",
        Artifacts(most_bytes=4 << 20),
    ),
]

# Names that must not reach a caller as they are: they would be other files there.
_BAD_NAMES = {
    "a name of two lines": "a\\nb",
    "a name that ends a header": "a\\r\\nb: c",
    "a name that clears the screen": "a\\x1b[2Jb",
    "a name that reads another way round": "a\\u202egnp.exe",
}


NAMES = [
    Attack(
        name,
        "files out",
        _OUT + f'open("{escaped}", "w").write("x")' + _RAN,
        "collector",
        holds=Artifacts(names=(escaped.encode().decode("unicode_escape"),)),
    )
    for name, escaped in _BAD_NAMES.items()
]
NAMES.append(
    Attack(
        "a name that is no text",
        "files out",
        _OUT + 'open(b"a\\xff\\xfeb", "w").write("x")' + _RAN,
        "collector",
        holds=Artifacts(names=("a\ufffd\ufffdb", "a\udcff\udcfeb")),
    )
)

_ESCAPED = (
    'tell(os.path.exists("{path}"), "{path}")\nos.path.exists("{path}") and os.unlink("{path}")'
)
_REFUSED = Ends(("invalid_arguments", "internal", "completed"))


def _into(
    name: str, file_name: str, path: str, weak: str | None = "writer", why: str = ""
) -> Attack:
    return Attack(
        name,
        "files in",
        _ESCAPED.format(path=path),
        weak,
        files=((file_name, b"planted"),),
        holds=_REFUSED,
        why_not_weak=why,
    )


IN = [
    _into("a name that leads up", "../tmp/escaped", "/tmp/escaped"),
    _into("a name that leads far up", "../../../../tmp/escaped-2", "/tmp/escaped-2"),
    _into("a name with a folder", "out/escaped", "/work/out/escaped"),
    _into("an absolute name", "/tmp/escaped-3", "/tmp/escaped-3"),
    _into(
        "a name with a NUL",
        "escaped\0.txt",
        "/work/escaped",
        None,
        "no program of today's Python opens such a name",
    ),
]

CASES = [*OUT, *NAMES, *IN]
