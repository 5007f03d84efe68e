"""The scripted model in process: a `ModelClient` whose upstream is a script.

One job: play a turn with its timing and faults, and remember what was asked. It must not know how
bytes look (`sse`) nor what is said (`scenario`, `demo`).
"""

import hashlib
import json
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from auxot_tools.errors import (
    ERROR_TYPE_STATUS,
    RemoteProtocolError,
    Unavailable,
    UpstreamError,
)
from auxot_tools.scripted.play import ScenarioPlay, made_for
from auxot_tools.scripted.scenario import (
    JSON,
    Scenario,
    Script,
    ScriptedRequest,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    Turn,
)
from auxot_tools.scripted.sse import (
    Answer,
    Break,
    Frame,
    blocking,
    error_body,
    fault_body,
    input_text,
    stream,
)

REQUESTS_KEPT = 1000  # enough for any test to look back on; a benchmark must not grow memory
ERROR_STATUS_FROM = 400
JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class PlayedAnswer:
    """An answer ready to be played: status 200 or not, its headers, and its pieces in order."""

    status: int
    content_type: str
    headers: Mapping[str, str]
    pieces: Iterator[Frame | Break]


class ScriptedModel:
    """Implements ``ports.ModelClient``; may be used by many tasks of one event loop at once.

    ``requests`` and ``request_headers`` hold the last requests, bodies byte for byte.
    ``cancelled`` counts answers that were left before their end, ``finished`` those played to it.
    """

    def __init__(
        self,
        script: Script,
        *,
        stall_s: float = 30.0,
        requests_kept: int = REQUESTS_KEPT,
        models: Sequence[str] = ("scripted",),
    ) -> None:
        """A `Scenario` is played from its beginning.

        ``stall_s`` bounds how long a scripted stall keeps a reader waiting; ``requests_kept``
        how many requests are remembered, 0 for a model that serves and is not looked at;
        ``models`` are the names that it lists.
        """
        self.models = tuple(models)
        self._script = ScenarioPlay(script) if isinstance(script, Scenario) else script
        self._stall_s = stall_s
        self._received = 0
        self._requests: deque[bytes] = deque(maxlen=requests_kept)
        self._request_headers: deque[dict[str, str]] = deque(maxlen=requests_kept)
        self._request_queries: deque[str] = deque(maxlen=requests_kept)
        self.cancelled = 0
        self.finished = 0

    @property
    def requests(self) -> list[bytes]:
        return list(self._requests)

    @property
    def request_headers(self) -> list[dict[str, str]]:
        return list(self._request_headers)

    @property
    def request_queries(self) -> list[str]:
        return list(self._request_queries)

    @property
    def received(self) -> int:
        """Requests ever received."""
        return self._received

    def answer(self, body: bytes, headers: Mapping[str, str], query: str = "") -> PlayedAnswer:
        """Record the request and choose its answer. Raises ``Unavailable`` when scripted so."""
        number = self._received
        self._received += 1
        self._requests.append(body)
        self._request_headers.append(dict(headers))
        self._request_queries.append(query)
        request_id = f"req_{_digest(body, number)}"
        parsed = _parsed(body)
        if parsed is None:
            text = "The request body is not a JSON object."
            return _refusal(400, "invalid_request_error", text, request_id)
        try:
            turn = self._script(ScriptedRequest(body=parsed, number=number))
        except LookupError as error:
            return _refusal(500, "api_error", str(error.args[0]), request_id)
        digest = _digest(body, number)
        return _played(made_for(turn, parsed, digest), parsed, f"msg_{digest}", request_id)

    @asynccontextmanager
    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        query: str = "",
    ) -> AsyncGenerator["ScriptedResponse", None]:
        """See ``ports.ModelClient.send``."""
        answer = self.answer(body, headers, query)
        if answer.status >= ERROR_STATUS_FROM:
            content = b"".join(piece.data for piece in answer.pieces if isinstance(piece, Frame))
            raise UpstreamError(answer.status, content, answer.content_type, answer.headers)
        response = ScriptedResponse(self, answer)
        try:
            yield response
        finally:
            self.count_end(ended=response.ended)

    async def count_tokens(
        self,
        body: bytes,
        headers: Mapping[str, str],  # noqa: ARG002
        query: str = "",  # noqa: ARG002
    ) -> int | None:
        """See ``ports.ModelServer.count_tokens``: words stand for tokens."""
        parsed = _parsed(body) or {}
        return sum(count_words(parsed.get(name)) for name in ("system", "messages", "tools"))

    async def list_models(self) -> Sequence[str]:
        """See ``ports.ModelServer.list_models``."""
        return self.models

    def count_end(self, *, ended: bool) -> None:
        """An answer was played to its end (a scripted break is one), or left before it."""
        if ended:
            self.finished += 1
        else:
            self.cancelled += 1

    async def in_time(self, piece: Frame | Break) -> bytes | Break:
        """The bytes of a piece when their time has come; a stall is over after ``stall_s``."""
        if piece is Break.STALL:
            await anyio.sleep(self._stall_s)
        if isinstance(piece, Break):
            return piece
        await anyio.sleep(piece.delay_s)
        return piece.data


