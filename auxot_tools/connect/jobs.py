"""Runs the jobs of a router: each once, bounded, with one answer, whatever the connection does.

One job: from a job frame to a result that is owed to the router. It outlives connections. It must
not know sockets, nor the order in which results are sent (`deliveries.py`).

A router's key is one tenant: jobs of two routers share nothing. The session is the job's thread
where it names one, else the request that it is a call of (`parent_job_id`): so the rounds of one
request find the files and the shell of earlier ones, and no other request does.
"""

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from auxot_tools.connect.adapters import prepare
from auxot_tools.connect.calls import Prepared, Ran
from auxot_tools.connect.changes import Changes
from auxot_tools.connect.deliveries import Deliveries, Offer
from auxot_tools.connect.frames import JobAnswer, ToolJob, tool_result
from auxot_tools.connect.offered import Offered
from auxot_tools.connect.shown import Shown
from auxot_tools.errors import AuxotError
from auxot_tools.ports import ToolDispatcher
from auxot_tools.types import Deadline, OutputChunk, Status, ToolCall, ToolResult, text_result

logger = logging.getLogger(__name__)

# Answers that a router has not taken yet; while there are more, nothing is read from it. As many
# as a round of calls can hardly have, and few enough to be looked through for each.
MAX_UNSENT = 1024
# Arguments of jobs that run or wait, as JSON: six of the largest that a frame may hold, far more
# than 272 usual jobs have. In memory it is some times as much, which a small machine still has.
MAX_TAKEN_BYTES = 256 * 2**20
_MARK_BYTES = 16

_NO_MCP = (
    "MCP servers are not supported by this worker yet, so this call was not run. Take the MCP "
    "server out of the tool policy, or run its tools elsewhere."
)
_BUSY = "The worker is busy: {running} jobs run or wait already. Nothing was run. Try again later."
_STOPPING = "The worker is stopping and takes no new jobs. Nothing was run. Try again."
_NO_TIME = "The job had no turn within {time_s:g} s, as others ran. Nothing was run. Try again."
_CANCELLED = "Cancelled: the router gave this job up, and the tool was stopped."
_STOPPED = "Cancelled: the worker is stopping, so this job was given up. Try again."
_FAULT = "The worker made a mistake of its own; the operator's log has more. (job {job_id})"
_NO_RESULT = "The tools worker gave no result."
_TOO_LARGE = "The result was too large to be kept until the router is there again; it is lost."

_SAID_OF = {
    Offer.RUNNING: "it is being run already, once",
    Offer.REPEATED: "it was answered on this connection, so nothing is sent",
    Offer.ASKED_AGAIN: "it was run already, and its result is sent again",
}


@dataclass(frozen=True, slots=True)
class JobSettings:
    """``credential_fault`` says why a job's credentials cannot go with its call, in sentences that
    hold no value; empty when they can.
    """

    tenant: str = "auxot"
    concurrent_jobs: int = 16
    max_waiting: int = 256
    job_timeout_s: float = 300.0
    credential_fault: Callable[[Mapping[str, str]], str] = lambda _credentials: ""


