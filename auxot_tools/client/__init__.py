"""Tools for programs that own their conversation with a model.

``AsyncClient`` and ``Client`` are exported by ``auxot_tools`` too. ``client.anthropic`` and
``client.openai`` fit them to those SDKs; each is imported by whoever uses that SDK.
"""

from auxot_tools.client.answers import OtherCall, ToolResultMessage
from auxot_tools.client.async_client import AsyncClient
from auxot_tools.client.blocking import Client
from auxot_tools.client.options import CallOptions
from auxot_tools.types import Artifact, Status, ToolResult

__all__ = [
    "Artifact",
    "AsyncClient",
    "CallOptions",
    "Client",
    "OtherCall",
    "Status",
    "ToolResult",
    "ToolResultMessage",
]
