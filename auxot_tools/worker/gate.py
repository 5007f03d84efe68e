"""Applies the operator's policy to one call: yes, or a refusal that the model understands.

One job: that decision, with its waiting. What holds is taken onto the call's own exit stack. It
must not know how a call is run. Refusals are ``DENIED``; what comes right by itself is
``UNAVAILABLE``.

    rule ─▶ deny?      arguments fit? ─▶ rate ─▶ ask (waits) ─▶ a place (waits) ─▶ run
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from auxot_tools.errors import DeadlineExceeded
from auxot_tools.rates import Bucket
from auxot_tools.types import Deadline, Status, ToolCall
from auxot_tools.worker.approvals import ApprovalDesk
from auxot_tools.worker.places import Places
from auxot_tools.worker.policy import Rule
from auxot_tools.worker.policy_file import LivePolicy
from auxot_tools.worker.violations import Violations

WATCHED = 10_000  # pairs of key and tool whose rate is remembered; one that is forgotten is full

_DENIED = "Not run: the operator does not allow this key to use {tool}.{reason} Go on without it."
_ARGUMENTS = "The operator does not allow {tool} with this input.{reason} It must also fit a rule"
_FILES = (
    "Not run: the operator does not allow this key to give files to {tool}.{reason} Put what is "
    "needed into the input."
)
_RATE = (
    "Not run: this key may call {tool} {limit} times a minute, and has. Try again in {wait_s} s, "
    "or do more in one call."
)
_SAID_NO = (
    "Not run: an operator was asked, and refused this call.{reason} Do not repeat it as it is."
)
_SILENCE = (
    "Not run: {tool} needs an operator's approval for this key, and nobody answered in time."
    "{reason} Go on without it, or tell the user that an operator has to approve it."
)
_NO_ROOM = (
    "Not run: {tool} needs an operator's approval for this key, and as many calls wait for one "
    "already as may.{reason} Wait for those, or go on without it."
)
_NO_PLACE = (
    "Not run: this key may run {limit} calls of {tool} at once, and none of them ended in the time "
    "given. Make fewer calls at once, or try again."
)


@dataclass(frozen=True, slots=True)
class Passage:
    """What was decided. ``decision`` is a word for the audit log; ``refusal`` is for the model."""

    decision: str = "allowed"
    refusal: str = ""
    status: Status = Status.DENIED
    timeout_s: float | None = None


class Gate:
    """The policy in force, and who uses how much of it."""

    def __init__(
        self,
        policy: LivePolicy | None = None,
        desk: ApprovalDesk | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.desk = desk or ApprovalDesk()
        self.policy = policy or LivePolicy()
        self._clock = clock
        self._rates: OrderedDict[tuple[str, str], Bucket] = OrderedDict()
        self._places = Places()

    async def enter(self, call: ToolCall, held: ExitStack, deadline: Deadline) -> Passage:
        """Decide about a call whose input fits its tool; a place goes onto ``held``."""
        rule = self.policy.current.rule_for(call.tenant, call.name)
        words = {"tool": call.name, "reason": f" {rule.reason}" if rule.reason else ""}
        if rule.action == "deny":
            return Passage("denied", _DENIED.format(**words))
        if call.files and rule.judges_input and not rule.files:
            return Passage("denied_files", _FILES.format(**words))
        if rule.arguments is not None:
            judged = rule.arguments.check(call.input_json or b"{}")
            if isinstance(judged, Violations):
                return Passage("denied_arguments", judged.render(_ARGUMENTS.format(**words)))
        if rule.calls_per_minute is not None:
            wait_s = self._bucket(call).take(rule.calls_per_minute, self._clock())
            if wait_s:
                text = _RATE.format(limit=rule.calls_per_minute, wait_s=wait_s, **words)
                return Passage("rate", text, Status.UNAVAILABLE)
        decision = "allowed"
        if rule.action == "ask":
            asked = await self._ask(call, words, deadline)
            if asked.refusal:
                return asked
            decision = asked.decision
        return await self._take_place(call, rule, decision, held, deadline)

    async def _ask(self, call: ToolCall, words: dict[str, str], deadline: Deadline) -> Passage:
        if not self.desk.has_room(call.tenant):
            return Passage("unasked", _NO_ROOM.format(**words), Status.UNAVAILABLE)
        verdict = await self.desk.ask(call, deadline)
        if verdict is None:
            return Passage("unanswered", _SILENCE.format(**words))
        by = f" by {verdict.by}" if verdict.by else ""
        if not verdict.allow:
            return Passage(f"refused{by}", _SAID_NO.format(**words))
        return Passage(f"approved{by}")

    async def _take_place(
        self, call: ToolCall, rule: Rule, decision: str, held: ExitStack, deadline: Deadline
    ) -> Passage:
        if rule.concurrent_calls is not None:
            place = (call.tenant, call.name)
            try:
                await self._places.take(place, rule.concurrent_calls, held, deadline)
            except DeadlineExceeded:
                text = _NO_PLACE.format(limit=rule.concurrent_calls, tool=call.name)
                return Passage("busy", text, Status.UNAVAILABLE)
            held.callback(self._places.give_back, place, held)
        return Passage(decision, timeout_s=rule.timeout_s)

    def _bucket(self, call: ToolCall) -> Bucket:
        pair = (call.tenant, call.name)
        bucket = self._rates.setdefault(pair, Bucket())
        self._rates.move_to_end(pair)
        if len(self._rates) > WATCHED:
            self._rates.popitem(last=False)
        return bucket