class Jobs:
    """The jobs of one router. They run in ``tasks``. ``shown`` writes its words for the log."""

    def __init__(
        self,
        dispatcher: ToolDispatcher,
        offered: Offered,
        settings: JobSettings,
        tasks: TaskGroup,
        shown: Shown | None = None,
    ) -> None:
        self._dispatcher = dispatcher
        self._offered = offered
        self._settings = settings
        self._tasks = tasks
        self._places = anyio.CapacityLimiter(settings.concurrent_jobs)
        self._running: dict[str, anyio.CancelScope] = {}
        self._taken_bytes = 0
        self._is_stopping = False
        self._shown = shown or Shown()
        self.deliveries = Deliveries()
        self.changes = Changes()

    @property
    def running(self) -> int:
        """Jobs taken and not yet ended, waiting ones included."""
        return len(self._running)

    async def take(self, job: ToolJob, connection: int) -> None:
        """A job came. Returns when another may be read."""
        offer = self.deliveries.offer(job.job_id, job.parent_job_id, connection)
        if offer is Offer.NEW:
            self._start(job)
        else:
            logger.warning("job %s came again: %s", self._shown.id(job.job_id), _SAID_OF[offer])
            self.changes.note()
        await self.changes.until(lambda: self.deliveries.unsent < MAX_UNSENT)

    def _start(self, job: ToolJob) -> None:
        refusal = self._no_room(job) or self._refusal(job)
        if refusal:
            self._tell_refused(job, refusal)
            self._finish(job, JobAnswer(error=refusal), 0)
            return
        self._running[job.job_id] = anyio.CancelScope()
        self._taken_bytes += len(job.arguments)
        self._tasks.start_soon(self._run, job, Deadline.after(self._settings.job_timeout_s))

    def _tell_refused(self, job: ToolJob, refusal: str) -> None:
        job_id, name = self._shown.id(job.job_id), self._shown.id(job.tool_name)
        logger.info('job %s of "%s" was not run: %s', job_id, name, self._shown.text(refusal, 200))

    def _no_room(self, job: ToolJob) -> str:
        """Why no job is taken now; empty when this one is."""
        if self._is_stopping:
            return _STOPPING
        is_line_full = self.running >= self._settings.concurrent_jobs + self._settings.max_waiting
        if is_line_full or self._taken_bytes + len(job.arguments) > MAX_TAKEN_BYTES:
            return _BUSY.format(running=self.running)
        return ""

    def _refusal(self, job: ToolJob) -> str:
        """Why this job is not run, under the policy that holds now; empty when it is."""
        if job.fault or job.is_mcp:
            return job.fault or _NO_MCP
        refusal = self._offered.refusal(job.tool_name)
        if refusal:
            return refusal
        fault = self._settings.credential_fault(job.credentials) if job.credentials else ""
        return f"The job's credentials cannot be used. {fault} Nothing was run." if fault else ""

    def cancel(self, job_id: str) -> None:
        """The router wants no more of this job; it is answered that it was cancelled."""
        scope = self._running.get(job_id)
        if scope is not None:
            scope.cancel()

    def stop_taking(self) -> None:
        """Answer jobs that come from now on with the reason."""
        self._is_stopping = True

    def cancel_all(self) -> None:
        """End those that run; each is answered."""
        for scope in self._running.values():
            scope.cancel()

    async def until_idle(self) -> None:
        """Wait until none runs."""
        await self.changes.until(lambda: not self._running)

    async def until_delivered(self) -> None:
        """Wait until the router has confirmed every answer."""
        await self.changes.until(lambda: not self.deliveries.owed)

    async def _run(self, job: ToolJob, deadline: Deadline) -> None:
        begun_at = time.monotonic()
        answer: JobAnswer | None = None
        with self._running[job.job_id]:
            answer = await self._answer(job, deadline)
        if answer is None:
            answer = JobAnswer(error=_STOPPED if self._is_stopping else _CANCELLED)
        del self._running[job.job_id]
        self._taken_bytes -= len(job.arguments)
        self._finish(job, answer, round((time.monotonic() - begun_at) * 1000))

    async def _answer(self, job: ToolJob, deadline: Deadline) -> JobAnswer:
        prepared = prepare(job, secrets.token_hex(_MARK_BYTES))
        if isinstance(prepared, JobAnswer):
            return prepared
        with anyio.move_on_after(deadline.remaining_s()) as waiting:
            await self._places.acquire_on_behalf_of(job.job_id)
        if waiting.cancelled_caught:
            return JobAnswer(error=_NO_TIME.format(time_s=self._settings.job_timeout_s))
        try:
            refusal = self._refusal(job)  # a policy may have come while it waited
            if refusal:
                self._tell_refused(job, refusal)
                return JobAnswer(error=refusal)
            return await self._called(job, prepared, deadline)
        except AuxotError as error:  # the dispatcher takes no more calls
            return JobAnswer(error=f"Nothing was run: {error}.")
        except Exception as error:  # a bug of ours must not leave a round waiting for ever
            job_id = self._shown.id(job.job_id)
            logger.exception("job %s failed: %s", job_id, type(error).__name__)
            return JobAnswer(error=_FAULT.format(job_id=job_id))
        finally:
            self._places.release_on_behalf_of(job.job_id)

    async def _called(self, job: ToolJob, prepared: Prepared, deadline: Deadline) -> JobAnswer:
        call = self._call(job, prepared)
        ran = Ran(text_result(call.tool_use_id, Status.INTERNAL, _NO_RESULT))
        begun_at = time.monotonic()
        async with aclosing(self._dispatcher.execute(call, deadline)) as happenings:
            async for happening in happenings:
                if isinstance(happening, OutputChunk):
                    stream = ran.stdout if happening.stream == "stdout" else ran.stderr
                    stream.add(happening.data)
                elif isinstance(happening, ToolResult):
                    ran.result = happening
                    break
        ran.duration_ms = round((time.monotonic() - begun_at) * 1000)
        return prepared.answer(ran)

    def _call(self, job: ToolJob, prepared: Prepared) -> ToolCall:
        """The call. Its id is the job's: those of the model may be empty, or come twice."""
        return ToolCall(
            tool_use_id=job.job_id,
            name=prepared.tool_name,
            input_json=prepared.input_json,
            tenant=self._settings.tenant,
            session=job.thread_id or job.parent_job_id or job.job_id,
            request_id=job.parent_job_id,
            credentials=job.credentials,
        )

    def _finish(self, job: ToolJob, answer: JobAnswer, duration_ms: int) -> None:
        frame = tool_result(job, answer, duration_ms)
        instead = tool_result(job, JobAnswer(error=_TOO_LARGE), duration_ms)
        if not self.deliveries.finish(job.job_id, frame, instead):
            job_id = self._shown.id(job.job_id)
            logger.error("job %s: its result of %d bytes is lost", job_id, len(frame))
        self.changes.note()
