"""Runs a call of a hosted tool: its answer within the time, cut to the call's limits.

One job: from a ``HostedAnswer`` to the result of the call. What the tools do they know themselves.
"""

import dataclasses
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

import anyio

from auxot_tools.errors import Unavailable
from auxot_tools.ports import HostedAnswer, HostedCall, HostedTool, KeptOutput, KeptOutputs
from auxot_tools.types import JSON, Deadline, Started, Status, ToolResult
from auxot_tools.worker.admission import Admitted
from auxot_tools.worker.ends import CANCELLED, refuse
from auxot_tools.worker.redaction import Redactor
from auxot_tools.worker.result import kept_text, quoted
from auxot_tools.worker.running import Running

HOSTED = "hosted"
_TOO_SLOW = "Timed out: the tool had no answer after {time_s:.10g} s. Ask for less, or try again."
_AWAY = "The tool is not available now, so there is no answer. Try again later."


@dataclass(frozen=True, slots=True)
class HostedRun:
    """An admitted call, and the tool that answers it."""

    running: Running
    tool: HostedTool
    admitted: Admitted
    credentials: Mapping[str, str]
    redactor: Redactor
    outputs: KeptOutputs | None = None

    @property
    def started(self) -> Started:
        return Started(self.running.call.tool_use_id, "", HOSTED)

    async def start(self, deadline: Deadline) -> AsyncGenerator[ToolResult, None]:
        """One result; cancelling whoever waits for it ends the tool's work."""
        begun_at = time.monotonic()
        result = await self._result(deadline)
        duration_s = time.monotonic() - begun_at
        yield dataclasses.replace(result, isolation=HOSTED, duration_s=duration_s)

    def told(self, event: ToolResult) -> ToolResult:
        """The event is the result."""
        return event

    async def _result(self, deadline: Deadline) -> ToolResult:
        running, call = self.running, self.running.call
        time_s = min(self.admitted.spec.limits.timeout_s, deadline.remaining_s())
        within = Deadline.after(time_s)
        answer = None
        with anyio.move_on_after(time_s) as scope:
            running.waiting = scope
            try:
                answer = await self.tool.answer(self._call(), within)
            except Unavailable:
                answer = HostedAnswer.of(_AWAY, Status.UNAVAILABLE)
            finally:
                running.waiting = None
        if answer is None and running.is_stopping:
            return refuse(call, Status.CANCELLED, CANCELLED)
        if answer is None:
            return refuse(call, Status.TIMED_OUT, _TOO_SLOW.format(time_s=round(time_s, 3)))
        return self._made(answer)

    def _call(self) -> HostedCall:
        call = self.running.call
        return HostedCall(
            tool_use_id=call.tool_use_id,
            arguments=self.admitted.arguments,
            tenant=call.tenant,
            session=call.session,
            request_id=call.request_id,
            credentials=self.credentials,
        )

    def _made(self, answer: HostedAnswer) -> ToolResult:
        blocks, handle, omitted_bytes = [], "", 0
        for block in answer.content:
            if block.get("type") == "text":
                kept, shown = self._shown(str(block["text"]))
                handle = handle or kept
                omitted_bytes += shown.omitted_bytes
                blocks.append(block | {"text": quoted(kept_text(shown, kept))})
            else:
                blocks.append(block)
        return ToolResult(
            tool_use_id=self.running.call.tool_use_id,
            status=answer.status,
            content=tuple[JSON, ...](blocks),
            omitted_bytes=omitted_bytes,
            artifacts=answer.artifacts,
            output_handle=handle,
        )

    def _shown(self, text: str) -> tuple[str, KeptOutput]:
        """The handle of the whole text when it was cut, and what of it is shown."""
        data = self.redactor.redact(text.encode("utf-8", "replace"))
        limit = self.admitted.spec.limits.output_bytes
        if len(data) <= limit:
            return "", KeptOutput(data)
        tail_bytes = limit // 2
        head, tail = data[: limit - tail_bytes], data[len(data) - tail_bytes :]
        shown = KeptOutput(head, tail, len(data) - len(head) - len(tail))
        handle = ""
        if self.outputs is not None:
            tenant = self.running.call.tenant
            handle = self.outputs.keep(tenant, data.decode("utf-8", "replace"))
        return handle, shown
