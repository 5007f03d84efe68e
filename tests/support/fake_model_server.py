"""A `ModelServer` in memory: what it answers and what its probes find is set by the test."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from auxot_tools.errors import AuxotError
from auxot_tools.ports import ModelResponse


class Answer:
    """A `ModelResponse` that says who answered."""

    headers: Mapping[str, str]
    content_type = "application/json"

    def __init__(self, name: str) -> None:
        self.headers = {"from": name}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        yield b"{}"


@dataclass(eq=False)
class FakeModelServer:
    """`error` is what its answers raise, `problem` what its probes raise; `asked` are the models
    asked for. Answers wait for `until`, probes for ever when it `hangs`.
    """

    name: str = "s"
    error: AuxotError | None = None
    listed: Sequence[str] = ()
    problem: AuxotError | None = None
    hangs: bool = False
    probes: int = 0
    asked: list[str] = field(default_factory=list)
    until: anyio.Event | None = None

    @asynccontextmanager
    async def send(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> AsyncGenerator[ModelResponse, None]:
        self.asked.append(json.loads(body)["model"])
        if self.until is not None:
            await self.until.wait()
        if self.error is not None:
            raise self.error
        yield Answer(self.name)

    async def count_tokens(
        self, body: bytes, headers: Mapping[str, str], query: str = ""
    ) -> int | None:
        self.asked.append(json.loads(body)["model"])
        return 7

    async def list_models(self) -> Sequence[str]:
        self.probes += 1
        if self.hangs:
            await anyio.sleep_forever()
        if self.problem is not None:
            raise self.problem
        return self.listed
