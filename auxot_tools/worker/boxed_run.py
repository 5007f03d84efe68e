"""Runs a call's program in the box that it was given: chunks as they come, then the result.

One job: from a box's events to those of the call. Where boxes come from, and how a call is stopped,
the executor knows.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from auxot_tools.ports import Box, CollectLimits, KeptOutputs, SandboxOutcome
from auxot_tools.types import Deadline, OutputChunk, Started, StreamName, ToolResult
from auxot_tools.worker.admission import Admitted
from auxot_tools.worker.output_tap import OutputTap
from auxot_tools.worker.readable import readable
from auxot_tools.worker.result import RunFacts, outcome_result
from auxot_tools.worker.running import Running
from auxot_tools.worker.tool import Tool


@dataclass(frozen=True, slots=True)
class BoxedRun:
    """A box that was claimed for an admitted call."""

    running: Running
    tool: Tool
    admitted: Admitted
    box: Box
    tap: OutputTap
    outputs: KeptOutputs | None = None

    @property
    def started(self) -> Started:
        return Started(self.running.call.tool_use_id, self.box.id, self.box.isolation)

    def start(self, deadline: Deadline) -> AsyncGenerator[OutputChunk | SandboxOutcome, None]:
        """Start the program. Raises what ``ports.Box.run`` does."""
        return self.box.run(self.admitted.program, deadline)

    def told(self, event: OutputChunk | SandboxOutcome) -> OutputChunk | ToolResult | None:
        """What the caller is told of one event; ``None`` for nothing."""
        if isinstance(event, OutputChunk):
            return self.tap.pass_on(event)
        outcome = self.tap.clean(event)
        return outcome_result(outcome, self._facts(outcome))

    def _facts(self, outcome: SandboxOutcome) -> RunFacts:
        program = self.admitted.program
        return RunFacts(
            self.running.call.tool_use_id,
            self.admitted.spec.limits,
            self.box.id,
            self.box.isolation,
            self.running.is_stopping,
            self.box.notice,
            program.collect or CollectLimits(),
            self._keep("stdout", outcome),
            self._keep("stderr", outcome),
            may_lack_network=(
                self.tool.runs == "box" and not self.tool.recipe.code and not self.tool.hosts
            ),
            hosts=self.tool.hosts,
        )

    def _keep(self, stream: StreamName, outcome: SandboxOutcome) -> str:
        """The handle of a stream that the result holds only a part of."""
        kept = outcome.stdout if stream == "stdout" else outcome.stderr
        if self.outputs is None or kept is None or not kept.omitted_bytes:
            return ""
        return self.outputs.keep(self.running.call.tenant, readable(self.tap.whole(stream)))
