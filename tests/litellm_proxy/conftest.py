"""The proxy with the plugin, once for all tests, and clients of it.

One job: the fixtures. It must not know scenarios beyond that they are there.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import anthropic
import pytest

from tests.litellm_proxy.chat_upstream import chat_app
from tests.litellm_proxy.lab import (
    MASTER_KEY,
    PEERS,
    Upstream,
    in_thread,
    messages_models,
    model,
    running_proxy,
    running_upstream,
    running_worker,
)
from tests.litellm_proxy.scenes import SCENES

PLUGIN = "auxot_tools.plugins.litellm.auxot_tools"
ASK_S = 90.0
NewClient = Callable[..., anthropic.Anthropic]


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder with a short name: a unix socket's path holds 107 bytes."""
    assert (PEERS / "litellm").exists(), "LiteLLM is not installed: run make test-litellm."
    with TemporaryDirectory(prefix="auxot-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with running_upstream(SCENES) as running:
        yield running


@pytest.fixture(scope="session")
def worker(folder: Path) -> Iterator[str]:
    with running_worker(folder) as address:
        yield address


@pytest.fixture(scope="session")
def proxy(folder: Path, upstream: Upstream, worker: str) -> Iterator[str]:
    """The origin of LiteLLM's proxy with the plugin."""
    with in_thread(chat_app) as chat:
        models = [*messages_models(upstream), model("chat", "hosted_vllm", f"{chat}/v1")]
        with running_proxy(folder, models, worker, PLUGIN) as origin:
            yield origin


@pytest.fixture
def new_client() -> Iterator[NewClient]:
    """Makes official clients, which are closed afterwards."""
    made: list[anthropic.Anthropic] = []

    def client(origin: str, key: str = MASTER_KEY) -> anthropic.Anthropic:
        made.append(anthropic.Anthropic(base_url=origin, api_key=key, max_retries=0, timeout=ASK_S))
        return made[-1]

    yield client
    for one in made:
        one.close()
