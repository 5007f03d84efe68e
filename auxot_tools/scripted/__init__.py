"""The scripted model: an upstream that plays turns written down beforehand.

`scenario` says what a turn is, `sse` turns it into bytes, `model` plays it in process, `server`
plays it over HTTP, and `demo` is the upstream for machines without a model. It must not know the
router.
"""

from auxot_tools.scripted.demo import demo_model, demo_script
from auxot_tools.scripted.model import ScriptedModel
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
    load_scenario,
)
from auxot_tools.scripted.server import scripted_app

__all__ = [
    "Faults",
    "HttpFault",
    "RawBlock",
    "Scenario",
    "Script",
    "ScriptedModel",
    "ScriptedRequest",
    "TextBlock",
    "ThinkingBlock",
    "ToolUseBlock",
    "Turn",
    "demo_model",
    "demo_script",
    "load_scenario",
    "scripted_app",
]
