"""A client of `/api/tools/v1` for tests, over a real router and a model that nobody asks."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from auxot_tools.ports import ToolDispatcher
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from tests.support.running import KEY, Router, running_router

HELLO = Scenario(turns=(Turn(blocks=(TextBlock(text="hello"),)),), after_last="repeat")
WITHIN_S = 20.0


@dataclass(frozen=True)
class Answer:
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def error(self) -> tuple[int, str, str]:
        """The status, and what the error is; its body has the form that every error has."""
        body = self.body
        assert body["type"] == "error"
        assert body["request_id"] == self.headers["request-id"]
        return self.status, body["error"]["type"], body["error"]["message"]

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events without pings; each `event:` line says the same type."""
        assert self.headers["content-type"].startswith("text/event-stream")
        told = []
        for frame in self.text.split("\n\n")[:-1]:
            name, data = frame.split("\n")
            told.append(json.loads(data.removeprefix("data: ")))
            assert name == f"event: {told[-1]['type']}"
        assert self.text.endswith("\n\n")
        return [event for event in told if event["type"] != "ping"]


@dataclass(frozen=True)
class ToolsClient:
    """Sends to one router with one key."""

    router: Router
    session: aiohttp.ClientSession

    def url(self, path: str) -> str:
        return f"{self.router.origin}/api/tools/v1/{path}"

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`body`: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with anyio.fail_after(WITHIN_S):
            async with self.session.request(
                method, self.url(path), data=data, headers=headers
            ) as got:
                return Answer(got.status, got.headers, (await got.read()).decode())

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    async def execute(self, body: Any, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", "execute", body, named)


@asynccontextmanager
async def client_of(router: Router, key: str = KEY) -> AsyncGenerator[ToolsClient, None]:
    headers = {"x-api-key": key} if key else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield ToolsClient(router, session)


@asynccontextmanager
async def tools_api(
    tmp_path: Path, dispatcher: ToolDispatcher, **options: Any
) -> AsyncGenerator[ToolsClient, None]:
    """A router over `dispatcher` and a client with its key; `options` as `running_router` has."""
    model = ScriptedModel(HELLO)
    async with running_router(tmp_path, model, dispatcher, **options) as router:
        async with client_of(router) as client:
            yield client
        assert model.received == 0  # this API has nothing to do with models
