"""Which calls of a turn may run side by side.

One job: the calls, by place, in lanes: those of one lane run one after another in their order, the
lanes side by side. Pure. A worker holds to the same rules among all calls that it has; here they
keep the order that the model wrote, which a network does not.
"""

from collections.abc import Mapping, Sequence

from auxot_tools.types import ToolSpec

_STATEFUL = "what a session keeps"


def lanes_of(ours: Mapping[int, ToolSpec]) -> Sequence[Sequence[int]]:
    """The places of the calls in lanes.

    Calls of one tool that may not run side by side share a lane, and so do all calls that may find
    what another left (a command, then a look at the file that it wrote).
    """
    lanes: dict[object, list[int]] = {}
    for place, tool in sorted(ours.items()):
        lane: object = place
        if tool.stateful:
            lane = _STATEFUL
        elif not tool.parallel:
            lane = tool.name
        lanes.setdefault(lane, []).append(place)
    return list(lanes.values())
