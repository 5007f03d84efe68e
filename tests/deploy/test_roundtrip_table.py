"""The tables of the round-trip page: made from reports, and about the checks that there are."""

import json
import subprocess
import sys
from pathlib import Path

from auxot_tools.roundtrip.rules import ALL

ROOT = Path(__file__).parents[2]
CHECKS = [
    {"id": "a.one", "group": "a", "meaning": "One.", "source": "x", "verdict": "pass", "notes": []},
    {
        "id": "b.two",
        "group": "b",
        "meaning": "Two | <b>.",
        "source": "x",
        "verdict": "fail",
        "notes": ["plain: a|b"],
    },
]


def table(*arguments: str) -> list[str]:
    command = [sys.executable, str(ROOT / "deploy/roundtrip_table.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def test_reports_become_tables(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"checks": CHECKS}))
    lines = table(f"ours={report}")
    assert "| a | 1 / 0 / 0 |" in lines
    assert "| all | 1 / 1 / 0 |" in lines
    assert "| ours | `b.two` | plain: a\\|b |" in lines
    assert not [line for line in lines if "Two" in line]
    lines = table("--every", f"ours={report}")
    assert lines[:2] == ["| check | what it says | ours |", "| --- | --- | --- |"]
    assert "| `b.two` | Two \\| &lt;b>. | **FAIL** |" in lines


def test_the_page_has_every_check_with_its_meaning() -> None:
    page = (ROOT / "docs/roundtrip-checks.md").read_text("utf-8")
    missing = [rule.id for rule in ALL if f"| `{rule.id}` | {rule.meaning} |" not in page]
    assert missing == []
