"""One event loop for each file: see `tests/rpc/conftest.py`, which says why."""

from collections.abc import AsyncGenerator

import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """As everywhere, but for a whole file."""
    return "asyncio"


@pytest.fixture(scope="module", autouse=True)
async def one_event_loop(anyio_backend: str) -> AsyncGenerator[None, None]:
    """Keeps the loop open from the first test of a file to its last."""
    yield  # noqa: PT022 - without it the fixture, and the loop, would end at once
