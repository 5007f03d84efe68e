"""Attacks that fill the disk, its inodes, or the worker with output. Each is bounded by itself."""

from tests.support.attack import Attack, Ends

_FILL = """
total = 0
folder = "{folder}"
try:
    with open(folder + "/filled", "wb", 0) as file:
        while total < {mib} << 20:
            total += file.write(b"x" * (1 << 20))
except OSError as error:
    said = errno.errorcode[error.errno]
finally:
    try: os.unlink(folder + "/filled")
    except OSError: pass
tell(total >= {mib} << 20, f"{{total >> 20}} MiB")
"""
_MANY_FILES = """
count = 0
try:
    os.mkdir("{folder}/many")
    while count < {files}:
        os.close(os.open(f"{folder}/many/{{count}}", os.O_CREAT | os.O_WRONLY))
        count += 1
except OSError:
    pass
os.system("rm -rf {folder}/many")
tell(count >= {files}, f"{{count}} files")
"""


def _fill(folder: str, mib: int) -> str:
    return _FILL.format(folder=folder, mib=mib)


def _many_files(folder: str, files: int) -> str:
    return _MANY_FILES.format(folder=folder, files=files)


DISK = [
    Attack("bytes in /tmp", "exhaustion", _fill("/tmp", 100), "usual"),
    Attack("bytes in /work", "exhaustion", _fill("/work", 100), "usual"),
    Attack("bytes in /dev/shm", "exhaustion", _fill("/dev/shm", 40), "usual"),
    Attack("bytes in /var/tmp", "exhaustion", _fill("/var/tmp", 100), "usual"),
    Attack("inodes in /tmp", "exhaustion", _many_files("/tmp", 5000), "usual"),
    Attack("inodes in /work", "exhaustion", _many_files("/work", 5000), "usual"),
    Attack("inodes in /dev/shm", "exhaustion", _many_files("/dev/shm", 5000), "usual"),
    Attack(
        "a sparse file of 8 GiB",
        "exhaustion",
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("/tmp/sparse", "wb") as file:
    attempt("sparse", lambda: file.truncate(8 << 30), {errno.EFBIG, errno.ENOSPC})
os.unlink("/tmp/sparse")
verdict()
""",
        "usual",
    ),
    Attack(
        "blocks that are asked for, not written",
        "exhaustion",
        """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
with open("/tmp/asked", "wb") as file:
    attempt("fallocate", lambda: os.posix_fallocate(file.fileno(), 0, 100 << 20),
            {errno.EFBIG, errno.ENOSPC})
os.unlink("/tmp/asked")
verdict()
""",
        "usual",
    ),
    Attack(
        "kernel memory behind names: extended attributes",
        "exhaustion",
        'fine = REFUSALS | {errno.ENOTSUP}\nopen("/dev/shm/x", "w").close()\n'
        'attempt("user", lambda: os.setxattr("/dev/shm/x", "user.x", b"v" * 1000), fine)\n'
        'os.unlink("/dev/shm/x")\nverdict()',
        "usual",
    ),
]

OUTPUT = [
    Attack(
        "a flood on stdout",
        "exhaustion",
        "piece = b'x' * 65536\nfor _ in range(640): os.write(1, piece)\n"
        "print()\ntell(True, '40 MiB')",
        "usual",
        holds=Ends(("output_limit",)),
    ),
    Attack(
        "a flood on stderr",
        "exhaustion",
        "piece = b'x' * 65536\nfor _ in range(640): os.write(2, piece)\n"
        "os.write(2, b'\\nBROKE 40 MiB\\n')",
        "usual",
        holds=Ends(("output_limit",)),
    ),
    Attack(
        "a flood of many writers",
        "exhaustion",
        """
for _ in range(20):
    if os.fork() == 0:
        for _ in range(32): os.write(1, b"x\\n" * 32768)
        os._exit(0)
for _ in range(20): os.wait()
tell(True, "40 MiB")
""",
        "usual",
        holds=Ends(("output_limit",)),
    ),
]

CASES = [*DISK, *OUTPUT]
