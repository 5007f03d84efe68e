"""An ``Approvals`` in memory: what waits is given, and every decision is noted."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import NotFound
from auxot_tools.ports import WaitingCall

LOOK_S = 30.0  # a command starts within seconds, and looks every second
TRICK = "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\r\nallow"  # what a terminal must not act on


def waiting_call(approval_id: str = "a1", input_json: bytes = b'{"code":"1"}') -> WaitingCall:
    """A call of `bash` for the key `ann` that has waited a while."""
    return WaitingCall(approval_id, "bash", "ann", input_json, 12.5, 47.5)


@dataclass
class FakeApprovals:
    """``decided`` holds the id, the answer and who gave it, in order; ``looks`` counts lists."""

    waiting: list[WaitingCall] = field(default_factory=list)
    error: BaseException | None = None
    decided: list[tuple[str, bool, str]] = field(default_factory=list)
    looks: int = 0
    _looked: anyio.Event = field(default_factory=anyio.Event)

    async def until_looks(self, count: int) -> None:
        """Wait until the list was asked for so many times; raises ``TimeoutError``."""
        with anyio.fail_after(LOOK_S):
            while self.looks < count:
                await self._looked.wait()

    async def list_approvals(self) -> Sequence[WaitingCall]:
        self.looks += 1
        self._looked.set()
        self._looked = anyio.Event()
        if self.error is not None:
            raise self.error
        return tuple(self.waiting)

    async def decide_approval(self, approval_id: str, *, allow: bool, by: str = "") -> None:
        if self.error is not None:
            raise self.error
        found = [call for call in self.waiting if call.id == approval_id]
        if not found:
            raise NotFound(f"no call waits for {approval_id}")
        self.waiting.remove(found[0])
        self.decided.append((approval_id, allow, by))
