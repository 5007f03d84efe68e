"""The real clients as programs: each says one thing to the router, in a process of its own.

One job: start the program with a clean environment, bounded, and read what it prints. What a client
kept of the conversation (Claude Code on disk, a program of the SDKs in its variables) goes into its
next process. It must not know what the upstream plays.
"""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import anyio
from anyio.abc import ByteReceiveStream

from auxot_tools.scripted.scenario import ToolUseBlock
from auxot_tools.types import JSON
from tests.clients.lab import text_of
from tests.support.running import KEY

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent
INSTALLED = ROOT / ".state/clients"
CLAUDE = INSTALLED / "claude"
PINNED: dict[str, str] = json.loads((SCRIPTS / "package.json").read_text("utf-8"))["dependencies"]
ANSWER_S = 60.0  # a program takes one or two seconds; with a client's own retries some more
LAST_WORDS = 2000  # characters of standard error that are told


@dataclass(frozen=True)
class Told:
    """What a client made of an answer.

    `ran` is what the client's own tool answered, in order; `saw` the calls of ours it was shown.
    `partial` is text that came before an error.
    """

    text: str
    ran: list[str]
    saw: list[tuple[str, JSON]]
    error: JSON | None = None
    partial: str = ""


class Client(Protocol):
    """A conversation by one client, in a folder of its own."""

    name: ClassVar[str]
    user_agent: ClassVar[str]  # how it begins, with the version that we pinned

    async def say(self, origin: str, prompt: str) -> Told:
        """The next thing the user says. An error leaves the conversation as it was."""
        ...

    def own_call(self, tool_use_id: str, word: str) -> ToolUseBlock:
        """A call of the client's own tool that answers with `word` in capitals."""
        ...


