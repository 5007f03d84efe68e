"""Our real router with one rule broken, examined by `roundtrip` over loopback HTTP.

One job: what may be broken (`Mutant`), the two layers that break it, one before the router and one
before its upstream, and a run of all exchanges against it. It must not know which rules there are.
"""

import json
import re
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from auxot_tools.assembly.serving import serving
from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.ledger import REJOIN_S
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.driver.upstreams import HttpModelClient, Upstream
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.net.http import HttpClient, HttpTimeouts
from auxot_tools.roundtrip.endpoint import endpoint_of
from auxot_tools.roundtrip.judging import Score, judge
from auxot_tools.roundtrip.performing import Run
from auxot_tools.roundtrip.plan import Plan
from auxot_tools.roundtrip.pytest_lab import Hub
from auxot_tools.roundtrip.redaction import Redactor
from auxot_tools.roundtrip.upstream import PlayedUpstream
from auxot_tools.router.app import RouterApp
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.services import RouterLimits, Services
from auxot_tools.types import JSON
from tests.support.roundtrip_run import INPUTS, EchoTool
from tests.support.running import CHEAP, KEY

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TOOL = "echo"
PING_S, LOOK_S, SETTLE_S = 0.2, 0.4, 0.6
MOST_ROUNDS = 13  # above our router's limit
RUN_S = 60.0  # of one run, which takes five seconds
SIDE_BY_SIDE = 8  # runs: they wait more than they work


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a run waits. A silence of 1.2 times ``quiet_s`` must be told from one of 1.1 times,
    and a call must outlive the time in which a client that left may come back. All runs of a lab
    share one process: when a busy machine stops it for longer than ``quiet_s``, no ping is in time.
    """

    quiet_s: float = 3.0
    hold_s: float = REJOIN_S + 1.8
    has_slow_calls: bool = True


UNHURRIED = Pace()
QUICK = Pace(has_slow_calls=False)
LEFT_OUT_BY_QUICK = frozenset({"keep-alive.slow-tool", "disconnect.stops-the-loop"})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to the client; one that ``breaks_off`` ends before its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    breaks_off: bool = False


ReplyEdit = Callable[[Reply], Reply]
BodyEdit = Callable[[JSON, int], JSON]
"""From a body for the upstream, and which request of its scene it is (from 1), to what arrives."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """What is broken. Without anything it is our router as it is.

    ``answers``: edits of whole answers, which are held until they are whole, by exchange.
    ``asked``: edits of what goes upstream, by scene. ``also_asked``: a request that somebody makes
    upstream on top of the first of a scene. ``stolen``: scenes of which somebody else answers the
    second request. ``deaf``: exchanges of which the router never learns that the client left.
    ``silent``: streams that begin at once and have no pings. ``settings``: of the router's loop.
    """

    answers: Mapping[str, ReplyEdit] = field(default_factory=dict)
    asked: Mapping[str, BodyEdit] = field(default_factory=dict)
    also_asked: Mapping[str, BodyEdit] = field(default_factory=dict)
    stolen: frozenset[str] = frozenset()
    deaf: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    settings: LoopSettings = field(default_factory=LoopSettings)


# -- before the router ---------------------------------------------------------------------------

_MARKER = re.compile(r"\[\[roundtrip \w+ ([\w-]+)\]\]")
# The exchange that is the second request of a scene.
_SECOND = {
    "plain": "plain-again",
    "client-tool": "client-error-result",
    "client-tool-stream": "client-tool-result",
    "client-parallel-stream": "client-parallel-result",
    "mixed-stream": "mixed-result",
    "fails-after-tool": "repeated-after-failure",
}


class ClientsLayer:
    """The router as its clients see it: an ASGI app."""

    def __init__(self, app: Any, mutant: Mutant) -> None:
        self._app = app
        self._mutant = mutant
        self._requests: Counter[str] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _whole_body(receive)
        name = self._exchange(scope["path"], body)
        receive = _given(body, _never if name in self._mutant.deaf else receive)
        edit = self._mutant.answers.get(name)
        if name in self._mutant.silent:
            await _begin_stream(send)
            await self._app(scope, receive, _silent(send))
        elif edit is None:
            await self._app(scope, receive, send)
        else:
            await _send_reply(edit(await self._held(scope, receive)), send)

    def _exchange(self, path: str, body: bytes) -> str:
        """The name of the exchange that this request is."""
        scene = _scene(body)
        if not scene:
            return _without_scene(path, body)
        self._requests[scene] += 1
        return scene if self._requests[scene] == 1 else _SECOND.get(scene, scene)

    async def _held(self, scope: Message, receive: Receive) -> Reply:
        start: Message = {}
        parts: list[bytes] = []

        async def keep(message: Message) -> None:
            start.update(message)
            parts.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in start["headers"]}
        headers.pop("content-length", None)
        return Reply(start["status"], headers, b"".join(parts))


def _without_scene(path: str, body: bytes) -> str:
    if path.endswith("/v1/models"):
        return "models"
    if path.endswith("/v1/messages"):
        return "no-messages" if _object(body) else "bad-json"
    return "unknown-path"


async def _send_reply(reply: Reply, send: Send) -> None:
    headers = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in reply.headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    more = reply.breaks_off  # the server drops the connection of an answer that has no end
    await send({"type": "http.response.body", "body": reply.body, "more_body": more})


async def _begin_stream(send: Send) -> None:
    headers = [(b"content-type", b"text/event-stream"), (b"request-id", b"req_of_a_silent_stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


def _silent(send: Send) -> Send:
    """A stream that has begun: its events, without pings."""

    async def send_events(message: Message) -> None:
        if message["type"] == "http.response.body":
            frames = message.get("body", b"").split(b"\n\n")
            kept = b"\n\n".join(frame for frame in frames if not frame.startswith(b"event: ping"))
            await send({**message, "body": kept})

    return send_events


async def _never() -> Message:
    await anyio.sleep_forever()
    return {}


# -- before the upstream -------------------------------------------------------------------------

_STOLEN_TURN = (
    {
        "type": "message_start",
        "message": {
            "id": "msg_stolen",
            "type": "message",
            "role": "assistant",
            "model": "scripted",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    },
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)


class UpstreamsLayer:
    """The scripted upstream as the router sees it: an ASGI app."""

    def __init__(self, upstream: PlayedUpstream, mutant: Mutant) -> None:
        self._upstream = upstream
        self._mutant = mutant
        self._requests: Counter[str] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        body, mutant = await _whole_body(receive), self._mutant
        scene = _scene(body)
        self._requests[scene] += 1
        number = self._requests[scene]
        if scene in mutant.stolen and number > 1:
            await _send_stolen_turn(send)
            return
        asked = _edited(body, mutant.asked.get(scene), number)
        await self._upstream(scope, _given(asked, receive), send)
        if scene in mutant.also_asked and number == 1:
            asked = _edited(body, mutant.also_asked[scene], number)
            await self._upstream(scope, _given(asked, _never), _to_nobody)


def _edited(body: bytes, edit: BodyEdit | None, number: int) -> bytes:
    return body if edit is None else json.dumps(edit(_object(body), number)).encode()


async def _send_stolen_turn(send: Send) -> None:
    events = (f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in _STOLEN_TURN)
    headers = {"content-type": "text/event-stream"}
    await _send_reply(Reply(200, headers, "".join(events).encode()), send)


async def _to_nobody(message: Message) -> None:
    pass


# -- the run -------------------------------------------------------------------------------------


@dataclass
class MutantLab:
    """One server for all routers and upstreams; a run for each mutant."""

    origin: str
    hub: Hub
    http: HttpClient
    keys_file: Path
    pace: Pace
    places: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(SIDE_BY_SIDE))

    async def judged(self, mutant: Mutant) -> Score:
        """What all rules say of this mutant."""
        pace = self.pace
        plan = Plan(
            model="scripted",
            run_id=secrets.token_hex(4),
            tool=TOOL,
            inputs={k: v for k, v in INPUTS.items() if k != "slow" or pace.has_slow_calls},
            quiet_s=pace.quiet_s,
            hold_s=pace.hold_s,
            look_s=LOOK_S,
            settle_s=SETTLE_S,
            most_rounds=MOST_ROUNDS,
        )
        upstream = PlayedUpstream(plan, Redactor([KEY]))
        async with self.places:
            at_upstream = self.hub.put(UpstreamsLayer(upstream, mutant))
            router = RouterApp(self._services(f"{self.origin}/{at_upstream}", mutant))
            at_router = self.hub.put(ClientsLayer(router, mutant))
            endpoint = endpoint_of(f"{self.origin}/{at_router}/api/anthropic", KEY)
            recording = await Run(plan, endpoint, upstream, limit_s=RUN_S).perform()
            self.hub.take_out(at_router)
            self.hub.take_out(at_upstream)
        return judge(recording)

    def _services(self, upstream_url: str, mutant: Mutant) -> Services:
        tools = EchoTool()
        model = HttpModelClient(self.http, Upstream(upstream_url, {"x-api-key": "k"}, retries=0))
        return Services(
            keys=KeyStore(self.keys_file),  # of its own: wrong keys are counted by peer
            providers=Providers([Provider("upstream", model)]),
            dispatcher=tools,
            catalogue=Catalogue(tools, [TOOL]),
            loop_settings=mutant.settings,
            limits=RouterLimits(ping_interval_s=PING_S),
        )


@asynccontextmanager
async def mutant_lab(home: Path, pace: Pace = UNHURRIED) -> AsyncGenerator[MutantLab, None]:
    """A lab; ``home`` is a folder of its own."""
    keys_file = home / "keys.toml"
    append_key(keys_file, KeyEntry(name="tester", hash=CHEAP.hash(KEY)))
    hub = Hub()
    async with serving(hub) as origin, HttpClient(HttpTimeouts()) as http:
        yield MutantLab(origin, hub, http, keys_file, pace)


def _scene(body: bytes) -> str:
    found = _MARKER.findall(body.decode("utf-8", "replace"))
    return found[-1] if found else ""


def _object(data: bytes) -> JSON:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


async def _whole_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, then what else comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return first.pop() if first else await receive()

    return next_message
