"""Recorded conversations, replayed: the exact bytes sent upstream in every round.

Each file of `tests/data/replays` is one conversation: the client's requests (text where their
spelling matters; `{"$answer": 0}` stands for the content of the answer to the first), the turns of
the scripted upstream, what our tools answer, and last what must have been `sent`: for each request
the bodies, each as pieces of exact text, one for each message. After a change that is meant to
change them `python -m tests.interaction.test_replays` writes them anew: then read the difference.
"""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import anyio
import pytest

from auxot_tools.dialects.anthropic.sse import SseDecoder
from auxot_tools.driver.providers import Provider, Providers
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.messages.events import BlockInProgress
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario
from auxot_tools.types import Status, ToolCall
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, tool_spec
from tests.support.running import KEY, Router, running_router

pytestmark = pytest.mark.anyio

FOLDER = Path(__file__).parent.parent / "data" / "replays"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
OURS = {"echo": Status.COMPLETED, "slow": Status.TIMED_OUT}
SENT = '  "sent": '  # the last member of a file; what stands before it is written by hand
Body = list[str]  # pieces of exact text


@dataclass(frozen=True)
class Replay:
    """One recorded conversation; its name is the model that it asks for, and its session."""

    name: str

    @cached_property
    def data(self) -> Any:
        return json.loads((FOLDER / f"{self.name}.json").read_text("utf-8"))

    @cached_property
    def model(self) -> ScriptedModel:
        turns = {"turns": self.data["turns"], "after_last": "start_over"}
        return ScriptedModel(Scenario.model_validate(turns))

    @property
    def settings(self) -> str:
        return json.dumps(self.data.get("settings", {}), sort_keys=True)

    @property
    def recorded(self) -> list[list[str]]:
        """What must be sent: for each request its bodies."""
        return [["".join(pieces) for pieces in bodies] for bodies in self.data["sent"]]

    @property
    def can_be_whole(self) -> bool:
        """Whether the turns can be told as whole messages, and the requests say no `stream`."""
        is_text = any(isinstance(asked, str) for asked in self.data["requests"])
        return not (is_text or self.data.get("streams_only", False))

    def request(self, asked: Any, answers: Sequence[Any], *, stream: bool) -> bytes:
        """A request of the file as it is sent."""
        if isinstance(asked, str):
            return asked.encode()
        body = {"model": self.name} | filled(asked, answers) | {"stream": stream}
        return json.dumps(body).encode()


