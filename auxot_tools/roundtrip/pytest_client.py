"""The `messages_client` of a test: a router for it alone, and a client that checks every answer.

One job: the whole loop in one object. It must not know how calls are run, what the model says, or
pytest.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.driver.upstreams import HttpModelClient, Upstream
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.net.exact import ExactClient, ExchangeFailed
from auxot_tools.roundtrip.pytest_lab import Lab, text_of
from auxot_tools.roundtrip.pytest_model import ScriptedModelServer
from auxot_tools.roundtrip.pytest_worker import Worker
from auxot_tools.roundtrip.stream_checks import violations
from auxot_tools.roundtrip.wire import Stream, message_of, read_bytes
from auxot_tools.router.app import RouterApp
from auxot_tools.router.services import RouterLimits, Services
from auxot_tools.types import JSON

MODEL = "scripted"
MAX_TOKENS = 1024  # of a request that does not say it; nothing is cut by it here
_SHOWN_CHARS = 2000  # of an answer that is no message, in an error


class MessagesFailure(AssertionError):
    """The answer is an error, or breaks the protocol; ``status`` is the HTTP status, 0 without one.

    ``body`` is the error's body, as a dict when it is JSON.
    """

    def __init__(self, text: str, status: int, body: Any) -> None:
        super().__init__(text)
        self.status = status
        self.body = body


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client got: the message, and the events that it came in when it was streamed."""

    message: JSON
    events: tuple[JSON, ...] = ()

    @property
    def text(self) -> str:
        """What the model said, without calls and results."""
        return text_of(self.message.get("content"))

    @property
    def stop_reason(self) -> str | None:
        reason = self.message.get("stop_reason")
        return reason if isinstance(reason, str) else None

    def blocks(self, kind: str) -> list[JSON]:
        """The content blocks of one type, such as `mcp_tool_use`."""
        return [block for block in self.message.get("content", ()) if block.get("type") == kind]


class MessagesClient:
    """A client of a router. ``url`` is a base URL for SDKs, ``key`` their API key."""

    def __init__(
        self,
        lab: Lab,
        url: str,
        key: str,
        tools: Sequence[str] = (),
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """``tools`` are the worker's. ``tell`` is told what a test's author may not expect."""
        self._lab = lab
        self.url = url
        self.key = key
        self._tools = tools
        self._tell = tell

    def ask(self, text: str | Sequence[JSON], **request: Any) -> Answer:
        """Stream one request with this text (or these messages); the whole answer.

        Raises ``MessagesFailure``.
        """
        __tracebackhide__ = True  # a failure is the test's line, not one in here
        stream = self._streamed(text, request)
        answer = Answer(message_of(stream) or {}, _events(stream))
        self._tell_of_strangers(answer, request)
        return answer

    def _tell_of_strangers(self, answer: Answer, request: JSON) -> None:
        """Calls that came to the client, which declared no such tool."""
        own = [tool.get("name") for tool in request.get("tools", ()) if isinstance(tool, Mapping)]
        here = ", ".join(self._tools) or "none"
        for name in dict.fromkeys(str(call.get("name")) for call in answer.blocks("tool_use")):
            if name not in own and name not in self._tools:
                self._tell(
                    f"the model called `{name}`, which this worker does not have (here: {here}); "
                    "it went to the client"
                )

    def create(self, text: str | Sequence[JSON] = "go", **request: Any) -> JSON:
        """The message, in one piece. Raises ``MessagesFailure``."""
        __tracebackhide__ = True
        message: JSON = _parsed(self._sent(text, {**request, "stream": False}))
        self._tell_of_strangers(Answer(message), request)
        return message

    def stream(self, text: str | Sequence[JSON] = "go", **request: Any) -> list[JSON]:
        """The events of a stream, which is checked.

        Raises ``MessagesFailure``, also for a stream that has an error in it.
        """
        __tracebackhide__ = True
        return list(_events(self._streamed(text, request)))

    def _streamed(self, text: str | Sequence[JSON], request: JSON) -> Stream:
        __tracebackhide__ = True
        stream = read_bytes(self._sent(text, {**request, "stream": True}))
        for error in stream.of("error"):
            raise MessagesFailure(f"The stream has an error in it: {error.data}", 200, error.value)
        if broken := violations(stream):
            told = "\n".join(f"{one.rule}: {one.text}" for one in broken)
            raise MessagesFailure(f"The stream breaks the protocol.\n{told}", 200, None)
        return stream

    def _sent(self, text: str | Sequence[JSON], request: JSON) -> bytes:
        __tracebackhide__ = True
        messages = [{"role": "user", "content": text}] if isinstance(text, str) else list(text)
        headers = {"x-api-key": self.key, **request.pop("extra_headers", {})}
        body = {"model": MODEL, "max_tokens": MAX_TOKENS, "messages": messages, **request}
        data = json.dumps(body).encode()
        post = partial(_posted, self._lab.exact, f"{self.url}/v1/messages", headers, data)
        try:
            status, answer = self._lab.run(post)
        except ExchangeFailed as error:
            raise MessagesFailure(f"No whole answer came: {error}", 0, None) from None
        if status != 200:
            told = answer[:_SHOWN_CHARS].decode("utf-8", "replace")
            raise MessagesFailure(f"HTTP status {status}: {told}", status, _parsed(answer))
        return answer


async def _posted(
    http: ExactClient, url: str, headers: Mapping[str, str], data: bytes
) -> tuple[int, bytes]:
    sent = {"content-type": "application/json", "anthropic-version": "2023-06-01", **headers}
    async with http.send("POST", url, sent, data) as answer:
        return answer.status, await answer.body()


def _events(stream: Stream) -> tuple[JSON, ...]:
    return tuple(record.value for record in stream.records if record.value is not None)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None


@contextmanager
def opened_client(
    lab: Lab,
    model: ScriptedModelServer,
    worker: Worker,
    tell: Callable[[str], None] = lambda _text: None,
) -> Iterator[MessagesClient]:
    """A client of a router between this model and this worker, which offers all its tools."""
    upstream = HttpModelClient(lab.http, Upstream(model.url, retries=0))
    services = Services(
        keys=lab.key_store,
        providers=Providers([Provider("scripted", upstream)]),
        dispatcher=worker.dispatcher,
        catalogue=Catalogue(worker.dispatcher, worker.tools),
        loop_settings=LoopSettings(),
        limits=RouterLimits(),
    )
    with lab.served(RouterApp(services)) as url:
        yield MessagesClient(lab, f"{url}/api/anthropic", lab.key, worker.tools, tell)
