"""Reads pages in processes that are killed when a page takes too much.

One job: a page as a job, and a reading out of its answer. It must not know processes, nor tools.
"""

import json
from dataclasses import asdict

from auxot_tools.hosted.killable import Job, JobLimits, Killable
from auxot_tools.hosted.web_pages import Part
from auxot_tools.hosted.web_reading import Reading, ReadingTask
from auxot_tools.types import Deadline

# A page of 5 MiB that is all tags needs about half of the memory. An ordinary page takes 0.02 s, a
# large one 1 s, and 0.2 s more to start; a quadratic one takes for ever.
PAGE_LIMITS = JobLimits(processes=2, memory_bytes=2**30, job_s=10.0)


class HtmlReader:
    """Reads pages and other texts, a tenant's one after the other. Nothing needs to be closed."""

    def __init__(self, limits: JobLimits = PAGE_LIMITS) -> None:
        self._jobs = Killable("auxot_tools.hosted.web_html_process", limits)

    async def read(
        self, task: ReadingTask, body: bytes, tenant: str, deadline: Deadline
    ) -> Reading | None:
        """The reading; None when the page takes too much time or memory, or crashes the parser."""
        job = Job(json.dumps(asdict(task)).encode(), body)
        answer = await self._jobs.answer(job, tenant, deadline)
        return _reading(answer) if answer else None


def _reading(answer: bytes) -> Reading:
    fields = json.loads(answer)
    part = Part(**fields.pop("part"))
    return Reading(part, **{**fields, "notes": tuple(fields["notes"])})
