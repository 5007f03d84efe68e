"""The real worker and router with every tool, an upstream that plays turns, and a small web.

One stack for a module of tests: a test has a model of its own, whose turns it writes down, and gets
what the client received and what the upstream was sent.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anthropic
from anyio.from_thread import start_blocking_portal

from auxot_tools.cli.stack import Stack, running_stack
from auxot_tools.router.key_file import KeyEntry, append_key
from auxot_tools.scripted.server import Receive, Send
from auxot_tools.types import JSON
from tests.support.engine import sandbox_image
from tests.support.hub import Hub
from tests.support.played_upstream import Played, Upstream, sse
from tests.support.running import CHEAP
from tests.support.turns import text, tool_use, turn

PAGE = (
    "<html><head><title>A page</title></head><body><article><h1>News</h1>"
    + "<p>Something happened today in the town of Testing, and people talked about it.</p>" * 20
    + '<p><a href="/more">More</a></p></article></body></html>'
)
BRAVE_KEY = "brave-key-of-the-tests"
SHELL_KEY = "shell-key-of-the-tests"
SHELL_TOOL = """#!/bin/bash
name=$(jq -r .name)
jq -n --arg name "$name" \\
    '{greeting: "Hello \\($name)", key: env.GREET_KEY, key_chars: (env.GREET_KEY | length)}'
"""


@dataclass
class SmallWeb:
    """Pages, and what stands in for Brave; `seen` is what was asked for."""

    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        path = "/" + scope["path"].split("/", 2)[2]
        self.seen.append((path, scope["query_string"].decode(), headers))
        kind, body = self._answer(path, headers)
        status = 200 if body else 404
        raw = [(b"content-type", kind.encode())]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body.encode(), "more_body": False})

    def _answer(self, path: str, headers: Mapping[str, str]) -> tuple[str, str]:
        if path == "/page":
            return "text/html; charset=utf-8", PAGE
        if headers.get("x-subscription-token") != BRAVE_KEY:
            return "application/json", ""
        if path == "/res/v1/web/search":
            found = {"title": "A result", "url": "https://example.org/", "description": "Found."}
            return "application/json", json.dumps({"web": {"results": [found]}})
        answer = {"choices": [{"message": {"role": "assistant", "content": "It is 42."}}]}
        return "application/json", json.dumps(answer)


@dataclass(frozen=True)
class Answer:
    """What came of one request: the client's message, and the bodies that the upstream got."""

    message: Any
    sent: list[JSON]

    def results(self, round_number: int = 1) -> list[JSON]:
        """The tool_result blocks that the upstream got after this round."""
        content = self.sent[round_number]["messages"][-1]["content"]
        return [block for block in content if block["type"] == "tool_result"]

    def result_text(self, round_number: int = 1) -> str:
        (result,) = self.results(round_number)
        return "".join(block.get("text", "") for block in result["content"])


@dataclass
class ToolStack:
    """All of it, running."""

    stack: Stack
    upstream: Upstream
    web: SmallWeb
    web_url: str
    home: Path
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    @property
    def origin(self) -> str:
        return self.stack.origin

    def ask(
        self,
        *turns: Sequence[list[JSON]],
        key: str = "alice",
        messages: Sequence[Any] = (),
        **request: Any,
    ) -> Answer:
        """One request through the official SDK; the model says these turns, then "Done."."""
        model = f"case-{next(self.numbers)}"
        said = [*turns, [text("Done.")]]
        self.upstream.answers[model] = [Played(sse(turn(*blocks))) for blocks in said]
        self.upstream.bodies[model] = []
        asked: dict[str, Any] = {
            "model": model,
            "max_tokens": 1000,
            "messages": [*(messages or [{"role": "user", "content": "hi"}])],
        }
        base_url = f"{self.origin}/api/anthropic"
        with (
            anthropic.Anthropic(
                base_url=base_url, api_key=f"key-of-{key}", max_retries=0, timeout=90
            ) as client,
            client.messages.stream(**(asked | request)) as stream,
        ):
            message = stream.get_final_message()
        return Answer(message, self.upstream.bodies[model])

    def call(self, name: str, key: str = "alice", /, **input_: Any) -> Answer:
        """A request whose model makes one call."""
        return self.ask([tool_use("toolu_1", name, json.dumps(input_))], key=key)


@contextmanager
def tool_stack(
    home: Path, policy: str = "", keys: Mapping[str, Any] | None = None
) -> Iterator[ToolStack]:
    """Keys `alice` and `bob`, with what ``keys`` says of them; ``policy`` is the policy file."""
    sandbox_image()
    for name in ("alice", "bob", "operator"):
        more = (keys or {}).get(name, {})
        append_key(
            home / "keys.toml", KeyEntry(name=name, hash=CHEAP.hash(f"key-of-{name}"), **more)
        )
    (home / "policy.toml").write_text(policy)
    _shell_tool(home / "shell")
    hub, upstream, web = Hub(), Upstream(), SmallWeb()
    with ExitStack() as stack:
        stack.enter_context(hub.serve())
        upstream_url, web_url = hub.url_of(upstream), hub.url_of(web)
        config = home / "auxot.toml"
        config.write_text(_config(home, upstream_url, web_url))
        portal = stack.enter_context(start_blocking_portal())
        environment = {
            "AUXOT_WORKER_KEY": "w",
            "AUXOT_TOOLS_WEB_SEARCH__BRAVE_SEARCH_API_KEY": BRAVE_KEY,
            "AUXOT_TOOLS_web_answers__BRAVE_API_KEY": BRAVE_KEY,
            "AUXOT_TOOLS_GREET__GREET_KEY": SHELL_KEY,
        }
        running = portal.wrap_async_context_manager(running_stack(home, environment, config))
        yield ToolStack(stack.enter_context(running), upstream, web, web_url, home)


def _shell_tool(folder: Path) -> None:
    folder.mkdir()
    (folder / "greet.sh").write_text(SHELL_TOOL)
    (folder / "greet.sh").chmod(0o755)
    declared = {
        "name": "greet",
        "description": "Greets.",
        "parameters": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    (folder / "greet.tool.json").write_text(json.dumps(declared))


def _config(home: Path, upstream_url: str, web_url: str) -> str:
    from_package = Path(__file__).parents[2] / "tools"
    port = web_url.split("://")[1].split("/", maxsplit=1)[0].rsplit(":", 1)[1]
    return f"""\
[worker]
listen = ["unix:{home}/w.sock"]
tools_dirs = ["{from_package}", "{home}/shell"]
policy_file = "policy.toml"
audit_file = "audit.log"
approval_wait_s = 20
[net]
reachable_networks = ["127.0.0.0/8"]
ports = [80, 443, {port}]
[web]
brave_url = "{web_url}"
max_uses = 3
[router]
listen = "127.0.0.1:0"
worker = "unix:{home}/w.sock"
allowed_tools = ["code_executor", "bash", "str_replace_based_edit_tool", "memory", "web_fetch",
    "web_search", "web_answers", "greet"]
[upstream]
url = "{upstream_url}"
[sandbox]
ready = 0
[log]
format = "json"
"""
