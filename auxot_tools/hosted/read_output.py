"""`read_output`: the part of a long output that a result left out.

One job: a page of a kept output, or its lines that match a pattern. A search runs in a process of
its own, which is killed when it takes too long. It must not know how a search is done.
"""

import json
from dataclasses import asdict

from auxot_tools.hosted.kept_outputs import OutputStore
from auxot_tools.hosted.killable import Job, JobLimits, Killable
from auxot_tools.hosted.output_search import OutputSearch
from auxot_tools.hosted.patterns import is_valid
from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Deadline, Status

DEFAULT_CHARS = 16_000  # some 4,000 tokens; a page that fits beside the rest of a conversation
# An output takes 32 MB at most. An ordinary search takes some ms, and 0.1 s more to start.
SEARCH_LIMITS = JobLimits(processes=2, memory_bytes=2**29, job_s=5.0)
_BAD_PATTERN = (
    "The pattern is no regular expression of RE2 syntax (look-around and back-references "
    "are not in it), or it is too large. Simplify it."
)
_STOPPED = (
    "The search took too long and was stopped. Simplify the pattern: use smaller counts in braces, "
    "or plain words."
)


class ReadOutput:
    """``ports.HostedTool`` over the outputs that this worker keeps."""

    def __init__(self, store: OutputStore, limits: JobLimits = SEARCH_LIMITS) -> None:
        self._store = store
        self._searches = Killable("auxot_tools.hosted.output_search_process", limits)

    async def answer(self, call: HostedCall, deadline: Deadline) -> HostedAnswer:
        """A page; a handle that is gone or somebody else's is told with what to do."""
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
        if not is_valid(str(pattern)):
            return HostedAnswer.of(_BAD_PATTERN, Status.INVALID_ARGUMENTS)
        number = text.count("\n", 0, offset) + 1
        task = OutputSearch(str(pattern), offset, number, limit)
        job = Job(json.dumps(asdict(task)).encode(), text[offset:])
        return _found(await self._searches.answer(job, call.tenant, deadline), offset)

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


def _found(answer: bytes, offset: int) -> HostedAnswer:
    if not answer:
        return HostedAnswer.of(_STOPPED, Status.TIMED_OUT)
    found = json.loads(answer)
    lines, next_offset = found["lines"], found["next_offset"]
    if not lines:
        return HostedAnswer.of(f"No line matches from offset {offset} to the end.")
    more = f" so far; go on with offset {next_offset}" if next_offset >= 0 else ""
    return HostedAnswer.of("\n".join([f"[{len(lines)} matching lines{more}]", *lines]))
