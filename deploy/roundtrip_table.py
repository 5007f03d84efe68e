"""The tables of docs/roundtrip*.md, made from reports of `auxot-tools roundtrip --json`.

    python deploy/roundtrip_table.py NAME=REPORT.json...            groups, and what failed
    python deploy/roundtrip_table.py --every NAME=REPORT.json...    every check

One job: Markdown tables with a column for each report.
"""

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

JSON = dict[str, Any]
_SIGNS = {"pass": "pass", "fail": "**FAIL**", "not_testable": "n/t"}
_NOTE_CHARS = 100
_EVERY = "--every"


def main(arguments: list[str]) -> None:
    named = [each for each in arguments if each != _EVERY]
    if not named or not all("=" in each for each in named):
        sys.exit("usage: python deploy/roundtrip_table.py [--every] NAME=REPORT.json...")
    reports = {
        name: json.loads(Path(path).read_text("utf-8")) for name, _, path in map(_parts, named)
    }
    is_every = _EVERY in arguments
    lines = _checks(reports) if is_every else [*_groups(reports), "", *_failures(reports)]
    sys.stdout.write("\n".join(lines) + "\n")


def _parts(argument: str) -> tuple[str, str, str]:
    return argument.partition("=")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(first: list[str], reports: dict[str, JSON]) -> list[str]:
    cells = [*first, *reports]
    return [_row(cells), _row(["---"] * len(cells))]


def _groups(reports: dict[str, JSON]) -> list[str]:
    """Passed, failed and not testable of each group."""
    first = next(iter(reports.values()))
    names = list(dict.fromkeys(check["group"] for check in first["checks"]))
    rows = []
    for name in [*names, "all"]:
        cells = [name]
        for report in reports.values():
            members = [c for c in report["checks"] if name in (c["group"], "all")]
            counts = Counter(check["verdict"] for check in members)
            cells.append(" / ".join(str(counts[verdict]) for verdict in _SIGNS))
        rows.append(_row(cells))
    return [*_head(["passed / failed / not testable"], reports), *rows]


def _failures(reports: dict[str, JSON]) -> list[str]:
    rows = [
        _row([name, f"`{check['id']}`", _cell(check["notes"][0])])
        for name, report in reports.items()
        for check in report["checks"]
        if check["verdict"] == "fail"
    ]
    return [_row(["failed at", "check", "seen"]), _row(["---"] * 3), *rows]


def _checks(reports: dict[str, JSON]) -> list[str]:
    """Every check."""
    first = next(iter(reports.values()))
    verdicts = {
        name: {check["id"]: check["verdict"] for check in report["checks"]}
        for name, report in reports.items()
    }
    rows = [
        _row(
            [
                f"`{check['id']}`",
                _cell(check["meaning"]),
                *(_SIGNS[each[check["id"]]] for each in verdicts.values()),
            ]
        )
        for check in first["checks"]
    ]
    return [*_head(["check", "what it says"], reports), *rows]


def _cell(text: str) -> str:
    """A text that breaks no table."""
    shown = text.replace("|", "\\|").replace("<", "&lt;")
    return shown if len(shown) <= _NOTE_CHARS else f"{shown[: _NOTE_CHARS - 1]}…"


if __name__ == "__main__":
    main(sys.argv[1:])
