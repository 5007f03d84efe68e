"""Judges what of a call is not its input: the tool's name, the limits granted, the files' names.

One job: a sentence for the model. Pure: it must not know schemas, nor how a call is run.
"""

import math

from auxot_tools.types import ToolCall
from auxot_tools.worker.violations import nearest, show

_MAX_NAMED = 12  # tools listed to a model that asked for one that is not here
_MAX_FILE_NAME_BYTES = 255  # the file systems' own limit


def call_fault(call: ToolCall) -> str:
    """What is wrong with a call beside its input, or an empty string."""
    timeout_s, output_bytes = call.limits.timeout_s, call.limits.output_bytes
    if timeout_s is not None and not (timeout_s > 0 and math.isfinite(timeout_s)):
        return "The time granted to the call must be more than 0 seconds."
    if output_bytes is not None and output_bytes <= 0:
        return "The output granted to the call must be more than 0 bytes."
    names = [file.name for file in call.files]
    if len(set(names)) < len(names):
        return "Two files of the call have the same name."
    for name in names:
        size = len(name.encode("utf-8", "replace"))
        if name in {"", ".", ".."} or "/" in name or "\0" in name or size > _MAX_FILE_NAME_BYTES:
            return f"The file name {show(name)} must be a plain name of at most 255 bytes."
    return ""


def unknown_tool(name: str, known: list[str]) -> str:
    """What a model is told that asked for a tool which is not among ``known``."""
    close = nearest(name, known)
    hint = f" Did you mean `{close}`?" if close else ""
    listed = ", ".join(known[:_MAX_NAMED]) or "none"
    more = f" and {len(known) - _MAX_NAMED} more" if len(known) > _MAX_NAMED else ""
    return f"There is no tool named {show(name)} here.{hint} Tools here: {listed}{more}."
