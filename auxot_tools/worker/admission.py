"""What a call of a known tool needs: judged arguments, its program, its limits, its kind of box.

One job: from tool and call to these, or a sentence for the model. Pure: it must not know clocks,
slots, or how anything is run.
"""

from typing import NamedTuple

from auxot_tools.ports import BoxLimits, BoxSpec, Program, Runtime
from auxot_tools.types import JSON, ToolCall
from auxot_tools.worker.limits import combine_limits
from auxot_tools.worker.program import make_program
from auxot_tools.worker.registry import Registry, Tool
from auxot_tools.worker.violations import Violations

_BAD_PROGRAM = "The program in the input cannot be run"


class Admitted(NamedTuple):
    """A call that may run: what, and in which kind of box."""

    program: Program
    spec: BoxSpec


def admit(tool: Tool, call: ToolCall, image: str) -> Admitted | str:
    """What ``call`` runs with; a text for the model when its input does not fit.

    Takes time linear in the input's size: large inputs belong in a thread.
    """
    arguments = tool.validator.check(call.input_json)
    if isinstance(arguments, Violations):
        return arguments.render()
    made = make_program(tool.recipe, call, arguments)
    if isinstance(made, Violations):
        return made.render(_BAD_PROGRAM)
    limits = _call_limits(tool, call, arguments)
    return Admitted(made.program, _spec(tool, limits, made.ready, image))


def expected_spec(tool: Tool, image: str) -> BoxSpec:
    """The kind of box that a call of ``tool`` probably needs, before its input is known."""
    return _spec(tool, tool.limits, tool.recipe.runtimes[0], image)


def ready_specs(registry: Registry, image: str) -> tuple[BoxSpec, ...]:
    """The kinds of boxes worth having ready at all times, each once.

    Not those of sessions: such a box is somebody's from its first call on.
    """
    specs = (
        _spec(tool, tool.limits, ready, image)
        for tool in registry.tools.values()
        if tool.isolation != "session"
        for ready in tool.recipe.runtimes
    )
    return tuple(dict.fromkeys(specs))


def _spec(tool: Tool, limits: BoxLimits, ready: Runtime, image: str) -> BoxSpec:
    return BoxSpec(image, limits, tool.isolation, ready)


def _call_limits(tool: Tool, call: ToolCall, arguments: JSON) -> BoxLimits:
    granted = {"timeout_s": call.limits.timeout_s, "output_bytes": call.limits.output_bytes}
    chosen = {"timeout_s": tool.chosen_timeout_s(arguments)}
    return combine_limits(tool.limits, granted, chosen)
