"""The configuration: one file `auxot.toml`, and the environment over it.

`settings` declares every setting, `load` reads file and environment, `reference` shows them. It is
the only place that is handed the environment, and must not know what the settings are used for.
"""

from auxot_tools.config.load import LoadedConfig, load_config
from auxot_tools.config.reference import SettingLine, describe, reference_markdown
from auxot_tools.config.settings import (
    Config,
    LimitSettings,
    LogSettings,
    RouterSettings,
    SandboxSettings,
    WorkerSettings,
)
from auxot_tools.config.upstreams import ProviderSettings, ServerSettings, UpstreamSettings

__all__ = [
    "Config",
    "LimitSettings",
    "LoadedConfig",
    "LogSettings",
    "ProviderSettings",
    "RouterSettings",
    "SandboxSettings",
    "ServerSettings",
    "SettingLine",
    "UpstreamSettings",
    "WorkerSettings",
    "describe",
    "load_config",
    "reference_markdown",
]
