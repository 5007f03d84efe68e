"""Outputs that were too long for a result, kept for a while in memory: ``ports.KeptOutputs``.

One job: keep, find, forget. An output belongs to the key whose call made it and to this worker: its
handle is of no use to anybody else. It must not know how outputs are made or shown.
"""

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_OUTPUTS = 10_000  # of all keys; a name and a few numbers each beside the text
TENANT_PART = 4  # one key may fill this part of the memory: others must find room too


@dataclass(frozen=True, slots=True)
class _Kept:
    tenant: str
    text: str
    until: float
    size_bytes: int


class OutputStore:
    """``max_bytes`` of memory for all keys, ``kept_s`` seconds for each output.

    Without room the oldest outputs of the same key go first, then the oldest of all.
    """

    def __init__(
        self,
        worker_id: str,
        max_bytes: int,
        kept_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._worker = worker_id[:6]
        self._max_bytes = max_bytes
        self._kept_s = kept_s
        self._clock = clock
        self._outputs: OrderedDict[str, _Kept] = OrderedDict()  # oldest first
        self._bytes: dict[str, int] = {}  # by tenant

    @property
    def kept_s(self) -> float:
        return self._kept_s

    def keep(self, tenant: str, output: str) -> str:
        """Contract: ``ports.KeptOutputs``."""
        self._forget_old()
        share = self._max_bytes // TENANT_PART
        text = output[: share // 4]  # a character takes up to 4 bytes of memory
        size_bytes = _size(text)
        while self._bytes.get(tenant, 0) + size_bytes > share:
            self._forget(next(name for name, one in self._outputs.items() if one.tenant == tenant))
        while sum(self._bytes.values()) + size_bytes > self._max_bytes:
            self._forget(next(iter(self._outputs)))
        if len(self._outputs) >= MAX_OUTPUTS:
            self._forget(next(iter(self._outputs)))
        handle = f"out_{self._worker}_{secrets.token_hex(8)}"
        until = self._clock() + self._kept_s
        self._outputs[handle] = _Kept(tenant, text, until, size_bytes)
        self._bytes[tenant] = self._bytes.get(tenant, 0) + size_bytes
        return handle

    def find(self, tenant: str, handle: str) -> str | None:
        """The output with this handle, if it is this key's and still kept."""
        self._forget_old()
        kept = self._outputs.get(handle)
        return kept.text if kept is not None and kept.tenant == tenant else None

    def is_of_another_worker(self, handle: str) -> bool:
        """Whether the handle looks like one that another worker, or an earlier start, made."""
        return handle.startswith("out_") and not handle.startswith(f"out_{self._worker}_")

    def _forget_old(self) -> None:
        now = self._clock()
        while self._outputs:
            handle, oldest = next(iter(self._outputs.items()))
            if oldest.until > now:
                return
            self._forget(handle)

    def _forget(self, handle: str) -> None:
        kept = self._outputs.pop(handle)
        left = self._bytes[kept.tenant] - kept.size_bytes
        if left:
            self._bytes[kept.tenant] = left
        else:
            del self._bytes[kept.tenant]


def _size(text: str) -> int:
    """What a text takes in memory: 1, 2 or 4 bytes for each character, by its widest one."""
    widest = 1 if text.isascii() else 4
    return max(1, len(text) * widest)
