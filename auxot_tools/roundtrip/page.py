"""A score as one HTML page that needs nothing else: for people, and for the artifacts of a CI run.

One job: the page. Pure. Everything that came from an endpoint is escaped; the page loads nothing.
"""

from collections.abc import Sequence
from html import escape

from auxot_tools.roundtrip.exchanges import EXCHANGES
from auxot_tools.roundtrip.judging import Judged, Score, counts_of
from auxot_tools.roundtrip.verdicts import Verdict

_CLASSES = {Verdict.PASS: "pass", Verdict.FAIL: "fail", Verdict.NOT_TESTABLE: "none"}
_STYLE = """
:root { color-scheme: light dark; --pass: #1a7f37; --fail: #cf222e; --none: #59636e;
  --line: #d0d7de; --back: #ffffff; --text: #1f2328; }
@media (prefers-color-scheme: dark) { :root { --pass: #3fb950; --fail: #f85149; --none: #9198a1;
  --line: #30363d; --back: #0d1117; --text: #e6edf3; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem;
  padding: 0 1rem; background: var(--back); color: var(--text); }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
td, th { border-top: 1px solid var(--line); padding: .35rem .5rem; vertical-align: top;
  text-align: left; overflow-wrap: anywhere; }
.checks td:nth-child(1) { font-weight: 600; width: 7.5rem; }
.checks td:nth-child(2) { width: 15rem; }
.pass td:first-child { color: var(--pass); } .fail td:first-child { color: var(--fail); }
.none td:first-child { color: var(--none); }
.score { width: auto; table-layout: auto; margin-top: 1rem; }
.score td, .score th { padding: .1rem .5rem; } .score th { font-weight: 400; color: var(--none); }
.score td:not(:first-child), .score th:not(:first-child) { text-align: right; }
.score .some { color: var(--fail); font-weight: 600; }
a { color: inherit; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
small { color: var(--none); display: block; }
.fail small.note { color: var(--text); font-family: ui-monospace, monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; }
dt { color: var(--none); } dd { margin: 0; overflow-wrap: anywhere; }
.filter { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin: 1.5rem 0; }
label { white-space: nowrap; } #find { padding: .3rem; width: 16rem; max-width: 100%; }
details dl { font-size: .9em; }
@media (max-width: 45rem) {
  .checks td { display: block; border: 0; padding: 0 .25rem; }
  .checks tr { display: block; border-top: 1px solid var(--line); padding: .4rem 0; }
  .checks tr[hidden] { display: none; }
  .checks td:nth-child(n) { width: auto; }
}
"""
_SCRIPT = """
const find = document.getElementById("find");
const boxes = [...document.querySelectorAll("input[type=checkbox]")];
function show() {
  const word = find.value.toLowerCase();
  const wanted = new Set(boxes.filter(b => b.checked).map(b => b.value));
  for (const row of document.querySelectorAll(".checks tr"))
    row.hidden = !wanted.has(row.className) || !row.textContent.toLowerCase().includes(word);
  for (const part of document.querySelectorAll("section"))
    part.hidden = !part.querySelector("tr:not([hidden])");
}
find.addEventListener("input", show);
boxes.forEach(b => b.addEventListener("change", show));
"""


def as_html(score: Score) -> str:
    """The whole page."""
    sections = "\n".join(_section(group, members) for group, members in score.groups.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Round trips: {escape(score.summary)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>Round trips of tool use: {escape(score.summary)}</h1>
{_facts(score)}
{_table(score)}
<p class="filter">{_boxes(score)}
<input id="find" type="search" placeholder="find" aria-label="find"></p>
{sections}
{_exchanges()}
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _facts(score: Score) -> str:
    facts = score.facts
    tool = facts.tool if facts.runs_tools else "none of its own"
    upstream = "scripted, ours" if facts.has_upstream else "its own"
    pairs = {
        "endpoint": facts.url,
        "model": facts.model,
        "tool": tool,
        "upstream": upstream,
        "made": f"{facts.made_at} by {facts.made_by}",
    }
    told = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in pairs.items())
    return f"<dl>{told}</dl>"


def _table(score: Score) -> str:
    """The counts of each group, which lead to its checks."""
    rows = "".join(
        f'<tr><td><a href="#{escape(group)}">{escape(group)}</a></td>'
        + "".join(_count(counts_of(members)[verdict], verdict) for verdict in _CLASSES)
        + "</tr>\n"
        for group, members in score.groups.items()
    )
    heads = "".join(f"<th>{verdict}</th>" for verdict in _CLASSES)
    return f'<table class="score"><tr><th></th>{heads}</tr>\n{rows}</table>'


def _count(count: int, verdict: Verdict) -> str:
    is_bad = count and verdict is Verdict.FAIL
    return f'<td class="some">{count}</td>' if is_bad else f"<td>{count}</td>"


def _exchanges() -> str:
    """What the names in the notes mean."""
    told = "".join(
        f"<dt><code>{escape(each.name)}</code></dt><dd>{escape(each.about)}</dd>"
        for each in EXCHANGES
    )
    return f"<details><summary>The requests that the checks name</summary><dl>{told}</dl></details>"


def _boxes(score: Score) -> str:
    counts = score.counts
    return "".join(
        f'<label><input type="checkbox" value="{name}" checked> {verdict} ({counts[verdict]})'
        "</label>"
        for verdict, name in _CLASSES.items()
    )


def _section(group: str, members: Sequence[Judged]) -> str:
    rows = "\n".join(map(_row, members))
    name = escape(group)
    return f'<section id="{name}"><h2>{name}</h2><table class="checks">\n{rows}\n</table></section>'


def _row(judged: Judged) -> str:
    rule, verdict = judged.rule, judged.verdict
    notes = "".join(f'<small class="note">{escape(note)}</small>' for note in judged.outcome.notes)
    return (
        f'<tr class="{_CLASSES[verdict]}"><td>{escape(verdict.upper())}</td>'
        f"<td><code>{escape(rule.id)}</code></td>"
        f"<td>{escape(rule.meaning)}{notes}<small>source: {escape(rule.source)}</small></td></tr>"
    )
