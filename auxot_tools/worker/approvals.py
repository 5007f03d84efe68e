"""The desk where calls wait for an operator's yes.

One job: ``ports.Approvals`` over the calls that wait in this process. Silence is no. It must not
know who may answer, nor how an answer comes in.
"""

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import NotFound
from auxot_tools.ports import WaitingCall
from auxot_tools.types import Deadline, ToolCall

logger = logging.getLogger(__name__)

MAX_WAITING = 100  # for a person to look through
MAX_OF_ONE_KEY = 10  # so that one key cannot take the desk for itself
SHOWN_BYTES = 4096  # of the input: what a person reads before saying yes


@dataclass(frozen=True, slots=True)
class Verdict:
    """An operator's answer."""

    allow: bool
    by: str = ""


@dataclass(eq=False, slots=True)
class _Waiting:
    call: ToolCall
    until: Deadline
    since: float = field(default_factory=time.monotonic)
    answered: anyio.Event = field(default_factory=anyio.Event)
    verdict: Verdict | None = None


class ApprovalDesk:
    """``ask_s``: how long a call waits at most."""

    def __init__(self, ask_s: float = 120.0) -> None:
        self.ask_s = ask_s
        self._waiting: dict[str, _Waiting] = {}  # oldest first

    @property
    def waiting(self) -> int:
        """Calls that wait for an answer."""
        return len(self._waiting)

    def waiting_of(self, tenant: str) -> int:
        """Those of one key."""
        return sum(one.call.tenant == tenant for one in self._waiting.values())

    def has_room(self, tenant: str) -> bool:
        """Whether one more call of this key may wait."""
        return len(self._waiting) < MAX_WAITING and self.waiting_of(tenant) < MAX_OF_ONE_KEY

    async def ask(self, call: ToolCall, deadline: Deadline) -> Verdict | None:
        """An operator's answer; ``None`` when none came in time, or there is no room to wait."""
        if not self.has_room(call.tenant):
            return None
        approval_id = secrets.token_hex(6)
        waiting = _Waiting(call, deadline.sooner(Deadline.after(self.ask_s)))
        self._waiting[approval_id] = waiting
        logger.warning(
            "a call of %r for key %r waits for approval %s (`auxot-tools approvals`)",
            call.name[:64],
            call.tenant[:64],
            approval_id,
        )
        try:
            with anyio.move_on_after(waiting.until.remaining_s()):
                await waiting.answered.wait()
        finally:
            self._waiting.pop(approval_id, None)
        return waiting.verdict

    async def list_approvals(self) -> Sequence[WaitingCall]:
        """Contract: ``ports.Approvals``."""
        now = time.monotonic()
        return tuple(
            WaitingCall(
                approval_id,
                one.call.name,
                one.call.tenant,
                one.call.input_json[:SHOWN_BYTES],
                now - one.since,
                one.until.remaining_s(),
            )
            for approval_id, one in self._waiting.items()
        )

    async def decide_approval(self, approval_id: str, *, allow: bool, by: str = "") -> None:
        """Contract: ``ports.Approvals``. The first answer counts."""
        waiting = self._waiting.pop(approval_id, None)
        if waiting is None:
            raise NotFound(f"no call waits for the approval {approval_id[:40]!r} (any more)")
        waiting.verdict = Verdict(allow, by)
        waiting.answered.set()
