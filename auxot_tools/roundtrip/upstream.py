"""The scripted upstream of a run: it plays the scene that a request's text names, and keeps a log.

One job: scene by marker, and what was asked when. It must not know who serves it, what the endpoint
under test is, or what is judged.
"""

import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.recording import Asked
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.scenes import turn_for
from auxot_tools.roundtrip.wire import parsed_object
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import JSON, Faults, ScriptedRequest, TextBlock, Turn
from auxot_tools.scripted.server import BODY_LIMIT_BYTES, Message, Receive, Send, scripted_app

KEPT_BYTES = 2**19  # of one request: no scene's conversation comes near it
MOST_ASKED = 64  # requests kept of one scene: above the most rounds that are played
_MARKER = re.compile(r"\[\[roundtrip (\w+) ([\w-]+)\]\]")
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "cookie", "proxy-authorization"})
_STRANGER = Turn(blocks=(TextBlock(text="This is the upstream of a round-trip test."),))


@dataclass(slots=True)
class _Entry:
    """One request that came."""

    body: Any
    headers: dict[str, str]
    said: JSON
    at_s: float  # of the clock
    ended: str = "open"


@dataclass
class PlayedUpstream:
    """An ASGI app: the upstream, and the log of what it was asked.

    ``requests`` counts the client's requests of each scene that have begun, as the runner says.
    """

    plan: Plan
    redactor: Redactor
    stall_s: float = 30.0
    _log: dict[str, list[_Entry]] = field(default_factory=dict)
    _requests: dict[str, int] = field(default_factory=dict)
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _received: int = 0

    # -- for the runner --------------------------------------------------------------------------

    def begin(self, scene: str) -> int:
        """The client begins a request of a scene; how many the upstream has had of it so far."""
        self._requests[scene] = self._requests.get(scene, 0) + 1
        return len(self._log.get(scene, ()))

    def asked(self, scene: str, since: int, begun_at_s: float) -> tuple[Asked, ...]:
        """The requests of a scene from the one with this number on."""
        entries = self._log.get(scene, [])[since:]
        return tuple(
            Asked(e.body, e.headers, e.said, round(e.at_s - begun_at_s, 4), e.ended)
            for e in entries
        )

    async def until(self, scene: str, since: int, *, ended: bool) -> None:
        """Wait until one more request of a scene has come, or its answer has ended."""
        while True:
            entries = self._log.get(scene, [])[since:]
            if entries and (not ended or entries[0].ended != "open"):
                return
            await self._changed.wait()

    # -- for the endpoint ------------------------------------------------------------------------

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        is_message = scope["type"] == "http" and scope["path"].endswith("/messages")
        if not is_message or scope["method"] != "POST":
            model = ScriptedModel(_silent, models=(self.plan.model,))
            await scripted_app(model)(scope, receive, send)
            return
        body = await _whole_body(receive)
        turn, entry = self._turn(body, scope)
        ended = "left"

        async def noting(message: Message) -> None:
            nonlocal ended
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                ended = "whole"

        model = ScriptedModel(lambda _request: turn, stall_s=self.stall_s, requests_kept=0)
        try:
            await scripted_app(model)(scope, _given(body, receive), noting)
        finally:
            if entry is not None:
                cut = turn.faults.cut_after_events is not None
                entry.ended = "broken" if cut and model.finished else ended
                self._note()

    def _turn(self, body: bytes, scope: MutableMapping[str, Any]) -> tuple[Turn, _Entry | None]:
        """What is said, and the log's entry for it; a request without a marker has none."""
        self._received += 1
        parsed = parsed_object(body) or {}
        scene, number = _place(parsed, self.plan.run_id)
        if not scene:
            return _STRANGER, None
        made = turn_for(self.plan, scene, number, self._requests.get(scene, 1))
        ids = {"request-id": f"req_{self.plan.run_id}_{self._received}"}
        turn = made.model_copy(
            update={
                "message_id": f"msg_{self.plan.run_id}_{self._received}",
                "headers": {**ids, **made.headers},
            }
        )
        kept = parsed if len(body) <= KEPT_BYTES else {"left_out_bytes": len(body)}
        entry = _Entry(
            self.redactor.value(kept), self._headers(scope), _said(turn), time.monotonic()
        )
        entries = self._log.setdefault(scene, [])
        if len(entries) < MOST_ASKED:
            entries.append(entry)
        self._note()
        return turn, entry

    def _headers(self, scope: MutableMapping[str, Any]) -> dict[str, str]:
        pairs = ((n.decode("latin-1").lower(), v.decode("latin-1")) for n, v in scope["headers"])
        return {
            name: "[not shown]" if name in _SECRET_HEADERS else self.redactor.text(value)
            for name, value in pairs
        }

    def _note(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


def _silent(request: ScriptedRequest) -> Turn:  # noqa: ARG001
    return _STRANGER


def _said(turn: Turn) -> JSON:
    """The turn as the recording keeps it."""
    said: JSON = turn.model_dump(
        mode="json", include={"blocks", "stop_reason", "stop_sequence", "usage", "message_id"}
    )
    if turn.faults != Faults():
        said["faults"] = turn.faults.model_dump(mode="json", exclude_defaults=True)
    return said


def _place(body: JSON, run_id: str) -> tuple[str, int]:
    """The scene that the last marker names, and how many turns of the model follow it."""
    messages = body.get("messages")
    turns = 0
    for message in reversed(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict):
            continue
        if message.get("role") == "assistant":
            turns += 1
            continue
        found = _MARKER.findall(json.dumps(message.get("content"), ensure_ascii=False))
        if found and found[-1][0] == run_id:
            return found[-1][1], turns
    return "", 0


async def _whole_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        too_much = sum(map(len, parts)) > BODY_LIMIT_BYTES
        if too_much or message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    """Gives a body that was read already, then what else comes."""
    rest: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return rest.pop() if rest else await receive()

    return next_message
