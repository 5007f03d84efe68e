"""Fixtures of the sandbox's tests: a real sandbox for each test."""

from collections.abc import AsyncGenerator

import pytest

from auxot_tools.sandbox.docker import DockerSandbox
from tests.support.engine import docker_sandbox


@pytest.fixture
async def sandbox(anyio_backend: str) -> AsyncGenerator[DockerSandbox, None]:
    """A sandbox whose boxes are gone when the test is over."""
    async with docker_sandbox() as sandbox:
        yield sandbox
