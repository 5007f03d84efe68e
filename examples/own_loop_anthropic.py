"""A loop of your own with the `anthropic` SDK: the model calls tools, a worker runs them.

    python examples/own_loop_anthropic.py "run this python: print(6 * 7)"

From the environment: ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY (the SDK's), MODEL, WORKER
(`host:port` or `unix:/path`, default 127.0.0.1:50061) and AUXOT_WORKER_KEY. `docs/client.md` says
how to try it without a key for any model.
"""

import asyncio
import datetime
import os
import sys
from typing import Any

from anthropic import AnthropicError, AsyncAnthropic
from anthropic.types import MessageParam

from auxot_tools import AsyncClient
from auxot_tools.errors import AuxotError

MAX_ROUNDS = 20  # of calls: a model that never ends costs no more than this
OWN_TOOLS: list[Any] = [
    {
        "name": "today",
        "description": "Today's date (UTC).",
        "input_schema": {"type": "object", "properties": {}},
    }
]


def today() -> str:
    """A tool of this very program."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


async def converse(model: AsyncAnthropic, name: str, tools: AsyncClient, question: str) -> str:
    """The model's last words on ``question``."""
    offered = [*await tools.specs(), *OWN_TOOLS]
    messages: list[MessageParam] = [{"role": "user", "content": question}]
    words = ""
    for _ in range(MAX_ROUNDS):
        async with model.messages.stream(
            model=name, max_tokens=4096, tools=offered, messages=messages
        ) as stream:
            reply = await stream.get_final_message()
        words = "".join(block.text for block in reply.content if block.type == "text")
        messages.append({"role": "assistant", "content": reply.content})

        answers = await tools.run(reply, session="example")
        if answers is None:
            break  # no tool was called: the model is done
        for call in answers.others:  # calls that are not the worker's
            if call.name == "today":
                answers.answer(call.id, today())
            # The others keep the error they have: there is no such tool.
        messages.append(answers.param)
        for artifact in answers.artifacts:
            print(f"[a tool made {artifact.name}, {len(artifact.data)} bytes]")
        if not answers.goes_on:
            break  # refused, or cut by max_tokens: nothing was run
    return words


async def main() -> None:
    worker = os.environ.get("WORKER", "127.0.0.1:50061")
    key = os.environ.get("AUXOT_WORKER_KEY", "")
    async with AsyncAnthropic() as model, AsyncClient(worker, key=key) as tools:
        name = os.environ.get("MODEL", "claude-sonnet-5-5")
        print(await converse(model, name, tools, sys.argv[1]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} QUESTION\n{__doc__}")
    if not (os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN")):
        sys.exit("ANTHROPIC_API_KEY is not set")
    try:
        asyncio.run(main())
    except AnthropicError as error:
        sys.exit(f"the model: {error}")
    except AuxotError as error:
        sys.exit(f"the worker: {error}")
