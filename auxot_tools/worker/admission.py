"""What a call of a known tool needs: judged arguments, its program, its limits, its kind of box.

One job: from tool and call to these, or a sentence for the model. Pure: it must not know clocks,
slots, or how anything is run.
"""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from auxot_tools.ports import BoxLimits, BoxSpec, Isolation, Program, Runtime
from auxot_tools.types import JSON, ToolCall
from auxot_tools.worker.limits import combine_limits
from auxot_tools.worker.program import make_program
from auxot_tools.worker.tool import Tool
from auxot_tools.worker.violations import Violations

_BAD_PROGRAM = "The program in the input cannot be run"
EnvPairs = tuple[tuple[str, str], ...]


class Admitted(NamedTuple):
    """A call that may run: what, and in which kind of box. A hosted tool has no program."""

    arguments: JSON
    program: Program
    spec: BoxSpec


def admit(tool: Tool, call: ToolCall, image: str, env: EnvPairs = ()) -> Admitted | str:
    """What ``call`` runs with; a text for the model when its input does not fit.

    Takes time linear in the input's size: large inputs belong in a thread.
    """
    arguments = tool.validator.check(call.input_json)
    if isinstance(arguments, Violations):
        return arguments.render()
    limits = _call_limits(tool, call, arguments)
    if tool.runs == "hosted":
        return Admitted(arguments, Program((), b""), BoxSpec(image, limits))
    isolation = _isolation(tool, arguments)
    made = make_program(tool.recipe, call, arguments, is_session=isolation == "session")
    if isinstance(made, Violations):
        return made.render(_BAD_PROGRAM)
    program = dataclasses.replace(made.program, env=env) if env else made.program
    return Admitted(arguments, program, _spec(tool, limits, isolation, made.ready, image))


def expected_spec(tool: Tool, image: str) -> BoxSpec:
    """The kind of box that a call of ``tool`` probably needs, before its input is known."""
    return _spec(tool, tool.limits, tool.isolation, tool.recipe.runtimes[0], image)


def ready_specs(tools: Iterable[Tool], image: str) -> tuple[BoxSpec, ...]:
    """The kinds of boxes worth having ready at all times, each once.

    Not those of sessions, as such a box is somebody's from its first call on, and not those with a
    way to the network, as each is made for its tool.
    """
    specs = (
        _spec(tool, tool.limits, tool.isolation, ready, image)
        for tool in tools
        if tool.runs == "box" and tool.isolation != "session" and not tool.hosts
        for ready in tool.recipe.runtimes
    )
    return tuple(dict.fromkeys(specs))


def _isolation(tool: Tool, arguments: JSON) -> Isolation:
    return "session" if tool.wants_session(arguments) else tool.isolation


def _spec(
    tool: Tool, limits: BoxLimits, isolation: Isolation, ready: Runtime, image: str
) -> BoxSpec:
    return BoxSpec(image, limits, isolation, ready, tool.hosts)


def _call_limits(tool: Tool, call: ToolCall, arguments: JSON) -> BoxLimits:
    granted = {"timeout_s": call.limits.timeout_s, "output_bytes": call.limits.output_bytes}
    chosen = {"timeout_s": tool.chosen_timeout_s(arguments)}
    return combine_limits(tool.limits, granted, chosen)


def lowered(admitted: Admitted, timeout_s: float | None) -> Admitted:
    """The same with the program's time lowered to what the operator's rule grants."""
    if timeout_s is None:
        return admitted
    limits = combine_limits(admitted.spec.limits, {"timeout_s": timeout_s})
    return admitted._replace(spec=dataclasses.replace(admitted.spec, limits=limits))
