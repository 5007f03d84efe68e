"""How `auxot-tools roundtrip` looks on a screen: its progress, its table, its list of checks.

One job: printing.
"""

import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.text import Text

from auxot_tools.roundtrip.exchanges import EXCHANGES
from auxot_tools.roundtrip.judging import Changed, Judged, Score, counted, counts_of
from auxot_tools.roundtrip.plan import INPUTS_MEAN
from auxot_tools.roundtrip.recording import Exchanged
from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.verdicts import Verdict, shown

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_TESTABLE: "dim"}
_VERDICT_CHARS = max(len(verdict) for verdict in Verdict)
_LEAST_CHARS = 20  # of a text beside the names: narrower it cannot be read


class Progress:
    """A line that says how far the run is, where somebody looks."""

    def __init__(self, *, is_shown: bool) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._status: Status | None = None
        if is_shown and self._console.is_terminal:
            self._status = self._console.status("asking")
        self._done = 0

    def wait(self, text: str) -> None:
        """Why nothing goes on for a while."""
        self._console.print(Text(text), soft_wrap=True)

    def note(self, done: Exchanged) -> None:
        """One more exchange is over."""
        self._done += 1
        if self._status is not None:
            self._status.update(f"{self._done} of {len(EXCHANGES)} exchanges; last: {done.name}")

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._status is not None:
            self._status.stop()


def _console() -> Console:
    """A place that takes every line, be it one for ASCII alone."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)


def _print(console: Console, names: Sequence[Text], lines: Sequence[Text]) -> None:
    """Names, and the lines beside them. Where nobody looks a line is as long as it is."""
    head = Text("  ").join(names) + Text("  ")
    if console.is_terminal:
        width = max(console.width - head.cell_len, _LEAST_CHARS)
        lines = [part for line in lines for part in line.wrap(console, width)]
    for number, line in enumerate(lines):
        line.rstrip()
        console.print((head if number == 0 else Text(" " * head.cell_len)) + line, soft_wrap=True)


def print_score(score: Score) -> None:
    """A row for each check, one for each group, what failed, and the counts."""
    console = _console()
    facts = score.facts
    runs = f"runs {facts.tool}" if facts.runs_tools else "runs no tools of its own"
    upstream = "scripted upstream" if facts.has_upstream else "upstream of its own"
    console.print(Text(shown(f"{facts.url}  ({runs}, {upstream})")), soft_wrap=True)
    id_chars = max((len(judged.rule.id) for judged in score.judged), default=0)
    for judged in score.judged:
        verdict = Text(str(judged.verdict).upper().ljust(_VERDICT_CHARS), _STYLES[judged.verdict])
        _print(console, (verdict, Text(judged.rule.id.ljust(id_chars))), _lines(judged))
    console.print()
    group_chars = max((len(group) for group in score.groups), default=0)
    for group, members in score.groups.items():
        counts = counts_of(members)
        style = _STYLES[Verdict.FAIL] if counts[Verdict.FAIL] else ""
        _print(console, [Text(group.ljust(group_chars))], [Text(counted(counts), style)])
    failed = [judged.rule.id for judged in score.judged if judged.verdict is Verdict.FAIL]
    if failed:
        _print(console, [Text("failed:", _STYLES[Verdict.FAIL])], [Text(", ".join(failed))])
    console.print(Text(score.summary, style="bold"))


def _lines(judged: Judged) -> list[Text]:
    verdict, rule = judged.verdict, judged.rule
    lines = [Text(rule.meaning)]
    if verdict is not Verdict.PASS:
        lines += [Text(note, _STYLES[verdict]) for note in judged.outcome.notes]
    if verdict is Verdict.FAIL:
        lines.append(Text(f"source: {rule.source}", "dim"))
    return lines


def print_changes(changed: Sequence[Changed]) -> None:
    """What differs from the recording."""
    console = _console()
    if not changed:
        console.print("No check says otherwise than of the recording.")
        return
    count = f"{len(changed)} checks say" if len(changed) > 1 else "1 check says"
    console.print(f"{count} otherwise than of the recording:")
    for each in changed:
        note = each.after.notes[0] if each.after.notes else ""
        told = f"  {each.rule.id}: {each.before.verdict} -> {each.after.verdict}  {note}"
        console.print(Text(told), soft_wrap=True)


def print_rules(rules: Sequence[Rule]) -> None:
    """The checks, with their sources; and the inputs that --tool-inputs may have."""
    console = _console()
    id_chars = max(len(rule.id) for rule in rules)
    for rule in rules:
        lines = [Text(rule.meaning), Text(rule.source, "dim")]
        _print(console, [Text(rule.id.ljust(id_chars))], lines)
    console.print(f"\n{len(rules)} checks. Kinds of inputs in the file of --tool-inputs:")
    for kind, meaning in INPUTS_MEAN.items():
        _print(console, [Text(f"  {kind:8}")], [Text(meaning)])
