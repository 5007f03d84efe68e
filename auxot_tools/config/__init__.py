"""The configuration: one file `auxot.toml`, and the environment over it.

`settings` declares every setting, `load` reads file and environment, `reference` shows them. It is
the only place that is handed the environment, and must not know what the settings are used for.
"""

from auxot_tools.config.connect import ConnectSettings, with_bare_credentials
from auxot_tools.config.credentials import Credentials, read_credentials
from auxot_tools.config.load import LoadedConfig, load_config
from auxot_tools.config.outbound import NetSettings
from auxot_tools.config.reference import SettingLine, describe, reference_markdown
from auxot_tools.config.settings import (
    Config,
    LimitSettings,
    LogSettings,
    RouterSettings,
    SandboxSettings,
)
from auxot_tools.config.upstreams import ProviderSettings, ServerSettings, UpstreamSettings
from auxot_tools.config.web import WebSettings
from auxot_tools.config.worker import WorkerSettings

__all__ = [
    "Config",
    "ConnectSettings",
    "Credentials",
    "LimitSettings",
    "LoadedConfig",
    "LogSettings",
    "NetSettings",
    "ProviderSettings",
    "RouterSettings",
    "SandboxSettings",
    "ServerSettings",
    "SettingLine",
    "UpstreamSettings",
    "WebSettings",
    "WorkerSettings",
    "describe",
    "load_config",
    "read_credentials",
    "reference_markdown",
    "with_bare_credentials",
]
