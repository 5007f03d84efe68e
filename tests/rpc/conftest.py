"""One event loop for each file of gRPC tests.

grpc.aio answers on threads of its own, and may call back into the loop of a test that has ended:
with a loop for every test that call meets a closed one, and the next test fails for it.
"""

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
