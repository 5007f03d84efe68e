"""What a program writes, on its way: without credentials, and kept for `read_output`.

One job: both for one call. Memory is bounded by ``KEPT_BYTES`` for each stream. It must not know
how programs are run, nor where kept output goes.
"""

import dataclasses

from auxot_tools.ports import KeptOutput, OutputFile, SandboxOutcome
from auxot_tools.types import OutputChunk, StreamName
from auxot_tools.worker.redaction import Redactor

KEPT_BYTES = 4 * 2**20  # of each stream, from its beginning; a slot may hold twice as much


class OutputTap:
    """Used by one call."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._kept: dict[StreamName, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._held: dict[StreamName, bytes] = {"stdout": b"", "stderr": b""}

    def pass_on(self, chunk: OutputChunk) -> OutputChunk | None:
        """The chunk as it may leave; ``None`` while nothing of it may."""
        data = chunk.data
        if self._redactor:
            data = self._held[chunk.stream] + data
            cut = self._redactor.cut_before_last(data)
            data, self._held[chunk.stream] = self._redactor.redact(data[:cut]), data[cut:]
        kept = self._kept[chunk.stream]
        kept += data[: KEPT_BYTES - len(kept)]
        if data is chunk.data:
            return chunk
        return dataclasses.replace(chunk, data=data) if data else None

    def whole(self, stream: StreamName) -> bytes:
        """What the stream held, up to ``KEPT_BYTES``."""
        return bytes(self._kept[stream]) + self._redactor.redact(self._held[stream])

    def clean(self, outcome: SandboxOutcome) -> SandboxOutcome:
        """The outcome without credentials, in its files too."""
        if not self._redactor:
            return outcome
        redact, name = self._redactor.redact, self._redactor.redact_text
        files = tuple(OutputFile(name(one.name), redact(one.data)) for one in outcome.files)
        left_out = tuple(
            dataclasses.replace(one, name=name(one.name)) for one in outcome.files_left_out
        )
        return dataclasses.replace(
            outcome,
            stdout=self._clean_stream(outcome.stdout),
            stderr=self._clean_stream(outcome.stderr),
            files=files,
            files_left_out=left_out,
        )

    def _clean_stream(self, kept: KeptOutput | None) -> KeptOutput | None:
        if kept is None:
            return None
        head, tail = self._redactor.redact(kept.head), self._redactor.redact(kept.tail)
        if not kept.omitted_bytes:
            return KeptOutput(head, tail)
        cut_head, cut_tail = self._redactor.cut_end(head), self._redactor.cut_start(tail)
        lost = len(head) - len(cut_head) + len(tail) - len(cut_tail)
        return KeptOutput(cut_head, cut_tail, kept.omitted_bytes + lost)
