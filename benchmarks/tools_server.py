"""A small web for the benchmark, in a process of its own: a page, JSON, a search engine's reply.

One job: to serve the same bytes again and again. Run as ``python -m benchmarks.tools_server``; it
prints its origin, and ends with its standard input.
"""

import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import anyio.to_thread
from aiohttp import web
from anyio.streams.text import TextReceiveStream

PAGE_BYTES = 100_000
PAGE, DATA, SMALL, SEARCH = "/page", "/data", "/small", "/res/v1/web/search"
SMALL_BODY = "42\n"
_START_S = 20.0
_MENU = "".join(f'<li><a href="/part/{n}">Part {n}</a></li>' for n in range(40))
_SENTENCE = "In chapter {n} of this page the measured thing is looked at from side {n}, and then "
_PARAGRAPH = (
    f'<p>{_SENTENCE}<a href="/note/{{n}}">once more</a> from the <em>other</em> side; '
    "nobody is in a hurry, &amp; the numbers go on.</p>\n"
)
_TABLE = "<table><tr><th>name</th><th>ms</th></tr><tr><td>row {n}</td><td>{n}</td></tr></table>\n"


def html_page() -> bytes:
    """An ordinary page: a menu, an article with links, tables and headings, a foot."""
    parts: list[str] = []
    size = 0
    while size < PAGE_BYTES:
        number = len(parts)
        part = f"<h2>Chapter {number}</h2>\n" if number % 8 == 0 else ""
        part += (_TABLE if number % 20 == 19 else _PARAGRAPH).format(n=number)
        parts.append(part)
        size += len(part)
    return (
        "<!doctype html><html><head><title>A long page</title><style>p{margin:1em}</style></head>"
        f"<body><nav><ul>{_MENU}</ul></nav><article><h1>A long page</h1>{''.join(parts)}</article>"
        f"<footer><ul>{_MENU}</ul></footer><script>var x = 1;</script></body></html>"
    ).encode()


def data() -> bytes:
    """JSON of some 20 KB."""
    return json.dumps([{"id": n, "name": f"row {n}", "ms": n / 7} for n in range(400)]).encode()


def search_reply() -> bytes:
    """Ten results as Brave writes them."""
    found = [
        {
            "title": f"Result <strong>{n}</strong>",
            "url": f"https://example.org/{n}",
            "description": "An excerpt of some length, as search engines show them. " * 4,
            "age": "2 days ago",
        }
        for n in range(10)
    ]
    return json.dumps({"type": "search", "web": {"results": found}}).encode()


@asynccontextmanager
async def serving() -> AsyncGenerator[str, None]:
    """The server's origin, while it runs."""
    command = [sys.executable, "-m", "benchmarks.tools_server"]
    process = await anyio.open_process(command, stdin=subprocess.PIPE, stderr=None)
    try:
        if process.stdout is None:
            raise RuntimeError("a child was started without stdout")
        with anyio.fail_after(_START_S):
            origin = (await TextReceiveStream(process.stdout).receive()).strip()
        yield origin
    finally:
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()
            await process.aclose()


async def _serve() -> None:
    bodies = {
        PAGE: (html_page(), "text/html; charset=utf-8"),
        DATA: (data(), "application/json"),
        SMALL: (SMALL_BODY.encode(), "text/plain"),
        SEARCH: (search_reply(), "application/json"),
    }

    async def answer(request: web.Request) -> web.Response:
        body, kind = bodies[request.path]
        return web.Response(body=body, headers={"Content-Type": kind})

    app = web.Application()
    app.router.add_routes([web.get(path, answer) for path in bodies])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await anyio.to_thread.run_sync(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    anyio.run(_serve, backend_options={"use_uvloop": True})
