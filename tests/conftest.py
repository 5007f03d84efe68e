"""What every test gets: async tests run on asyncio, once each.

It must not know any package of ours: fixtures of one package live beside that package's tests.
"""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop this project runs on."""
    return "asyncio"
