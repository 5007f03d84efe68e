"""What clients cannot see of their conversations, kept for their next request.

A client sends its history back as it sees it: without the calls that were hidden from it, and
without the images of our tools. What it lacks is kept here under its key's name and the digest of
the visible conversation, in memory, bounded and for a while. When it is gone the conversation goes
on with the visible text. One job: keep and restore. Must not know loops or upstreams.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from auxot_tools.messages import exact_json
from auxot_tools.messages.digests import digest_after, prefix_digests
from auxot_tools.types import JSON

logger = logging.getLogger(__name__)

MAX_ENTRIES = 100_000  # most hold nothing but "nothing was hidden here": about 200 bytes each


@dataclass(frozen=True, slots=True)
class _Entry:
    """One message of ours: its whole content as JSON, empty when the client sees all of it."""

    content: bytes
    used_at: float


@dataclass(frozen=True, slots=True)
class Restored:
    """A history as the upstream is to see it; `digest` is that of what the client sees."""

    messages: tuple[JSON, ...]
    digest: bytes


class KeptHistory:
    """Kept in one process. `max_bytes` bounds all contents together, `kept_s` each since its use.

    `is_hiding`: clients see none of our calls, so every message of ours is remembered, and one
    that is not known any more is told to the operator.
    """

    def __init__(
        self,
        *,
        is_hiding: bool = False,
        max_bytes: int = 64 * 2**20,
        kept_s: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_hiding = is_hiding
        self._max_bytes = max_bytes
        self._kept_s = kept_s
        self._clock = clock
        self._entries: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()  # oldest use first
        self._total_bytes = 0

    @property
    def is_needed(self) -> bool:
        """Whether anything can be restored, or is to be looked for."""
        return bool(self._entries) or self._is_hiding

    def restore(
        self,
        key_name: str,
        messages: tuple[JSON, ...],
        digests: Sequence[bytes] | None,
        request_id: str,
    ) -> Restored:
        """The history with what was kept of it; `digests` are the messages' `prefix_digests`."""
        if digests is None:
            return Restored(messages, b"")
        self._drop_old()
        restored: list[JSON] = []
        unknown, digest = 0, b""
        for message, digest in zip(messages, digests, strict=True):
            content = None
            if message["role"] == "assistant":
                content = self._take((key_name, digest))
                unknown += content is None
            restored.append(
                message | {"content": exact_json.decode(content)} if content else message
            )
        if unknown and self._is_hiding:
            text = (
                "%s: %d assistant messages are not known here; going on with what the client sees"
            )
            logger.info(text, request_id, unknown)
        return Restored(tuple(restored), digest)

    def keep(
        self,
        key_name: str,
        messages: tuple[JSON, ...],
        digest: bytes,
        message: JSON,
        whole_content: Sequence[JSON] | None,
    ) -> None:
        """Keep what the client does not see of `message`, our answer to `messages`.

        `digest` is that of `messages`, empty when it is not known.
        """
        if whole_content is None and not self._is_hiding:
            return
        digest = digest or prefix_digests(messages)[-1]
        content = exact_json.encode(list(whole_content)) if whole_content is not None else b""
        if len(content) > self._max_bytes:
            logger.info("a message of %d bytes is too large to be kept", len(content))
            return
        answer = {"role": "assistant", "content": message["content"]}
        self._put((key_name, digest_after(digest, answer)), content)

    def _take(self, at: tuple[str, bytes]) -> bytes | None:
        entry = self._entries.get(at)
        if entry is None:
            return None
        self._entries[at] = _Entry(entry.content, self._clock())
        self._entries.move_to_end(at)
        return entry.content

    def _put(self, at: tuple[str, bytes], content: bytes) -> None:
        self._remove(at)
        self._entries[at] = _Entry(content, self._clock())
        self._total_bytes += len(content)
        while len(self._entries) > MAX_ENTRIES or self._total_bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))

    def _remove(self, at: tuple[str, bytes]) -> None:
        removed = self._entries.pop(at, None)
        self._total_bytes -= len(removed.content) if removed else 0

    def _drop_old(self) -> None:
        before = self._clock() - self._kept_s
        while self._entries:
            at, oldest = next(iter(self._entries.items()))
            if oldest.used_at > before:
                return
            self._remove(at)
