"""What a check says: PASS, FAIL or NOT TESTABLE, each with what it rests on.

One job: these values, and how the answers of many exchanges become one verdict. Pure. It must not
know any rule.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

EVIDENCE_SHOWN = 4  # of one rule: what is broken everywhere needs not be told fifty times
EVIDENCE_CHARS = 240
_EACH_CHARS = 100  # of two values in one sentence


class Verdict(StrEnum):
    """What a rule says of a recording."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_TESTABLE = "not testable"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A verdict. ``notes``: what was seen (FAIL), where it was looked (PASS), or why it could not
    be looked at (NOT TESTABLE).
    """

    verdict: Verdict
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotTestable:
    """Said of one exchange: it does not show whether the rule holds."""

    why: str


Says = str | NotTestable | None
"""What a check says of one exchange: what breaks the rule, that it cannot tell, or nothing."""


class Named(Protocol):
    """Anything that has a name to be told by."""

    @property
    def name(self) -> str: ...


Subject = TypeVar("Subject", bound=Named)


def over(subjects: Iterable[Subject], check: Callable[[Subject], Says], none: str) -> Outcome:
    """One verdict over many exchanges: FAIL when one breaks the rule, PASS when one can show it and
    none breaks it. ``none`` is the reason when there is nothing to look at.
    """
    broken: list[str] = []
    silent: list[str] = []
    good: list[str] = []
    for subject in subjects:
        said = check(subject)
        if said is None:
            good.append(subject.name)
        elif isinstance(said, NotTestable):
            silent.append(f"{subject.name}: {said.why}")
        else:
            broken.append(shown(f"{subject.name}: {said}"))
    if broken:
        more = len(broken) - EVIDENCE_SHOWN
        told = broken[:EVIDENCE_SHOWN] + ([f"and {more} more"] if more > 0 else [])
        return Outcome(Verdict.FAIL, tuple(told))
    if good:
        return Outcome(Verdict.PASS, (f"seen in {', '.join(good[:6])}{', …' * (len(good) > 6)}",))
    return Outcome(Verdict.NOT_TESTABLE, (shown(silent[0] if silent else none),))


def shown(text: str) -> str:
    """Evidence as it is shown: one line, not too long, nothing that moves a cursor."""
    line = "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
    return line if len(line) <= EVIDENCE_CHARS else f"{line[: EVIDENCE_CHARS - 1]}…"


def quoted(value: object, chars: int = EVIDENCE_CHARS) -> str:
    """What came, in a sentence: as JSON has it, shortened; of null that it is missing."""
    if value is None:
        return "missing"
    given = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = json.dumps(given, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= chars else f"{text[: chars - 1]}…"


def kept(came: object, said: object) -> Says:
    """Nothing when what came is what was said, else both."""
    if came == said:
        return None
    return f"{quoted(came, _EACH_CHARS)} came, {quoted(said, _EACH_CHARS)} was said"


def verdict_of(says: Says, seen_in: str = "") -> Outcome:
    """The verdict of one check of one thing."""
    if says is None:
        return Outcome(Verdict.PASS, (seen_in,) if seen_in else ())
    if isinstance(says, NotTestable):
        return Outcome(Verdict.NOT_TESTABLE, (shown(says.why),))
    return Outcome(Verdict.FAIL, (shown(says),))
