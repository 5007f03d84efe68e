"""Calls of tools through the executor of a worker in this process, with every tool of the package.

One job: a worker's executor as its configuration makes it, and timed calls of its tools. It knows
no baseline and prints nothing.
"""

import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from uuid import uuid4

from auxot_tools.assembly.worker import local_executor
from auxot_tools.config import load_config, read_credentials
from auxot_tools.ports import ToolDispatcher
from auxot_tools.sandbox.measure import CALL_LIMIT_S
from auxot_tools.share import share_dir
from auxot_tools.types import JSON, Deadline, Status, ToolCall, ToolResult
from benchmarks.timing import Call

SHELL, HOST, GET = "bench_shell", "bench_host", "bench_get"
SCRIPT = "#!/bin/bash\nread -r input\necho $((6*7))\n"
_GET_SCRIPT = "#!/bin/bash\n{command}\n"
_TENANT, _SESSION = "bench", "bench"

Expected = str | Callable[[str], bool]  # a part of the answer, or what says whether it is right


def is_expected(text: str, expected: Expected) -> bool:
    return expected in text if isinstance(expected, str) else expected(text)


class Tools:
    """Tools that can be called; all calls are of one key and one conversation."""

    def __init__(self, dispatcher: ToolDispatcher) -> None:
        self._dispatcher = dispatcher

    async def result(self, name: str, given: JSON) -> ToolResult:
        """One call's result, whatever it says."""
        call = ToolCall(
            tool_use_id=f"toolu_{uuid4().hex[:16]}",
            name=name,
            input_json=json.dumps(given).encode(),
            tenant=_TENANT,
            session=_SESSION,
        )
        events = self._dispatcher.execute(call, Deadline.after(CALL_LIMIT_S))
        async with aclosing(events):
            async for event in events:
                if isinstance(event, ToolResult):
                    return event
        raise RuntimeError(f"a call of {name} ended without a result")

    async def text(self, name: str, given: JSON, expected: Expected = "") -> str:
        """Its text, which must hold ``expected``."""
        result = await self.result(name, given)
        text = "".join(str(block.get("text", "")) for block in result.content)
        if result.status is not Status.COMPLETED or not is_expected(text, expected):
            raise RuntimeError(f"a call of {name} ended {result.status}: {text[:200]!r}")
        return text

    def call(self, name: str, given: JSON, expected: Expected) -> Call:
        """The same call again and again, timed."""
        return self.changing(name, lambda: given, expected)

    def changing(
        self,
        name: str,
        given: Callable[[], JSON],
        expected: Expected,
        after: Callable[[], Awaitable[object]] | None = None,
    ) -> Call:
        """A call whose input is made anew each time; ``after`` clears away, untimed."""

        async def call(_client: int) -> float:
            asked = given()
            begun = time.perf_counter()
            await self.text(name, asked, expected)
            took_s = time.perf_counter() - begun
            if after is not None:
                await after()
            return took_s

        return call


@asynccontextmanager
async def opened(folder: Path, origin: str, get_command: str) -> AsyncGenerator[Tools, None]:
    """A worker's executor in ``folder``: the package's tools and three of the benchmark's.

    The server at ``origin`` is the web that it may reach, and its search engine.
    """
    address = origin.partition("://")[2]
    port = address.rpartition(":")[2]
    own = folder / "tools"
    own.mkdir()
    _write_tool(own, SHELL, SCRIPT)
    _write_tool(own, HOST, SCRIPT)
    _write_tool(own, GET, _GET_SCRIPT.format(command=get_command), network=[address])
    settings = {
        "AUXOT_WORKER__TOOLS_DIRS": f"{share_dir('tools')},{own}",
        "AUXOT_WORKER__HOST_TOOLS": HOST,
        "AUXOT_WORKER__OPEN_HOSTS": address,
        "AUXOT_NET__REACHABLE_NETWORKS": "127.0.0.0/8",
        "AUXOT_NET__PORTS": port,
        "AUXOT_WEB__BRAVE_URL": origin,
    }
    keys = {"AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY": "key-of-the-benchmark"}
    config = load_config(None, settings, folder).config
    credentials = read_credentials(keys, folder / "none")
    async with local_executor(config, f"bench-{uuid4().hex[:6]}", credentials) as executor:
        yield Tools(executor)


def _write_tool(folder: Path, name: str, script: str, **more: object) -> None:
    declared: Mapping[str, object] = {"name": name, "description": "For the benchmark.", **more}
    (folder / f"{name}.tool.json").write_text(json.dumps(declared), "utf-8")
    program = folder / f"{name}.sh"
    program.write_text(script, "utf-8")
    program.chmod(0o755)
