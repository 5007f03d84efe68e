"""Calls of the web tools as the worker makes them: through the real schema of `tool.json`."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from auxot_tools.config.web import WebSettings
from auxot_tools.hosted.web import web_tools
from auxot_tools.hosted.web_fetch import WebFetch
from auxot_tools.hosted.web_html import HtmlReader
from auxot_tools.hosted.web_uses import Uses
from auxot_tools.net.outbound import OutboundLimits
from auxot_tools.ports import HostedAnswer, HostedCall, HostedTool
from auxot_tools.share import share_dir
from auxot_tools.types import Deadline, Status
from auxot_tools.worker.validation import InputValidator, compile_schema
from auxot_tools.worker.violations import Violations
from tests.support.raw_server import Answer, RawServer, raw_server
from tests.support.way_out import way_out

ANSWER_S = 30.0


@cache
def declared(tool_name: str) -> dict[str, Any]:
    """The `tool.json` of a tool."""
    read: dict[str, Any] = json.loads((share_dir("tools") / tool_name / "tool.json").read_bytes())
    return read


@cache
def schema_of(tool_name: str) -> InputValidator:
    return compile_schema(declared(tool_name)["input_schema"])


def schema_mistakes(tool_name: str, arguments: Any) -> str:
    """What the schema says against the arguments; empty when they fit."""
    checked = schema_of(tool_name).check(json.dumps(arguments).encode())
    if not isinstance(checked, Violations):
        return ""
    return "\n".join(f"{one.pointer} {one.message}" for one in checked.listed)


class Web:
    """The web tools, and a server that they can reach."""

    def __init__(self, tools: Mapping[str, HostedTool], server: RawServer) -> None:
        self._tools = tools
        self.server = server

    async def answer(
        self,
        tool_name: str,
        arguments: dict[str, Any],
        *,
        tenant: str = "ann",
        request_id: str = "",
        credentials: Mapping[str, str] | None = None,
        seconds: float = ANSWER_S,
    ) -> HostedAnswer:
        assert schema_mistakes(tool_name, arguments) == ""
        call = HostedCall(
            "toolu_1", arguments, tenant, request_id=request_id, credentials=credentials or {}
        )
        return await self._tools[tool_name].answer(call, Deadline.after(seconds))

    async def fetched(self, path: str = "/", **arguments: Any) -> str:
        """The text of `web_fetch` for a path of the server; fails when it is an error."""
        answer = await self.answer("web_fetch", {"url": self.server.url(path)} | arguments)
        assert answer.status is Status.COMPLETED, answer
        return text_of(answer)

    async def refused(self, status: Status, **arguments: Any) -> str:
        """The text of `web_fetch` for the root of the server, which must have this status."""
        answer = await self.answer("web_fetch", {"url": self.server.url("/")} | arguments)
        assert answer.status is status, answer
        return text_of(answer)


def text_of(answer: HostedAnswer) -> str:
    """The one text of an answer."""
    (block,) = answer.content
    assert block["type"] == "text"
    text: str = block["text"]
    return text


@asynccontextmanager
async def web(
    answer: Answer,
    limits: OutboundLimits | None = None,
    html: HtmlReader | None = None,
    **settings: Any,
) -> AsyncGenerator[Web, None]:
    """The tools, with a server that answers so. A setting `"here"` stands for its address."""
    async with raw_server(answer) as server, way_out(limits=limits) as out:
        here = {
            name: server.url("").rstrip("/") if value == "here" else value
            for name, value in settings.items()
        }
        tools = dict(web_tools(out.outbound, WebSettings.model_validate(here)))
        if html is not None:
            tools["web_fetch"] = WebFetch(out.outbound, Uses("web_fetch", 20), html)
        yield Web(tools, server)
