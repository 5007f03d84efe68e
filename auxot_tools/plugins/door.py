"""The way to the client: either the loop's answer goes out, or the app's own as it is. Never both.

One job: that choice, and the app's headers on the loop's answer. Must not know what is said.
"""

from collections.abc import Sequence

from starlette.types import Message, Send

# What the app says of its own body and connection, and what does not hold for ours.
_OF_ITS_BODY = frozenset(
    [
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"etag",
        b"keep-alive",
        b"trailer",
        b"transfer-encoding",
    ]
)


class Door:
    """One client's. `app_headers` go out with the loop's answer, if it has not begun.

    While it `is_held` the app is making up its mind: nothing should begin an answer.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self.is_taken = False
        self.is_held = False
        self.app_headers: Sequence[tuple[bytes, bytes]] = ()

    @property
    def has_begun(self) -> bool:
        """Whether anything has gone out, of the loop's answer or the app's."""
        return self._has_begun or self.is_taken

    def take(self) -> bool:
        """Let the app's own answer out from now on, unless the loop's has begun."""
        self.is_taken = not self._has_begun
        return self.is_taken

    async def pass_on(self, message: Message) -> None:
        """A message of the app's answer, once the door is taken."""
        await self._send(message)

    async def send(self, message: Message) -> None:
        """A message of the loop's answer; dropped when the door is taken."""
        if self.is_taken:
            return
        if message["type"] == "http.response.start":
            self._has_begun = True
            message = {**message, "headers": self._with_app_headers(message.get("headers", ()))}
        await self._send(message)

    def _with_app_headers(
        self, ours: Sequence[tuple[bytes, bytes]]
    ) -> Sequence[tuple[bytes, bytes]]:
        left_out = _OF_ITS_BODY | {name.lower() for name, _ in ours}
        kept = [pair for pair in self.app_headers if pair[0].lower() not in left_out]
        return [*kept, *ours]
