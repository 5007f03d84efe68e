"""The Protocols everything meets at. Adapters implement them; the core calls only them.

Contracts are in the docstrings, and ``tests/contract/`` holds a suite for each that every
implementation must pass.
"""

from auxot_tools.ports.ledger import (
    Attempt,
    Ledger,
    PastRound,
)
from auxot_tools.ports.models import (
    ModelClient,
    ModelResponse,
    ModelServer,
)
from auxot_tools.ports.sandbox import (
    Box,
    BoxLimits,
    BoxOwner,
    BoxSpec,
    CollectLimits,
    Isolation,
    KeptOutput,
    LeftOutFile,
    OutputFile,
    Program,
    Runtime,
    Sandbox,
    SandboxOutcome,
    StopReason,
)
from auxot_tools.ports.tools import (
    Approvals,
    HostedAnswer,
    HostedCall,
    HostedTool,
    KeptOutputs,
    ToolDispatcher,
    WaitingCall,
)

__all__ = [
    "Approvals",
    "Attempt",
    "Box",
    "BoxLimits",
    "BoxOwner",
    "BoxSpec",
    "CollectLimits",
    "HostedAnswer",
    "HostedCall",
    "HostedTool",
    "Isolation",
    "KeptOutput",
    "KeptOutputs",
    "Ledger",
    "LeftOutFile",
    "ModelClient",
    "ModelResponse",
    "ModelServer",
    "OutputFile",
    "PastRound",
    "Program",
    "Runtime",
    "Sandbox",
    "SandboxOutcome",
    "StopReason",
    "ToolDispatcher",
    "WaitingCall",
]
