"""The middleware around apps of others: LiteLLM's whole proxy, and the FastAPI example."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.litellm_proxy.conftest import NewClient
from tests.litellm_proxy.lab import (
    ROOT,
    WORKER_KEY,
    Upstream,
    messages_models,
    proxy_config,
    running_app,
)
from tests.litellm_proxy.test_litellm_proxy_plugin import STREAMED, ask, kinds, results

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

EXAMPLES = ROOT / "examples/plugin"


@pytest.fixture(scope="module")
def wrapped_proxy(folder: Path, upstream: Upstream, worker: str) -> Iterator[str]:
    config = folder / "plain.yaml"
    config.write_text(json.dumps(proxy_config(messages_models(upstream), callbacks="")), "utf-8")
    environment = {
        "CONFIG_FILE_PATH": str(config),
        "WORKER": worker,
        "AUXOT_WORKER_KEY": WORKER_KEY,
    }
    with running_app(folder, "litellm_app:app", EXAMPLES, environment) as origin:
        yield origin


@pytest.fixture(scope="module")
def fastapi_app(folder: Path, upstream: Upstream, worker: str) -> Iterator[str]:
    environment = {
        "MODEL_URL": f"{upstream.origin}/v1/messages",
        "WORKER": worker,
        "AUXOT_WORKER_KEY": WORKER_KEY,
    }
    with running_app(folder, "fastapi_app:app", EXAMPLES, environment) as origin:
        yield origin


@STREAMED
def test_litellms_proxy_has_the_tools(
    wrapped_proxy: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(wrapped_proxy), "two-rounds", stream=stream)
    assert [one.content[0].text for one in results(message)] == ["42", "7"]
    assert message.content[-1].text == "Done."


def test_litellms_proxy_refuses_wrong_keys_itself(
    wrapped_proxy: str, new_client: NewClient
) -> None:
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(new_client(wrapped_proxy, key="sk-wrong"), "one-call", stream=False)
    assert raised.value.status_code in (400, 401)


def test_litellms_own_endpoints_are_untouched(wrapped_proxy: str, new_client: NewClient) -> None:
    listed: Any = new_client(wrapped_proxy).get("/v1/models", cast_to=object)
    assert "one-call" in [one["id"] for one in listed["data"]]


@STREAMED
def test_the_fastapi_example_has_the_tools(
    fastapi_app: str, new_client: NewClient, stream: bool
) -> None:
    message = ask(new_client(fastapi_app), "one-call", stream=stream)
    assert kinds(message) == ["text", "mcp_tool_use", "mcp_tool_result", "text"]
    assert results(message)[0].content[0].text == "42"


def test_the_fastapi_examples_other_endpoints_are_untouched(
    fastapi_app: str, new_client: NewClient
) -> None:
    told: Any = new_client(fastapi_app).get("/health", cast_to=object)
    assert told == {"status": "ok"}
