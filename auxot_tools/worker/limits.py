"""Combines the limits of a call: the operator's ceiling, the tool's, the caller's, the input's.

One job: the smallest wins. It must not know where any of them was written.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from auxot_tools.ports import BoxLimits

# What an operator who says nothing allows any one tool.
DEFAULT_CEILINGS = BoxLimits(
    timeout_s=300.0,
    memory_bytes=2 * 2**30,
    cpus=2.0,
    pids=512,
    open_files=1024,
    disk_bytes=512 * 2**20,
    disk_inodes=65_536,
    shm_bytes=64 * 2**20,
    output_bytes=2**20,
    output_stop_bytes=2**30,
)

# By the default, not by what a tool.json wrote: 20 there is a number of seconds, in parts too.
_KINDS: dict[str, type] = {
    field.name: type(field.default) for field in dataclasses.fields(BoxLimits)
}
LIMIT_NAMES = tuple(_KINDS)


def combine_limits(limits: BoxLimits, *grants: Mapping[str, float | None]) -> BoxLimits:
    """``limits``, lowered field by field to the smallest of the ``grants``.

    A grant names fields of ``BoxLimits``; a field that it leaves out or sets to ``None`` is not
    lowered. Nothing is ever raised above ``limits``. Values must be positive. What ``BoxLimits``
    counts in whole numbers stays whole: JSON writes 64.0 for 64 too.
    """
    smallest: dict[str, Any] = {}
    for name in LIMIT_NAMES:
        own = getattr(limits, name)
        granted = (grant.get(name) for grant in grants)
        smallest[name] = _KINDS[name](min([own, *(one for one in granted if one is not None)]))
    return BoxLimits(**smallest)