class ScriptedResponse:
    """Implements ``ports.ModelResponse``."""

    def __init__(self, model: ScriptedModel, answer: PlayedAnswer) -> None:
        self._model = model
        self._answer = answer
        self.ended = False

    @property
    def headers(self) -> Mapping[str, str]:
        kept = self._answer.headers.items()
        return {name: value for name, value in kept if name.lower() != "request-id"}

    @property
    def content_type(self) -> str:
        return self._answer.content_type

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes; raises ``RemoteProtocolError`` at a scripted cut or stall."""
        for piece in self._answer.pieces:
            data = await self._model.in_time(piece)
            if isinstance(data, Break):
                self.ended = True
                raise RemoteProtocolError("The upstream's answer broke off.")
            yield data
        self.ended = True


def _played(turn: Turn, request: JSON, message_id: str, request_id: str) -> PlayedAnswer:
    headers = {"request-id": request_id, **turn.headers}
    if turn.faults.unreachable:
        raise Unavailable("The scripted upstream plays one that cannot be reached.")
    if turn.faults.http is not None:
        fault = turn.faults.http
        body = Frame(fault_body(fault), turn.first_event_delay_s)
        return PlayedAnswer(fault.status, fault.content_type, headers, iter((body,)))
    usage = _usage(turn, request) if turn.usage is None else turn.usage
    model = turn.model if turn.model is not None else str(request.get("model", "scripted"))
    answer = Answer(turn.message_id or message_id, model, usage)
    if request.get("stream") is True and not turn.faults.answer_json_to_stream:
        content_type = "text/event-stream; charset=utf-8"
        return PlayedAnswer(200, content_type, headers, stream(turn, answer))
    if turn.faults.error_after_events is not None:
        kind = turn.faults.error_type
        refused = Frame(error_body(kind, "scripted fault"), turn.first_event_delay_s)
        return PlayedAnswer(ERROR_TYPE_STATUS.get(kind, 500), JSON_TYPE, headers, iter((refused,)))
    return PlayedAnswer(200, JSON_TYPE, headers, blocking(turn, answer))


def _refusal(status: int, error_type: str, message: str, request_id: str) -> PlayedAnswer:
    body = Frame(error_body(error_type, message))
    return PlayedAnswer(status, JSON_TYPE, {"request-id": request_id}, iter((body,)))


def _parsed(body: bytes) -> JSON | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _usage(turn: Turn, request: JSON) -> JSON:
    """Words stand for tokens."""
    return {
        "input_tokens": count_words(request.get("messages")),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": sum(_block_words(block) for block in turn.blocks),
    }


def _block_words(block: object) -> int:
    match block:
        case TextBlock():
            return len(block.text.split())
        case ThinkingBlock():
            return len(block.thinking.split())
        case ToolUseBlock():
            return len(input_text(block).split())
    return 0


def count_words(value: Any) -> int:
    """The words in all texts of a JSON value."""
    if isinstance(value, str):
        return len(value.split())
    if isinstance(value, dict):
        return sum(count_words(item) for item in value.values())
    if isinstance(value, list):
        return sum(count_words(item) for item in value)
    return 0


def _digest(body: bytes, number: int) -> str:
    """A short id that is the same for the same request at the same place."""
    return hashlib.sha256(b"%d:" % number + body).hexdigest()[:24]
