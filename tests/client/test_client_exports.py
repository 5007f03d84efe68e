"""What users import, what it costs, and how a type checker sees it: `make lint` reads this too."""

import subprocess
import sys
from contextlib import nullcontext
from typing import Any, assert_type

import pytest
from anthropic.types import MessageParam, ToolUnionParam

import auxot_tools
from auxot_tools import AsyncClient, Client
from auxot_tools.client import ToolResult, ToolResultMessage
from tests.support.client_calls import message, use
from tests.support.fake_dispatcher import FakeDispatcher

HEAVY = ("grpc", "docker", "aiohttp", "starlette", "uvicorn", "anthropic", "openai", "pydantic")


def loaded_after(statement: str) -> set[str]:
    """Which of the heavy packages a new process has loaded after a statement."""
    code = f"{statement}; import sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_more() -> None:
    assert loaded_after("import auxot_tools") == set()


def test_a_client_of_a_worker_loads_nothing_that_runs_tools_or_serves() -> None:
    assert loaded_after("from auxot_tools import AsyncClient, Client") == {"grpc", "pydantic"}
    assert loaded_after("import auxot_tools.client.openai") == {"grpc", "pydantic"}


def test_without_its_sdk_the_adapter_says_what_to_install() -> None:
    code = "import sys; sys.modules['anthropic'] = None; import auxot_tools.client.anthropic"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last.endswith("needs the anthropic SDK: pip install 'anthropic>=2.12'")


def test_only_what_is_there_can_be_had() -> None:
    assert {"AsyncClient", "Client"} <= set(dir(auxot_tools))
    with pytest.raises(AttributeError, match="has no attribute 'Clint'"):
        _ = getattr(auxot_tools, "Clint")  # noqa: B009 - a type checker would see it at once


def test_the_types_are_those_of_the_package_and_fit_the_sdk() -> None:
    assert_type(AsyncClient.over(nullcontext(FakeDispatcher())), AsyncClient)
    with Client.over(nullcontext(FakeDispatcher())) as client:
        tools: list[ToolUnionParam] = client.specs()
        answers = client.run(message(use("toolu_1")))
        assert_type(answers, ToolResultMessage | None)
        assert answers is not None
        messages: list[MessageParam] = [{"role": "user", "content": "hi"}]
        messages.append(answers.param)
        assert_type(answers.results, tuple[ToolResult, ...])
        assert_type(client.call("echo", session="s"), ToolResult)
    told: Any = (messages[-1], tools[0])
    assert told[0] == answers
    assert told[1]["name"] == "echo"
