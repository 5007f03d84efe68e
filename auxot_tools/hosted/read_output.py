"""`read_output`: the part of a long output that a result left out.

One job: a page of a kept output, or its lines that match a pattern. Patterns run on a linear engine
(RE2), so that none can hold the worker up.
"""

import re2  # type: ignore[import-untyped]
from anyio import to_thread

from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Deadline, Status

NAME = "read_output"
DEFAULT_CHARS = 16_000  # some 4,000 tokens; a page that fits beside the rest of a conversation
_PATTERN_BYTES = 2**20  # of memory for a compiled pattern
_MAX_LINES = 500  # matching lines in one answer
_LINE_CHARS = 2_000  # shown of one matching line


class ReadOutput:
    """``ports.HostedTool`` over the outputs that this worker keeps."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """A page; a handle that is gone or somebody else's is told with what to do."""
        del deadline  # nothing here waits
        arguments = call.arguments
        handle = str(arguments["handle"]).strip()
        text = self._store.find(call.tenant, handle)
        if text is None:
            return HostedAnswer.of(self._gone(handle), Status.INVALID_ARGUMENTS)
        offset = int(arguments.get("offset", 0))
        limit = int(arguments.get("limit", DEFAULT_CHARS))
        if offset >= len(text) and text:
            end = f"Offset {offset} is behind the end: the output has {len(text)} characters."
            return HostedAnswer.of(end, Status.INVALID_ARGUMENTS)
        pattern = arguments.get("pattern")
        if pattern is None:
            return HostedAnswer.of(_page(text, offset, limit))
        # Some 100 ms for the largest output: too long for the event loop.
        return await to_thread.run_sync(_matches, text, str(pattern), offset, limit)

    def _gone(self, handle: str) -> str:
        if self._store.is_of_another_worker(handle):
            return (
                "This output is not kept here: another worker made it, or this one was started "
                "anew since. Run the tool again, and print less at once."
            )
        return (
            f"There is no output with this handle (any more): each is kept for "
            f"{self._store.kept_s:.10g} s at most, and for the key whose call made it. Check the "
            "handle, or run the tool again."
        )


def _page(text: str, offset: int, limit: int) -> str:
    page = text[offset : offset + limit]
    end = offset + len(page)
    more = f"; go on with offset {end}" if end < len(text) else "; this is the end"
    return f"[characters {offset} to {end} of {len(text)}{more}]\n{page}"


def _matches(text: str, pattern: str, offset: int, limit: int) -> HostedAnswer:
    """The matching lines from ``offset`` on, with their numbers, as far as ``limit`` goes."""
    options = re2.Options()
    options.max_mem = _PATTERN_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error:
        words = (
            "The pattern is no regular expression of RE2 syntax (look-around and back-references "
            "are not in it). Simplify it."
        )
        return HostedAnswer.of(words, Status.INVALID_ARGUMENTS)
    number = text.count("\n", 0, offset) + 1
    found: list[str] = []
    place, chars = offset, 0
    for line in text[offset:].split("\n"):
        if compiled.search(line):
            shown = f"{number}: {line[:_LINE_CHARS]}"
            if chars + len(shown) > limit or len(found) >= _MAX_LINES:
                head = f"[{len(found)} matching lines so far; go on with offset {place}]"
                return HostedAnswer.of("\n".join([head, *found]))
            found.append(shown)
            chars += len(shown) + 1
        number += 1
        place += len(line) + 1
    if not found:
        return HostedAnswer.of(f"No line matches from offset {offset} to the end.")
    return HostedAnswer.of("\n".join([f"[{len(found)} matching lines]", *found]))
