"""A rule: its id, what it means, where it comes from, and the function that judges it.

One job: this value, and the few ways in which rules are made. Pure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from auxot_tools.roundtrip.seen import Everything, Seen
from auxot_tools.roundtrip.verdicts import NotTestable, Outcome, Says, over, verdict_of

Judge = Callable[[Everything], Outcome]


@dataclass(frozen=True, slots=True)
class Rule:
    """``id`` is `group.name` and never changes; ``judge`` looks at nothing but the recording."""

    id: str
    meaning: str
    source: str
    judge: Judge

    @property
    def group(self) -> str:
        return self.id.partition(".")[0]


def of(name: str, check: Callable[[Seen], Says]) -> Judge:
    """A judge of one exchange."""

    def judge(everything: Everything) -> Outcome:
        seen = everything.all.get(name)
        if seen is None:
            return verdict_of(NotTestable(f"{name}: {everything.why_not(name)}"))
        says = check(seen)
        if isinstance(says, NotTestable):
            says = NotTestable(f"{name}: {says.why}")
        elif says is not None:
            says = f"{name}: {says}"
        return verdict_of(says, f"seen in {name}")

    return judge


def of_all(check: Callable[[Seen], Says], *names: str) -> Judge:
    """A judge of these exchanges together."""

    def judge(everything: Everything) -> Outcome:
        missing = names[0]
        return over(everything.some(*names), check, f"{missing}: {everything.why_not(missing)}")

    return judge


def with_upstream(check: Callable[[Seen], Says]) -> Callable[[Seen], Says]:
    """The check, when what the upstream got is known."""

    def checked(seen: Seen) -> Says:
        if seen.exchanged.asked is None:
            return NotTestable("the upstream is not ours: see --upstream-listen")
        if not seen.upstream:
            return NotTestable("nothing reached the upstream")
        return check(seen)

    return checked


def with_message(check: Callable[[Seen], Says]) -> Callable[[Seen], Says]:
    """The check, when a whole message came."""

    def checked(seen: Seen) -> Says:
        if seen.message is None or not seen.is_complete:
            return NotTestable(f"no message came (status {seen.status})")
        return check(seen)

    return checked
