"""Judges a recording: every rule, or those that were chosen, and the counts of it.

One job: rules over a recording. Pure: the same recording is always judged the same. It must not
know how it was made or how the result is shown.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.recording import Facts, Recording
from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.rules import ALL, BY_ID, GROUPS
from auxot_tools.roundtrip.seen import Everything
from auxot_tools.roundtrip.verdicts import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """One rule and what it says."""

    rule: Rule
    outcome: Outcome

    @property
    def verdict(self) -> Verdict:
        return self.outcome.verdict


@dataclass(frozen=True, slots=True)
class Score:
    """What all chosen rules say of one recording."""

    facts: Facts
    judged: tuple[Judged, ...]

    @property
    def counts(self) -> Counter[Verdict]:
        return counts_of(self.judged)

    @property
    def is_good(self) -> bool:
        """Nothing failed. What could not be tested does not count."""
        return self.counts[Verdict.FAIL] == 0

    @property
    def is_conclusive(self) -> bool:
        """Something could be tested, and all was tried."""
        return self.counts[Verdict.PASS] > 0 and not self.facts.is_cut_short

    @property
    def groups(self) -> Mapping[str, Sequence[Judged]]:
        """The same by group, in the order of the rules."""
        found: dict[str, list[Judged]] = {}
        for each in self.judged:
            found.setdefault(each.rule.group, []).append(each)
        return found

    @property
    def summary(self) -> str:
        return counted(self.counts) + self._caveat

    @property
    def _caveat(self) -> str:
        if self.facts.is_cut_short:
            return "; cut short, for the run's time (--limit-s) was over"
        tried = len(self.judged) - self.counts[Verdict.NOT_TESTABLE]
        return "" if tried else "; nothing could be tested, which is no success"


def counts_of(judged: Sequence[Judged]) -> Counter[Verdict]:
    """How many of each verdict."""
    return Counter(each.verdict for each in judged)


def counted(counts: Counter[Verdict]) -> str:
    """The counts in words."""
    return (
        f"{counts[Verdict.PASS]} passed, {counts[Verdict.FAIL]} failed, "
        f"{counts[Verdict.NOT_TESTABLE]} not testable"
    )


def judge(recording: Recording, rules: Sequence[Rule] = ALL) -> Score:
    """The verdict of each rule, in their order."""
    everything = Everything(recording)
    return Score(recording.facts, tuple(Judged(rule, rule.judge(everything)) for rule in rules))


def chosen(only: Sequence[str]) -> Sequence[Rule]:
    """The rules of these groups and ids; all of them when none is named.

    Raises ``ConfigError`` for a name that is neither.
    """
    strange = [name for name in only if name not in BY_ID and name not in GROUPS]
    if strange:
        groups = ", ".join(GROUPS)
        text = f"--only: there is no check or group {strange[0]!r}. Groups: {groups}; see --list."
        raise ConfigError([text])
    if not only:
        return ALL
    return [rule for rule in ALL if rule.id in only or rule.group in only]


@dataclass(frozen=True, slots=True)
class Changed:
    """A rule whose verdict is another than it was."""

    rule: Rule
    before: Outcome
    after: Outcome


def changes(before: Score, after: Score) -> list[Changed]:
    """What differs in verdict between two scores of the same rules."""
    pairs = zip(before.judged, after.judged, strict=True)
    return [
        Changed(old.rule, old.outcome, new.outcome)
        for old, new in pairs
        if old.verdict is not new.verdict
    ]
