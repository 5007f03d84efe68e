"""What an attack is, what is seen of its runs, and how these are judged. Pure: runs nothing.

An attack's program decides itself where it can, so that the same program speaks in the product and
in a weak set-up: its last line is `HELD …` or `BROKE …`. Where only the caller can see it (how a
call ended, what its text holds, which files came out), `holds` judges what was seen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Language = Literal["python", "bash", "javascript"]
Second = Literal["session", "tenant", "same"]
ALL = ("call", "warm", "session")
NONCE = "@NONCE@"  # in a program: a word that no other run has


@dataclass(frozen=True)
class Seen:
    """One run as its caller sees it. ``exit_code`` is None when nobody told one."""

    status: str
    text: str
    exit_code: int | None = None
    artifacts: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """``held``; ``broke``; or ``unclear``, when a run showed neither."""

    word: Literal["held", "broke", "unclear"]
    detail: str = ""


Judge = Callable[[Sequence[Seen]], Verdict]


def says_held(seen: Sequence[Seen]) -> Verdict:
    """What the last program itself says in its last line."""
    last = seen[-1]
    lines = [line for line in last.text.splitlines() if line.strip()]
    said = lines[-1] if lines else ""
    if said.startswith("BROKE"):
        return Verdict("broke", said[:400])
    if said.startswith("HELD") and last.status == "completed":
        return Verdict("held", said[:400])
    return Verdict("unclear", f"{last.status}: {last.text[-800:]}")


@dataclass(frozen=True)
class Ends:
    """Held: the call is told to have ended in one of these ways, and the program did not say BROKE.

    ``word`` must be in the text then. ``is_only_end``: whatever else is told is a break.
    """

    statuses: tuple[str, ...]
    word: str = ""
    is_only_end: bool = False

    def __call__(self, seen: Sequence[Seen]) -> Verdict:
        last = seen[-1]
        said = [line for line in last.text.splitlines() if line.startswith("BROKE")]
        if said:
            return Verdict("broke", said[0][:400])
        if last.status in self.statuses and self.word in last.text:
            return Verdict("held", last.status)
        other = f"{last.status}: {last.text[-800:]}"
        return Verdict("broke" if self.is_only_end else "unclear", other)


@dataclass(frozen=True)
class ExitIs:
    """Held: this exit code is told of a completed run. Any other end, or none, is broken."""

    code: int

    def __call__(self, seen: Sequence[Seen]) -> Verdict:
        last = seen[-1]
        told = f"{last.status}, exit code {last.exit_code}"
        is_true = last.status == "completed" and last.exit_code == self.code
        return Verdict("held" if is_true else "broke", f"{told}: {last.text[-200:]!r}")


@dataclass(frozen=True)
class TextLacks:
    """Held: the program ran, and none of these is in what the caller is given.

    ``most_chars`` bounds the text, where it is its length that hurts.
    """

    parts: tuple[str, ...] = ()
    most_chars: int = 200_000

    def __call__(self, seen: Sequence[Seen]) -> Verdict:
        text = seen[-1].text
        found = [part for part in self.parts if part in text]
        if found or len(text) > self.most_chars:
            return Verdict("broke", f"{found!r}, {len(text)} characters")
        if "ran" not in text:
            return Verdict("unclear", f"{seen[-1].status}: {text[-800:]}")
        return Verdict("held", f"{len(text)} characters")


@dataclass(frozen=True)
class Artifacts:
    """Held: the program ran, and the files that came out hold none of these, nor too much."""

    parts: tuple[bytes, ...] = ()
    names: tuple[str, ...] = ()  # of files that must not come out at all
    most_files: int = 16
    most_bytes: int = 4 * 2**20
    must_run: bool = True

    def __call__(self, seen: Sequence[Seen]) -> Verdict:
        last = seen[-1]
        files = last.artifacts
        wrong = [name for name in self.names if name in files]
        wrong += [
            f"{name!r} holds {part!r}"
            for name, data in files.items()
            for part in self.parts
            if part in data
        ]
        total = sum(map(len, files.values()))
        if wrong or len(files) > self.most_files or total > self.most_bytes:
            return Verdict("broke", f"{wrong} {len(files)} files, {total} bytes"[:400])
        if self.must_run and (last.status != "completed" or "ran" not in last.text):
            return Verdict("unclear", f"{last.status}: {last.text[-800:]}")
        return Verdict("held", f"{len(files)} files, {total} bytes")


def texts_differ(seen: Sequence[Seen]) -> Verdict:
    """Held: two runs of what should be random gave two different answers."""
    first, second = (one.text.strip() for one in seen)
    if not first or not second or any(one.status != "completed" for one in seen):
        return Verdict("unclear", f"{first!r} {second!r}")
    return Verdict("broke" if first == second else "held", f"{first!r} {second!r}"[:400])


@dataclass(frozen=True)
class Attack:
    """One attack: a program (and a second one, ``then``), and what must be seen of it.

    ``weak`` names the set-up of `attack_weak.WEAK` in which it must break; None when it cannot
    break on this kernel, and then ``why_not_weak`` says why. With ``then`` the first program plants
    and the second looks; ``overlaps``: while the first still runs, for another tenant. In mode
    session the second is of another session; ``second`` says whether it is of another tenant with
    the same session's name instead, or of the very same session. ``limits`` are changes to those of
    the tool; ``files`` come with the first call.
    """

    name: str
    family: str
    code: str
    weak: str | None
    language: Language = "python"
    then: str = ""
    holds: Judge = says_held
    modes: tuple[str, ...] = ALL
    overlaps: bool = False
    second: Second = "session"
    limits: tuple[tuple[str, float], ...] = ()
    timeout_s: int = 20
    stdin: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    why_not_weak: str = ""

    def programs(self, facts: Mapping[str, str]) -> tuple[str, ...]:
        """The whole programs, with `@WORD@` replaced by the facts of this run."""
        whole = []
        for code in (self.code, self.then) if self.then else (self.code,):
            text = PRELUDE + code if self.language == "python" else code
            for word, value in facts.items():
                text = text.replace(f"@{word}@", value)
            whole.append(text)
        return tuple(whole)


PRELUDE = '''\
import ctypes, errno, os, sys
LIBC = ctypes.CDLL(None, use_errno=True)
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS}
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EROFS, errno.ESRCH}
tried, broken = [], []

def syscall(number, *arguments):
    """As the kernel sees it, without a C library in between."""
    result = LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result

def attempt(name, action, fine=REFUSALS):
    """Anything but a refusal is a break: an EINVAL shows that the kernel took the call."""
    tried.append(name)
    try:
        result = action()
    except OSError as error:
        if error.errno not in fine:
            broken.append(f"{name}: {errno.errorcode.get(error.errno, error.errno)}")
    else:
        broken.append(f"{name}: done {result if result is not None else ''}".strip())

def opens(path, flags=os.O_RDONLY):
    return lambda: os.close(os.open(path, flags))

def writes(path, text):
    """Unbuffered, so that a refusal is seen."""
    def action():
        fd = os.open(path, os.O_WRONLY)
        try: os.write(fd, text.encode())
        finally: os.close(fd)
    return action

def tell(is_broken, detail=""):
    print("BROKE" if is_broken else "HELD", detail, flush=True)

def verdict():
    tell(broken, "; ".join(broken) or f"{len(tried)} refused")
'''
