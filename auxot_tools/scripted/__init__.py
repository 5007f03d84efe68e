"""The scripted model: an upstream that plays turns written down beforehand.

`scenario` says what a turn is and `conditions` what a request must be like; `scenario_file` and
`document` read them from a file. `play` chooses the turn of each request, `sse` turns it into
bytes, `model` plays it in process, `server` plays it over HTTP, and `demo` is the upstream for
machines without a model. It must not know the router.
"""

from auxot_tools.scripted.conditions import RequestMatch, ResultMatch, TextMatch
from auxot_tools.scripted.demo import demo_model, demo_script
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.play import ScenarioPlay
from auxot_tools.scripted.scenario import (
    Faults,
    HttpFault,
    RawBlock,
    Scenario,
    Script,
    ScriptedRequest,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.scenario_file import load_scenario, scenario_of, scenario_schema
from auxot_tools.scripted.server import scripted_app

__all__ = [
    "Faults",
    "HttpFault",
    "RawBlock",
    "RequestMatch",
    "ResultMatch",
    "Scenario",
    "ScenarioPlay",
    "Script",
    "ScriptedModel",
    "ScriptedRequest",
    "TextBlock",
    "TextMatch",
    "ThinkingBlock",
    "ToolUseBlock",
    "Turn",
    "demo_model",
    "demo_script",
    "load_scenario",
    "scenario_of",
    "scenario_schema",
    "scripted_app",
]
