"""The tool runner of the `anthropic` SDK owns the loop; a worker runs the tools.

    python examples/own_loop_runner.py "run this python: print(6 * 7)"

The environment is that of `own_loop_anthropic.py`.
"""

import os
import sys

from anthropic import Anthropic, AnthropicError, beta_tool

from auxot_tools import Client
from auxot_tools.client.anthropic import runner_tools
from auxot_tools.errors import AuxotError


@beta_tool
def add(a: int, b: int) -> str:
    """Add two numbers. A tool of this very program, beside those of the worker."""
    return str(a + b)


def converse(model: Anthropic, name: str, tools: Client, question: str) -> str:
    """The model's last words on ``question``."""
    runner = model.beta.messages.tool_runner(
        model=name,
        max_tokens=4096,
        tools=[add, *runner_tools(tools, session="example")],
        messages=[{"role": "user", "content": question}],
        thread=False,  # whole requests: every Messages endpoint takes them
    )
    reply = runner.until_done()
    return "".join(block.text for block in reply.content if block.type == "text")


def main() -> None:
    worker = os.environ.get("WORKER", "127.0.0.1:50061")
    key = os.environ.get("AUXOT_WORKER_KEY", "")
    with Anthropic() as model, Client(worker, key=key) as tools:
        print(converse(model, os.environ.get("MODEL", "claude-sonnet-5-5"), tools, sys.argv[1]))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} QUESTION\n{__doc__}")
    if not (os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN")):
        sys.exit("ANTHROPIC_API_KEY is not set")
    try:
        main()
    except AnthropicError as error:
        sys.exit(f"the model: {error}")
    except AuxotError as error:
        sys.exit(f"the worker: {error}")
