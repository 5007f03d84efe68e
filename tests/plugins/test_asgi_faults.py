"""What goes wrong behind the middleware, and what the client is told of it."""

import gzip
import json
from collections.abc import Sequence
from typing import Any

import pytest

from auxot_tools.errors import ConfigError, Unavailable
from auxot_tools.plugins.asgi import ToolLoop
from auxot_tools.router.services import RouterLimits
from auxot_tools.scripted.scenario import Faults, HttpFault, Turn
from tests.support.asgi_client import answered, exchange
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.looped_app import ASKED, KEYED, STREAMED, call, looped, said

pytestmark = pytest.mark.anyio

LATE = "The app no longer takes the key that this request came with."


class Playing:
    """An app that answers with these messages, whatever it is asked."""

    def __init__(self, *answers: Sequence[dict[str, Any]]) -> None:
        self._answers = list(answers)
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        for message in self._answers.pop(0):
            await send(message)


def answer(
    status: int, kind: str, *pieces: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
) -> Sequence[dict[str, Any]]:
    told = [(b"content-type", kind.encode()), *headers]
    last = len(pieces) - 1
    bodies = [
        {"type": "http.response.body", "body": piece, "more_body": number < last}
        for number, piece in enumerate(pieces)
    ]
    return [{"type": "http.response.start", "status": status, "headers": told}, *bodies]


def around(app: Any, **options: Any) -> ToolLoop:
    return ToolLoop(app, dispatcher=FakeDispatcher(), **({"tools": ["echo"]} | options))


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
@pytest.mark.parametrize(
    "played",
    [
        answer(401, "application/json", b'{"detail":"No."}'),
        answer(429, "application/json", b"{}", headers=[(b"retry-after", b"7"), (b"x-a", b"1")]),
        answer(500, "text/plain", b"Internal ", b"Server Error"),
        answer(200, "text/html; charset=utf-8", b"<html>", b"wrong server", b"</html>"),
        answer(200, "application/json", b'{"id": "chatcmpl', b'-1"}'),
        answer(503, "text/html", gzip.compress(b"<p>"), headers=[(b"content-encoding", b"gzip")]),
        answer(204, "application/json", b""),
    ],
)
async def test_what_is_no_message_reaches_the_client_as_it_is(
    asked: dict[str, Any], played: Sequence[dict[str, Any]]
) -> None:
    got = await answered(around(Playing(played)), asked, headers=KEYED)
    assert got.messages[0] == played[0]
    assert got.body == b"".join(one.get("body", b"") for one in played)
    assert not got.messages[-1].get("more_body", False)


async def test_headers_of_the_app_go_out_with_the_message() -> None:
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-ratelimit-left", b"3")]
    body = json.dumps({"type": "message", "role": "assistant", "content": []}).encode()
    played = answer(
        200, "application/json", body, headers=[*headers, (b"content-length", b"%d" % len(body))]
    )
    got = await answered(around(Playing(played)), ASKED, headers=KEYED)
    assert [value for name, value in got.headers if name == "set-cookie"] == ["a=1", "b=2"]
    assert dict(got.headers)["x-ratelimit-left"] == "3"
    lengths = [value for name, value in got.headers if name == "content-length"]
    assert lengths == [str(len(got.body))]


async def test_a_refusal_after_tools_ran_is_told_in_the_apps_words_and_not_to_be_repeated() -> None:
    fault = HttpFault(status=529, error_type="overloaded_error", message="Busy.")
    turns = said(call("toolu_1")), Turn(faults=Faults(http=fault))
    got = await answered(looped(*turns).app, ASKED, headers=KEYED)
    assert got.status == 529
    assert got.json["error"] == {"type": "overloaded_error", "message": "Busy."}


async def test_a_refusal_in_the_middle_of_a_stream_is_its_last_event() -> None:
    fault = HttpFault(status=500, error_type="api_error", message="Broken.")
    turns = said("Hm.", call("toolu_1")), Turn(faults=Faults(http=fault))
    got = await answered(looped(*turns).app, STREAMED, headers=KEYED)
    assert got.status == 200
    assert got.events[-1]["error"] == {"type": "api_error", "message": "Broken."}
    assert "message_stop" not in [data["type"] for data in got.events]


