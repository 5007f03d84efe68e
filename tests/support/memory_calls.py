"""Calls of the tool `memory`, for its tests: what it answers, and with which status."""

from typing import Any

from auxot_tools.ports import HostedCall, HostedTool
from auxot_tools.types import Deadline, Status

NOTES = "/memories/notes.md"


async def answered(
    tool: HostedTool, command: str, tenant: str = "ann", wait_s: float = 10.0, **arguments: Any
) -> tuple[Status, str]:
    call = HostedCall("toolu_1", {"command": command, **arguments}, tenant=tenant)
    answer = await tool.answer(call, Deadline.after(wait_s))
    (block,) = answer.content
    assert block["type"] == "text"
    return answer.status, block["text"]


async def done(tool: HostedTool, command: str, tenant: str = "ann", **arguments: Any) -> str:
    status, text = await answered(tool, command, tenant, **arguments)
    assert status is Status.COMPLETED, text
    return text


async def refused(tool: HostedTool, command: str, tenant: str = "ann", **arguments: Any) -> str:
    status, text = await answered(tool, command, tenant, **arguments)
    assert status is Status.INVALID_ARGUMENTS, text
    return text


async def written(
    tool: HostedTool, *paths: str, text: str = "a\nb\nc\n", tenant: str = "ann"
) -> None:
    for path in paths:
        await done(tool, "create", tenant, path=path, file_text=text)


async def text_of(tool: HostedTool, path: str, tenant: str = "ann") -> list[str]:
    shown = await done(tool, "view", tenant, path=path)
    return [line.partition("\t")[2] for line in shown.splitlines()[1:]]