def filled(value: Any, answers: Sequence[Any]) -> Any:
    """The value with the contents of earlier answers in their places."""
    if isinstance(value, list):
        return [filled(item, answers) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$answer"}:
        return answers[value["$answer"]]["content"]
    return {key: filled(item, answers) for key, item in value.items()}


@dataclass(frozen=True)
class Replayed:
    """What came of a conversation: the answers, and for each request the bodies sent upstream."""

    answers: list[Any]
    sent: list[list[bytes]]


async def play(router: Router, replay: Replay, *, stream: bool) -> Replayed:
    """Send the requests, one after the other."""
    answers: list[Any] = []
    sent: list[list[bytes]] = []
    headers = {"x-api-key": KEY, "auxot-session": replay.name}
    async with aiohttp.ClientSession(headers=headers) as session:
        for asked in replay.data["requests"]:
            before = len(replay.model.requests)
            body = replay.request(asked, answers, stream=stream)
            with anyio.fail_after(10):
                async with session.post(router.messages_url, data=body) as response:
                    answer = await response.read()
            assert response.status == 200, answer
            answers.append(message_of(answer) if stream else json.loads(answer))
            sent.append(replay.model.requests[before:])
    return Replayed(answers, sent)


def message_of(stream: bytes) -> Any:
    """The message that a stream adds up to."""
    blocks: dict[int, BlockInProgress] = {}
    message: dict[str, Any] = {}
    for each in SseDecoder().feed(stream):
        data = each.data
        if each.type == "message_start":
            message |= data["message"]
        elif each.type == "content_block_start":
            blocks[data["index"]] = BlockInProgress(dict(data["content_block"]))
        elif each.type == "content_block_delta":
            blocks[data["index"]].add(data["delta"])
        elif each.type == "message_delta":
            message |= data["delta"]
    assert each.type == "message_stop", each
    return message | {"content": [blocks[index].finish().block for index in sorted(blocks)]}


REPLAYS = {name: Replay(name) for name in NAMES}


def reply(call: ToolCall) -> str:
    results: dict[str, str] = REPLAYS[call.session].data.get("results", {})
    return results.get(call.tool_use_id, "done")


@asynccontextmanager
async def running_all(folder: Path) -> AsyncGenerator[dict[str, Router], None]:
    """A router for each of the settings that the files have."""
    dispatcher = FakeDispatcher(
        [FakeTool(tool_spec(name), reply=reply, status=status) for name, status in OURS.items()]
    )
    routers: dict[str, Router] = {}
    async with AsyncExitStack() as stack:
        for settings in sorted({replay.settings for replay in REPLAYS.values()}):
            providers = [
                Provider(replay.name, replay.model, models=[replay.name])
                for replay in REPLAYS.values()
                if replay.settings == settings
            ]
            router = running_router(
                folder / str(len(routers)),
                ScriptedModel(Scenario.model_validate({"turns": [{}]})),
                dispatcher,
                allowed=OURS,
                settings=LoopSettings(**json.loads(settings)),
                providers=Providers(providers),
            )
            routers[settings] = await stack.enter_async_context(router)
        yield routers


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop for the whole file, as its routers are; the one that the commands run on."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def routers(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[dict[str, Router], None]:
    async with running_all(tmp_path_factory.mktemp("routers")) as started:
        yield started


@pytest.mark.parametrize("name", NAMES)
async def test_what_goes_upstream_is_exactly_what_was_recorded(
    routers: dict[str, Router], name: str
) -> None:
    replay = REPLAYS[name]
    played = await play(routers[replay.settings], replay, stream=True)
    assert [answer["stop_reason"] for answer in played.answers] == replay.data["ends"]
    assert [[body.decode() for body in bodies] for bodies in played.sent] == replay.recorded
    check_prefixes(played.sent)
    for body in (body for bodies in played.sent for body in bodies):
        check_pairs(json.loads(body)["messages"])


@pytest.mark.parametrize("name", [name for name in NAMES if REPLAYS[name].can_be_whole])
async def test_a_blocking_client_causes_the_same_requests(
    routers: dict[str, Router], name: str
) -> None:
    """An upstream's whole JSON is read as values, so these are the same, and not their spelling."""
    replay = REPLAYS[name]
    played = await play(routers[replay.settings], replay, stream=False)
    assert [answer["stop_reason"] for answer in played.answers] == replay.data["ends"]
    assert [list(map(values_of, bodies)) for bodies in played.sent] == [
        list(map(values_of, bodies)) for bodies in replay.recorded
    ]
    check_prefixes(played.sent)


def values_of(body: bytes | str) -> Any:
    return json.loads(body) | {"stream": None}


def check_prefixes(sent: list[list[bytes]]) -> None:
    """Within a request bytes only grow; the next request has the same head, and equal messages."""
    for bodies in sent:
        for body, following in pairwise(bodies):
            end = body.rindex(b'],"max_tokens":')
            assert following[:end] == body[:end]
            assert following[end : end + 1] == b","
    lasts = [bodies[-1] for bodies in sent]
    for body, following in pairwise(lasts):
        assert head_of(following) == head_of(body)
        messages = json.loads(body)["messages"]
        assert json.loads(following)["messages"][: len(messages)] == messages


def head_of(body: bytes) -> bytes:
    return body[: body.index(b'"messages":[')]


def check_pairs(messages: list[Any]) -> None:
    """Every call is answered in the very next message, a user's, in order and before all else."""
    waiting: list[str] = []
    for message in messages:
        content = message["content"] if isinstance(message["content"], list) else []
        is_users = message["role"] == "user"
        results = [block for block in content if is_users and block["type"] == "tool_result"]
        assert [block["tool_use_id"] for block in results] == waiting
        assert content[: len(results)] == results
        waiting = [block["id"] for block in content if block["type"] == "tool_use"]
        assert len(set(waiting)) == len(waiting)
    assert waiting == []


# -- recording -------------------------------------------------------------------------------------


def pieces_of(body: str) -> Body:
    """The body cut between its messages."""
    decoder = json.JSONDecoder()
    start = body.index('"messages":[') + len('"messages":[')
    pieces = [body[:start]]
    while body[start] == "{":
        _, end = decoder.raw_decode(body, start)
        end += body[end] == ","
        pieces.append(body[start:end])
        start = end
    return [*pieces, body[start:]]


async def record() -> None:
    """Write what is sent now into every file."""
    with TemporaryDirectory() as folder:
        async with running_all(Path(folder)) as routers:
            for replay in REPLAYS.values():
                played = await play(routers[replay.settings], replay, stream=True)
                print(replay.name, [answer["stop_reason"] for answer in played.answers])
                bodies = [[pieces_of(body.decode()) for body in part] for part in played.sent]
                path = FOLDER / f"{replay.name}.json"
                by_hand = path.read_text("utf-8").partition(SENT)[0]
                text = json.dumps(bodies, ensure_ascii=False, indent=2).replace("\n", "\n  ")
                path.write_text(f"{by_hand}{SENT}{text}\n}}\n", "utf-8")


if __name__ == "__main__":
    anyio.run(record)