@dataclass
class ClaudeCode:
    """`claude -p`; `variables` are added to its environment, `options` to its command line."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=lambda: {"ANTHROPIC_API_KEY": KEY})
    options: Sequence[str] = ()
    base_path: str = "/api/anthropic"
    events: list[JSON] = field(default_factory=list)  # what it printed last
    _has_begun: bool = False
    name: ClassVar[str] = "claude -p"
    user_agent: ClassVar[str] = f"claude-cli/{PINNED['@anthropic-ai/claude-code']} "

    async def say(self, origin: str, prompt: str) -> Told:
        project = self.home / "project"
        project.mkdir(parents=True, exist_ok=True)
        command = [str(CLAUDE), "-p", prompt, "--output-format", "stream-json", "--verbose"]
        command += ["--allowedTools", "Bash", *self.options]
        if self._has_begun:
            command.append("--continue")
        environment = {
            "ANTHROPIC_BASE_URL": origin + self.base_path,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "0",
            "CLAUDE_CODE_TMPDIR": str(self.home),
            "DISABLE_AUTOUPDATER": "1",
            "TERM": "dumb",
        }
        printed = await run(command, project, {**environment, **self.variables})
        self.events = [json.loads(line) for line in printed.splitlines()]
        self._has_begun = True
        return _told_by_claude_code(self.events)

    def own_call(self, tool_use_id: str, word: str) -> ToolUseBlock:
        command = {"command": f"echo {word} | tr a-z A-Z", "description": "Says a word loudly"}
        return ToolUseBlock(id=tool_use_id, name="Bash", input=command)


def _told_by_claude_code(events: Sequence[JSON]) -> Told:
    result = events[-1]
    assert result["type"] == "result", events
    blocks = [
        (event["type"], block)
        for event in events
        if event["type"] in ("assistant", "user")
        for block in event["message"]["content"]
        if isinstance(block, dict)
    ]
    is_error = result["is_error"]
    return Told(
        text="" if is_error else result["result"],
        ran=[
            text_of(block["content"])
            for kind, block in blocks
            if kind == "user" and block["type"] == "tool_result"
        ],
        saw=[
            (block["name"], block["input"])
            for _, block in blocks
            if block["type"] == "mcp_tool_use"
        ],
        error={"type": result["subtype"], "message": result["result"]} if is_error else None,
    )


@dataclass
class NodeProgram:
    """A program that uses an SDK: `tests/clients/SCRIPT`, which is given a task and prints JSON."""

    home: Path
    messages: list[JSON] = field(default_factory=list)
    name: ClassVar[str]
    user_agent: ClassVar[str]
    script: ClassVar[str]
    mode: ClassVar[str]
    base_path: ClassVar[str]

    async def say(self, origin: str, prompt: str) -> Told:
        self.home.mkdir(parents=True, exist_ok=True)
        task = {
            "base_url": origin + self.base_path,
            "key": KEY,
            "mode": self.mode,
            "model": "claude-test",
            "messages": [*self.messages, {"role": "user", "content": prompt}],
        }
        # From standard input, so that its imports are looked up in the folder of the clients.
        script = (SCRIPTS / self.script).read_bytes()
        command = ["node", "--input-type=module", "-", json.dumps(task)]
        printed = await run(command, INSTALLED, {"HOME": str(self.home)}, script)
        told: dict[str, Any] = json.loads(printed)
        if told["error"] is None:
            self.messages = told["messages"]
        saw = [(name, value) for name, value in told["saw"]]
        return Told(told["text"], told["ran"], saw, told["error"], told["partial"])

    def own_call(self, tool_use_id: str, word: str) -> ToolUseBlock:
        return ToolUseBlock(id=tool_use_id, name="shout", input={"text": word})


class Sdk(NodeProgram):
    """A program on `@anthropic-ai/sdk`."""

    user_agent = f"Anthropic/JS {PINNED['@anthropic-ai/sdk']}"
    script = "sdk.mjs"
    base_path = "/api/anthropic"


class SdkCreate(Sdk):
    """`client.messages.create`."""

    name = "SDK create"
    mode = "create"


class SdkStream(Sdk):
    """`client.messages.stream`."""

    name = "SDK stream"
    mode = "stream"


class SdkRunner(Sdk):
    """`client.beta.messages.toolRunner`."""

    name = "SDK runner"
    mode = "runner"


class SdkRunnerStream(Sdk):
    """`client.beta.messages.toolRunner` with `stream: true`."""

    name = "SDK runner, stream"
    mode = "runner-stream"


class AiSdk(NodeProgram):
    """A program on `ai` with `@ai-sdk/anthropic`."""

    script = "ai_sdk.mjs"
    base_path = "/api/anthropic/v1"


class AiGenerateText(AiSdk):
    """`generateText`."""

    name = "AI generateText"
    user_agent = f"ai/{PINNED['ai']} "
    mode = "generateText"


class AiStreamText(AiSdk):
    """`streamText`."""

    name = "AI streamText"
    user_agent = f"ai-sdk/anthropic/{PINNED['@ai-sdk/anthropic']} "
    mode = "streamText"


NODE_PROGRAMS = (SdkCreate, SdkStream, SdkRunner, SdkRunnerStream, AiGenerateText, AiStreamText)


async def run(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], stdin: bytes = b""
) -> str:
    """What a program prints; it gets nothing of our environment but the PATH.

    The process and its children are gone when this returns, however it ends.
    """
    home = {"PATH": os.environ["PATH"], "HOME": str(folder.parent), "LANG": "C.UTF-8"}
    process = await anyio.open_process(
        command, cwd=folder, env={**home, **variables}, start_new_session=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = bytearray(), bytearray()
    try:
        with anyio.fail_after(ANSWER_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_read, process.stdout, out)
                tasks.start_soon(_read, process.stderr, err)
                await process.stdin.send(stdin)
                await process.stdin.aclose()
            await process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True):  # what was killed ends at once
            await process.aclose()
    said = err.decode("utf-8", "replace")[-LAST_WORDS:]
    assert out.strip(), f"{command[0]} printed nothing and ended with {process.returncode}: {said}"
    return out.decode()


async def _read(stream: ByteReceiveStream, into: bytearray) -> None:
    async for piece in stream:
        into += piece
