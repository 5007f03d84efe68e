"""A loop of your own with the `openai` SDK: the model calls tools, a worker runs them.

    python examples/own_loop_openai.py "How many primes are there below 10000?"

From the environment: OPENAI_BASE_URL and OPENAI_API_KEY (the SDK's), MODEL, WORKER (`host:port` or
`unix:/path`, default 127.0.0.1:50061) and AUXOT_WORKER_KEY.
"""

import os
import sys
from typing import Any

from openai import OpenAI, OpenAIError

from auxot_tools import Client
from auxot_tools.client.openai import chat_tools, run
from auxot_tools.errors import AuxotError

MAX_ROUNDS = 20  # of calls: a model that never ends costs no more than this


def converse(model: OpenAI, name: str, tools: Client, question: str) -> str:
    """The model's last words on ``question``."""
    offered = chat_tools(tools.specs())
    messages: list[Any] = [{"role": "user", "content": question}]
    words = ""
    for _ in range(MAX_ROUNDS):
        reply = model.chat.completions.create(model=name, messages=messages, tools=offered)
        message = reply.choices[0].message
        words = message.content or ""
        messages.append(message.to_dict())

        results = run(tools, reply, session="example")
        messages.extend(results)
        if not results.goes_on:
            break  # no tool was called, or the answer was cut or filtered: nothing was run
    return words


def main() -> None:
    worker = os.environ.get("WORKER", "127.0.0.1:50061")
    key = os.environ.get("AUXOT_WORKER_KEY", "")
    with OpenAI() as model, Client(worker, key=key) as tools:
        print(converse(model, os.environ.get("MODEL", "gpt-5"), tools, sys.argv[1]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} QUESTION\n{__doc__}")
    if not os.environ.get("OPENAI_API_KEY"):
        sys.exit("OPENAI_API_KEY is not set")
    try:
        main()
    except OpenAIError as error:
        sys.exit(f"the model: {error}")
    except AuxotError as error:
        sys.exit(f"the worker: {error}")
