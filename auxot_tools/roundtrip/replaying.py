"""A recording's requests, to be sent anew.

One job: the plan and the requests of an earlier run, under the marks of a new one. Pure. What
follows an answer is not taken from the recording: it is made from the new answer.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.recording import Recording, Sent


def plan_of(recording: Recording, run_id: str) -> Plan:
    """The plan of the run that was recorded, for a new run."""
    facts = recording.facts
    return Plan(
        model=facts.model,
        run_id=run_id,
        tool=facts.tool,
        inputs=facts.inputs,
        has_upstream=facts.has_upstream,
        quiet_s=facts.quiet_s,
    )


def requests_of(recording: Recording, run_id: str) -> Mapping[str, Sent]:
    """Its requests by exchange, with the new run's marks in place of the old one's."""
    return {
        name: _renamed(exchanged.sent, recording.facts.run_id, run_id)
        for name, exchanged in recording.exchanges.items()
        if exchanged.sent is not None
    }


def _renamed(sent: Sent, old: str, new: str) -> Sent:
    return replace(sent, body=_with_mark(sent.body, old, new)) if old else sent


def _with_mark(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, list):
        return [_with_mark(each, old, new) for each in value]
    if isinstance(value, dict):
        return {name: _with_mark(each, old, new) for name, each in value.items()}
    return value
