"""A score for programs: one JSON object, and JUnit's XML for CI.

One job: these two forms. Pure. The JSON's members are a contract: they are added to, never renamed.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from auxot_tools.roundtrip.judging import Changed, Judged, Score, counts_of
from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.verdicts import Verdict
from auxot_tools.types import JSON

FORMAT, VERSION = "auxot-roundtrip-report", 1
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_json(score: Score, changed: Sequence[Changed] | None = None) -> JSON:
    """The whole score; with ``changed`` what differs from the recording that was replayed."""
    facts, counts = score.facts, score.counts
    made: JSON = {
        "format": FORMAT,
        "version": VERSION,
        "made_by": facts.made_by,
        "made_at": facts.made_at,
        "endpoint": {
            "url": facts.url,
            "model": facts.model,
            "tool": facts.tool,
            "runs_tools": facts.runs_tools,
            "has_scripted_upstream": facts.has_upstream,
        },
        "cut_short": facts.is_cut_short,
        "passed": counts[Verdict.PASS],
        "failed": counts[Verdict.FAIL],
        "not_testable": counts[Verdict.NOT_TESTABLE],
        "checks": [{**rule_as_json(j.rule), **_outcome(j)} for j in score.judged],
    }
    if changed is not None:
        made["changed"] = [
            {"id": c.rule.id, "before": _word(c.before.verdict), "after": _word(c.after.verdict)}
            for c in changed
        ]
    return made


def rule_as_json(rule: Rule) -> JSON:
    """What a rule is."""
    return {
        "id": rule.id,
        "group": rule.group,
        "meaning": rule.meaning,
        "source": rule.source,
    }


def _outcome(judged: Judged) -> JSON:
    return {"verdict": _word(judged.verdict), "notes": list(judged.outcome.notes)}


def _word(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "_")


def as_junit(score: Score) -> str:
    """JUnit's XML: a suite for each group, a case for each check; the untestable is skipped."""
    root = ET.Element("testsuites", _counts(score.judged) | {"name": "auxot-tools roundtrip"})
    for group, members in score.groups.items():
        named = {"name": group, "timestamp": score.facts.made_at} | _counts(members)
        suite = ET.SubElement(root, "testsuite", named)
        for judged in members:
            _add_case(suite, judged)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _add_case(suite: ET.Element, judged: Judged) -> None:
    rule, notes = judged.rule, _clean("\n".join(judged.outcome.notes))
    case = ET.SubElement(suite, "testcase", {"classname": rule.group, "name": rule.id})
    if judged.verdict is Verdict.FAIL:
        failed = ET.SubElement(case, "failure", {"message": rule.meaning})
        failed.text = f"{notes}\nSource: {rule.source}"
    elif judged.verdict is Verdict.NOT_TESTABLE:
        ET.SubElement(case, "skipped", {"message": notes})


def _counts(judged: Sequence[Judged]) -> dict[str, str]:
    counts = counts_of(judged)
    return {
        "tests": str(len(judged)),
        "failures": str(counts[Verdict.FAIL]),
        "errors": "0",
        "skipped": str(counts[Verdict.NOT_TESTABLE]),
    }


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NO_XML.sub("\ufffd", text)
