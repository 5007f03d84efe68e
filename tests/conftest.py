"""What every test gets: async tests run on asyncio, once each.

Two processes share the tests (`-n 2`): all that use the engine run in one of them, one after
another, as some look at everything that is on it; of the others each file stays together. It must
not know any package of ours: fixtures of one package live beside that package's tests.
"""

import pytest

LONG_ID = 200  # characters or bytes; longer ones hide the test's name


def pytest_itemcollected(item: pytest.Item) -> None:
    """Say which process a test stays in; without `-n` it changes nothing.

    Each item as it is collected, as xdist reads the marks in `pytest_collection_modifyitems`.
    """
    uses_engine = item.get_closest_marker("engine") is not None
    group = "engine" if uses_engine else item.nodeid.split("::")[0]
    item.add_marker(pytest.mark.xdist_group(group))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A short name for a long value: pytest puts it into the environment, whose room is bounded."""
    if isinstance(val, str | bytes) and len(val) > LONG_ID:
        return f"{argname} of {len(val)}"
    return None


@pytest.fixture
def anyio_backend() -> str:
    """The one event loop this project runs on."""
    return "asyncio"
