"""Tools in the process of whoever uses the library.

One job: wiring, from a configuration to a dispatcher, as `auxot-tools worker` does it.
"""

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from auxot_tools.assembly.worker import local_executor
from auxot_tools.config import Config, load_config, read_credentials
from auxot_tools.ports import ToolDispatcher


@asynccontextmanager
async def local_dispatcher(
    config: Config | Path | None, environ: Mapping[str, str], cwd: Path
) -> AsyncGenerator[ToolDispatcher, None]:
    """An executor with the settings of ``config``: a configuration, a file, or what commands use.

    Leaving removes every container it made. Raises ``ConfigError``.
    """
    if not isinstance(config, Config):
        config = load_config(config, environ, cwd).config
    credentials = read_credentials(environ, config.worker.secrets_dir)
    async with local_executor(config, secrets.token_hex(6), credentials) as executor:
        yield executor
