"""How `auxot-tools roundtrip` looks on a screen: its progress, its table, its list of checks.

One job: printing.
"""

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from auxot_tools.roundtrip.exchanges import EXCHANGES
from auxot_tools.roundtrip.judging import Changed, Judged, Score
from auxot_tools.roundtrip.plan import INPUTS_MEAN
from auxot_tools.roundtrip.recording import Exchanged
from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.verdicts import Verdict, shown

_STYLES = {Verdict.PASS: "green", Verdict.FAIL: "bold red", Verdict.NOT_TESTABLE: "dim"}
_NARROWEST = 100  # where nobody looks, lines are cut for a file


class Progress:
    """A line that says how far the run is, where somebody looks."""

    def __init__(self, *, is_shown: bool) -> None:
        console = Console(stderr=True)
        self._status: Status | None = None
        if is_shown and console.is_terminal:
            self._status = console.status("asking")
        self._done = 0

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
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _NARROWEST)
    return console


def print_score(score: Score) -> None:
    """The table, and the counts below it."""
    console = _console()
    facts = score.facts
    runs = f"runs {facts.tool}" if facts.runs_tools else "runs no tools of its own"
    upstream = "scripted upstream" if facts.has_upstream else "upstream of its own"
    console.print(Text(shown(f"{facts.url}  ({runs}, {upstream})")), soft_wrap=True)
    table = Table(box=None, pad_edge=False, show_header=False)
    for column in ("verdict", "check", "what"):
        table.add_column(column, no_wrap=column != "what")
    for judged in score.judged:
        table.add_row(*_row(judged))
    console.print(table)
    console.print(Text(score.summary, style="bold"))


def _row(judged: Judged) -> tuple[Text, Text, Text]:
    verdict, rule = judged.verdict, judged.rule
    style = _STYLES[verdict]
    what = Text(rule.meaning)
    if verdict is not Verdict.PASS:
        for note in judged.outcome.notes:
            what.append(f"\n{note}", style=style)
    if verdict is Verdict.FAIL:
        what.append(f"\nsource: {rule.source}", style="dim")
    return Text(str(verdict).upper(), style=style), Text(rule.id), what


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
    table = Table(box=None, pad_edge=False, show_header=False)
    for rule in rules:
        table.add_row(Text(rule.id), Text(f"{rule.meaning}\n{rule.source}"))
    console.print(table)
    console.print(f"\n{len(rules)} checks. Kinds of inputs in the file of --tool-inputs:")
    for kind, meaning in INPUTS_MEAN.items():
        console.print(Text(f"  {kind:8} {meaning}"))