async def test_a_key_that_the_app_takes_back_is_told_as_such() -> None:
    fault = HttpFault(status=401, error_type="authentication_error")
    turns = said(call("toolu_1")), Turn(faults=Faults(http=fault))
    got = await answered(looped(*turns).app, ASKED, headers=KEYED)
    assert (got.status, got.json["error"]["message"]) == (401, LATE)


@pytest.mark.parametrize("asked", [ASKED, STREAMED])
async def test_an_app_that_breaks_its_answer_off_is_told_in_words(asked: dict[str, Any]) -> None:
    turns = said(call("toolu_1")), said("one two three", faults=Faults(cut_after_events=3))
    got = await answered(looped(*turns).app, asked, headers=KEYED)
    told = got.events[-1] if got.events else got.json
    assert "ended its answer too early" in told["error"]["message"]


async def test_what_the_app_raises_is_raised_when_nothing_was_done() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answered(around(app), ASKED, headers=KEYED)


async def test_what_the_app_raises_after_tools_ran_is_told_without_its_words() -> None:
    model = looped(said(call("toolu_1"))).model_app
    calls = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(scope)
        if len(calls) == 2:
            raise ZeroDivisionError("secret")
        await model(scope, receive, send)

    got = await answered(around(app), ASKED, headers=KEYED)
    assert (got.status, got.json["error"]["message"]) == (500, "The app failed while it answered.")


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"[1]", b"{}", b'{"model": 7}', b'{"model":"m","messages":[]}']
)
async def test_a_body_that_is_no_request_is_the_apps_to_refuse(body: bytes) -> None:
    app = Playing(answer(422, "application/json", b'{"detail":[]}'))
    got = await answered(around(app), body, headers=KEYED)
    assert (got.status, app.bodies) == (422, [body])


async def test_a_body_in_an_encoding_is_the_apps_to_read() -> None:
    app = Playing(answer(415, "text/plain", b"?"))
    body = gzip.compress(json.dumps(ASKED).encode())
    await answered(around(app), body, headers=KEYED | {"content-encoding": "gzip"})
    assert app.bodies == [body]


async def test_an_answer_in_an_encoding_that_nobody_asked_for_is_refused() -> None:
    body = gzip.compress(b'{"type": "message", "content": []}')
    encoded = [(b"content-encoding", b"gzip")]
    app = Playing(answer(200, "application/json", body, headers=encoded))
    got = await answered(around(app), ASKED, headers=KEYED | {"accept-encoding": "gzip"})
    assert got.status == 502
    assert "encoded its answer" in got.json["error"]["message"]


async def test_a_body_that_is_too_large_never_reaches_the_app() -> None:
    app = Playing()
    limits = RouterLimits(max_body_bytes=50)
    got = await answered(around(app, limits=limits), ASKED, headers=KEYED)
    assert (got.status, got.json["error"]["type"]) == (413, "request_too_large")
    assert app.bodies == []


async def test_threads_are_refused_so_that_sdks_send_the_whole_history() -> None:
    app = Playing()
    got = await answered(around(app), ASKED | {"thread": {"id": "t"}}, headers=KEYED)
    assert got.json["error"]["details"] == {"error_code": "thread_unsupported_request"}


async def test_a_worker_that_was_never_there_is_told_as_unavailable() -> None:
    dispatcher = FakeDispatcher(list_error=Unavailable("the tools worker did not answer"))
    app = Playing()
    got = await answered(ToolLoop(app, dispatcher=dispatcher), ASKED, headers=KEYED)
    assert (got.status, app.bodies) == (503, [])
    assert dict(got.headers)["retry-after"] == "1"


async def test_more_requests_than_allowed_are_told_to_come_back() -> None:
    place = looped(said("Hm."), limits=RouterLimits(max_concurrent_requests=1))
    async with exchange(place.app, STREAMED, headers=KEYED) as one:
        await one.take()
        got = await answered(place.app, ASKED, headers=KEYED)
        assert (got.status, got.json["error"]["type"]) == (529, "overloaded_error")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dispatcher": FakeDispatcher(), "worker": "unix:/w.sock"},
        {"worker": "unix:/w.sock", "tools": "code_executor"},
        {"worker": "unix:/w.sock", "tools": ()},
        {"worker": "unix:/w.sock", "max_rounds": 0},
        {"worker": "unix:/w.sock", "limits": RouterLimits(ping_interval_s=60)},
        {"worker": "nonsense"},
    ],
)
def test_what_cannot_be_used_is_a_mistake_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        ToolLoop(Playing(), **options)
