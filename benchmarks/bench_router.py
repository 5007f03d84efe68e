"""What the router adds to a request, against the bare upstream of the same run.

One upstream (the scripted model over HTTP) and one router before it, each a process of its own; one
client asks both in turn, so that the noise of the machine falls on both alike. No tool is called.

    .venv/bin/python benchmarks/bench_router.py
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import uvicorn

from auxot_tools.router.keys import append_key, create_key
from auxot_tools.router.serve import Listener, open_socket
from auxot_tools.scripted.model import ScriptedModel
from auxot_tools.scripted.scenario import Scenario, TextBlock, Turn
from auxot_tools.scripted.server import scripted_app

ROUNDS = 300  # requests to each, one after the other
AT_ONCE = 16
BURST = 800  # requests to each, AT_ONCE side by side
WORDS = "the quick brown fox jumps over the lazy dog " * 12  # about 50 deltas


def serve_upstream() -> None:
    """The bare upstream; prints its origin."""
    turn = Turn(blocks=(TextBlock(text=WORDS),), ping_after_start=False)
    app = scripted_app(ScriptedModel(Scenario(turns=(turn,), after_last="repeat")))
    with open_socket(Listener("127.0.0.1", 0)) as listening:
        print(f"http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
        config = uvicorn.Config(app, log_config=None, lifespan="off", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])


@asynccontextmanager
async def process(*arguments: str, **environment: str) -> AsyncGenerator[str, None]:
    """A child process; yields the last word of its first line."""
    child = await anyio.open_process(
        [sys.executable, *arguments], stderr=None, env=os.environ | environment
    )
    assert child.stdout is not None
    try:
        with anyio.fail_after(60):
            line = (await child.stdout.receive()).decode().splitlines()[0]
        yield line.split()[-1]
    finally:
        child.terminate()
        with anyio.CancelScope(shield=True):
            await child.wait()


async def ask(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    begun = time.perf_counter()
    async with session.post(url, data=body) as response:
        text = await response.read()
    took_s = time.perf_counter() - begun
    assert response.status == 200, text
    return took_s


async def per_second(session: aiohttp.ClientSession, url: str, body: bytes) -> float:
    left = iter(range(BURST))

    async def client() -> None:
        for _ in left:
            await ask(session, url, body)

    begun = time.perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(AT_ONCE):
            tasks.start_soon(client)
    return BURST / (time.perf_counter() - begun)


async def compare(session: aiohttp.ClientSession, bare: str, routed: str, *, stream: bool) -> None:
    message = {"role": "user", "content": "hello"}
    asked = {"model": "m", "max_tokens": 1000, "messages": [message], "stream": stream}
    body = json.dumps(asked).encode()
    for _ in range(20):  # connections, the key's hash, and caches
        await ask(session, bare, body)
        await ask(session, routed, body)
    times: dict[str, list[float]] = {bare: [], routed: []}
    for _ in range(ROUNDS):
        for url in (bare, routed):
            times[url].append(await ask(session, url, body))
    rates = {url: await per_second(session, url, body) for url in (bare, routed)}
    kind = "streaming" if stream else "blocking "
    for name, url in (("bare upstream", bare), ("through router", routed)):
        cuts = statistics.quantiles(times[url], n=100)
        print(
            f"{kind}  {name:14}  p50 {cuts[49] * 1000:6.2f} ms  p99 {cuts[98] * 1000:6.2f} ms"
            f"  {rates[url]:6.0f} requests/s at {AT_ONCE}"
        )
    added_ms = (statistics.median(times[routed]) - statistics.median(times[bare])) * 1000
    ratio = statistics.median(times[routed]) / statistics.median(times[bare])
    print(f"{kind}  ratio {ratio:.2f}: the router adds {added_ms:.2f} ms at p50\n")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = create_key("bench")
        append_key(home / "keys.toml", key.entry)
        async with (
            process(__file__, "upstream") as upstream,
            process(
                "-m",
                "auxot_tools.cli.main",
                "router",
                AUXOT_ROUTER__LISTEN="127.0.0.1:0",
                AUXOT_ROUTER__KEYS_FILE=str(home / "keys.toml"),
                AUXOT_UPSTREAM__URL=upstream,
                AUXOT_LOG_LEVEL="warning",
            ) as router,
            aiohttp.ClientSession(headers={"x-api-key": key.secret}) as session,
        ):
            bare = f"{upstream}/v1/messages"
            routed = f"{router}/api/anthropic/v1/messages"
            for stream in (False, True):
                await compare(session, bare, routed, stream=stream)


if __name__ == "__main__":
    if sys.argv[1:] == ["upstream"]:
        serve_upstream()
    else:
        anyio.run(main)
