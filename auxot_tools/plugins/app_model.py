"""An ASGI app with a Messages endpoint as the model: each turn is one call of it in this process.

One job: `ports.ModelClient` over a wrapped app. Its pieces come as it sends them, and it waits
while nobody takes them. What it answers that is no message goes to the client as it is, as long as
nothing else went there. Must not know tools or loops.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager

from anyio.abc import TaskGroup
from starlette.types import ASGIApp, Message, Scope

from auxot_tools.driver.upstreams import returned_headers
from auxot_tools.errors import (
    AuthenticationError,
    AuxotError,
    RemoteProtocolError,
    UpstreamError,
)
from auxot_tools.messages import exact_json
from auxot_tools.plugins.app_call import AppCall
from auxot_tools.plugins.door import Door
from auxot_tools.plugins.scopes import headers_of, scope_for

MAX_JSON_BYTES = 32 * 2**20  # of an answer that does not stream; the loop reads no larger one
MAX_ERROR_BYTES = 64 * 1024  # of an error that is told again, not passed on


class PassedOn(AuxotError):
    """The app's answer was no message, and went to the client as it came."""


class AppModel:
    """See `ports.ModelClient`; the headers and query of a call are those of the client's request.

    Used for one request. `tasks` lives as long as the request: what the app does after its answer
    goes on there. `failure` is what the app raised, if it did. `on_accepted` is told when the app
    has taken the request; until its first answer has begun the door is held.
    """

    def __init__(
        self,
        app: ASGIApp,
        scope: Scope,
        door: Door,
        tasks: TaskGroup,
        on_accepted: Callable[[], None],
    ) -> None:
        self._on_accepted = on_accepted
        self._app = app
        self._scope = scope
        self._door = door
        self._tasks = tasks
        self._calls: list[AppCall] = []

    @property
    def turns(self) -> int:
        """How often the app was called."""
        return len(self._calls)

    @property
    def failure(self) -> Exception | None:
        """What a call of the app raised, once it has."""
        return next((call.failure for call in self._calls if call.failure is not None), None)

    @asynccontextmanager
    async def send(
        self,
        body: bytes,
        headers: Mapping[str, str],  # noqa: ARG002  # the app gets the client's own, as they came
        query: str = "",  # noqa: ARG002
    ) -> AsyncGenerator["AppResponse", None]:
        """Call the app. Raises `PassedOn`, `UpstreamError`, `AuthenticationError`,
        `RemoteProtocolError`, or `AuxotError` when the app failed.
        """
        is_first = not self._calls
        self._door.is_held = is_first
        call = AppCall(self._tasks, body)
        self._calls.append(call)
        call.begin(self._app, scope_for(self._scope, body))
        is_left_well = False
        try:
            start = await call.start()
            response = await self._accepted(call, start, is_first=is_first)
            self._door.is_held = False
            yield response
            is_left_well = True
        finally:
            self._door.is_held = False
            call.leave(finish=is_left_well)

    async def _accepted(self, call: AppCall, start: Message, *, is_first: bool) -> "AppResponse":
        headers = headers_of(start.get("headers", ()))
        media_type = headers.get("content-type", "")
        kind = media_type.partition(";")[0].strip().lower()
        if start["status"] != 200 or kind not in ("application/json", "text/event-stream"):
            if is_first and self._door.take():
                await self._pass_on(call, start)
            raise await self._refusal(call, start["status"], media_type, headers)
        if headers.get("content-encoding", "identity") != "identity":
            raise RemoteProtocolError("the app encoded its answer although nobody asked for it")
        whole: bytes | None = None
        if kind == "application/json":
            whole = await call.read(MAX_JSON_BYTES)
            if is_first and not _is_message(whole) and self._door.take():
                await self._pass_on(call, start, whole)
        if is_first:
            self._door.app_headers = list(start.get("headers", ()))
            self._on_accepted()
        return AppResponse(call, media_type, whole)

    async def _refusal(
        self, call: AppCall, status: int, media_type: str, headers: Mapping[str, str]
    ) -> AuxotError:
        """What the app's refusal means, when something has been done or told already."""
        body = await call.read(MAX_ERROR_BYTES)
        if status == 200:
            return RemoteProtocolError("the app answered with something that is no message")
        if status == 401:
            verb = "no longer takes" if self.turns > 1 else "does not take"
            return AuthenticationError(f"The app {verb} the key that this request came with.")
        return UpstreamError(status, body, media_type, returned_headers(headers))

    async def _pass_on(self, call: AppCall, start: Message, read: bytes | None = None) -> None:
        """Give the client the app's answer, of which `read` was read. Raises `PassedOn`."""
        await self._door.pass_on(start)
        if read is not None:
            more = not call.is_complete
            piece = {"type": "http.response.body", "body": read, "more_body": more}
            await self._door.pass_on(piece)
        while not call.is_complete:
            await self._door.pass_on(await call.next_piece())
        raise PassedOn(f"the app answered with HTTP status {start['status']}")


class AppResponse:
    """See `ports.ModelResponse`. The app's headers leave by the door, not by `headers`."""

    def __init__(self, call: AppCall, content_type: str, whole: bytes | None) -> None:
        self._call = call
        self._content_type = content_type
        self._whole = whole

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    @property
    def content_type(self) -> str:
        return self._content_type

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises `RemoteProtocolError` when the app breaks it off."""
        if self._whole:
            yield self._whole
        while not self._call.is_complete:
            piece = (await self._call.next_piece())["body"]
            if piece:
                yield piece


def _is_message(body: bytes) -> bool:
    try:
        value = exact_json.decode(body)
    except exact_json.InvalidJSON:
        return False
    return isinstance(value, dict) and value.get("type") == "message"
