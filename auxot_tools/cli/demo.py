"""`auxot-tools demo`: the main job, from nothing to the answer, visible on the screen.

One job: start worker and router as two processes, send one streaming request with two parallel tool
calls through the official SDK, and print the conversation as a person wants to see it. The upstream
is the embedded `demo` model, which is no language model.
"""

import json
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anthropic
import anyio
import click
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax

from auxot_tools.cli.stack import Stack, running_stack
from auxot_tools.cli.start import loaded_config, run
from auxot_tools.config import Config
from auxot_tools.messages.ids import unmint_id
from auxot_tools.router.key_file import append_key, entry_for, new_secret

PROMPT = """\
Please run this python: print([n for n in range(2, 40) if all(n % d for d in range(2, n))])
and run this bash: echo "I am uid $(id -u)"; curl -sS -m 2 192.0.2.1 || echo "no way out"
"""
_LEXERS = {"python": "python", "javascript": "javascript", "bash": "bash"}
_LOG_WAIT_S = 2.0  # until the worker's log line of a call that has ended can be read


@click.command()
@click.pass_context
def demo(ctx: click.Context) -> None:
    """Show a real request go through a router, over gRPC, into containers and back."""
    config = loaded_config(ctx).config
    console = Console(highlight=False)
    try:
        is_good = run(lambda: _demo(config, console))
    except anthropic.APIError as error:
        raise click.ClickException(f"the request failed: {error.message}") from None
    sys.exit(0 if is_good else 1)


async def _demo(config: Config, console: Console) -> bool:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="auxot-demo-") as folder:
        home = Path(folder)
        console.rule("auxot-tools demo")
        secret = new_secret()
        append_key(home / "keys.toml", entry_for(secret, "demo"))
        file = _configuration(home, config)
        environment = {"AUXOT_WORKER_KEY": secrets.token_urlsafe(24)}
        async with running_stack(home, environment, file) as stack:
            took_s = time.monotonic() - begun
            console.print(f"worker  {stack.worker}   (gRPC; runs tools in Docker containers)")
            console.print(f"router  {stack.origin}/api/anthropic   (Messages API)")
            console.print("model   demo   (embedded and scripted: no language model)")
            console.print(f"[dim]both processes were ready after {took_s:.1f} s[/dim]\n")
            is_good = await _converse(stack, secret, console)
    console.rule(f"{'done' if is_good else 'failed'} in {time.monotonic() - begun:.1f} s")
    return is_good


def _configuration(home: Path, config: Config) -> Path:
    """A configuration of the demo's own: nothing of the operator's but the engine and the image."""
    sandbox = config.sandbox
    file = home / "auxot.toml"
    file.write_text(f"""\
[worker]
listen = [{json.dumps(f"unix:{home}/worker.sock")}]
[router]
listen = "127.0.0.1:0"
worker = {json.dumps(f"unix:{home}/worker.sock")}
allowed_tools = ["code_executor"]
[sandbox]
engine_url = {json.dumps(sandbox.engine_url)}
image = {json.dumps(sandbox.image)}
base = {json.dumps(sandbox.base)}
[log]
format = "json"
""")
    return file


async def _converse(stack: Stack, key: str, console: Console) -> bool:
    """One streaming request, printed as it comes. Whether both calls ran and the answer came."""
    console.print(Panel(escape(PROMPT.strip()), title="user", title_align="left"))
    results: list[Any] = []
    printer = _Printer(console, stack.worker_log)
    async with (
        anthropic.AsyncAnthropic(
            base_url=f"{stack.origin}/api/anthropic", api_key=key, max_retries=0
        ) as client,
        client.beta.messages.stream(
            model="demo", max_tokens=4096, messages=[{"role": "user", "content": PROMPT}]
        ) as stream,
    ):
        async for event in stream:
            if event.type == "text":
                printer.text(event.text)
            elif event.type == "content_block_stop":
                block = event.content_block
                if block.type == "mcp_tool_result":
                    results.append(block)
                await printer.block(block)
        message = await stream.get_final_message()
    usage = message.usage
    console.print(
        f"[dim]stop_reason {message.stop_reason}, {usage.input_tokens} tokens in, "
        f"{usage.output_tokens} out[/dim]"
    )
    ran = [result for result in results if not result.is_error]
    return len(ran) == 2 and message.stop_reason == "end_turn"


class _Printer:
    """The conversation on the screen."""

    def __init__(self, console: Console, worker_log: Path) -> None:
        self._console = console
        self._worker_log = worker_log
        self._in_text = False

    def text(self, piece: str) -> None:
        if not self._in_text:
            self._console.print("[bold]assistant[/bold]")
        self._in_text = True
        self._console.print(escape(piece), end="", soft_wrap=True)

    async def block(self, block: Any) -> None:
        if self._in_text:
            self._console.print("\n")
            self._in_text = False
        if block.type == "mcp_tool_use":
            self._tool_use(block)
        elif block.type == "mcp_tool_result":
            await self._tool_result(block)

    def _tool_use(self, block: Any) -> None:
        language = str(block.input.get("language", "python"))
        code = Syntax(
            str(block.input.get("code", "")), _LEXERS.get(language, "text"), word_wrap=True
        )
        title = f"tool_use  {block.name}  {language}  [dim]{block.id[-12:]}[/dim]"
        self._console.print(Panel(code, title=title, title_align="left", border_style="cyan"))

    async def _tool_result(self, block: Any) -> None:
        facts = await self._facts(unmint_id(block.tool_use_id) or "")
        where = f"container {facts.get('box_id', '?')[:12]}  {facts.get('duration_s', 0):.3f} s"
        title = f"tool_result  {where}  [dim]{block.tool_use_id[-12:]}[/dim]"
        text = "\n".join(part.text for part in block.content)
        style = "red" if block.is_error else "green"
        self._console.print(
            Panel(escape(text), title=title, title_align="left", border_style=style)
        )

    async def _facts(self, tool_use_id: str) -> dict[str, Any]:
        """What the worker's log says of a call: its container and its time."""
        with anyio.move_on_after(_LOG_WAIT_S):
            while True:
                for line in self._worker_log.read_text().splitlines():
                    told = json.loads(line) if line.startswith("{") else {}
                    if told.get("tool_use_id") == tool_use_id:
                        return dict(told)
                await anyio.sleep(0.02)
        return {}
