"""What the router's endpoints are given: everything they need, made elsewhere."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from auxot_tools.driver.catalogue import Catalogue
from auxot_tools.driver.driver import LAST_ANSWER_S
from auxot_tools.driver.ledger import MemoryLedger
from auxot_tools.driver.providers import Providers
from auxot_tools.loop.loop import LoopSettings
from auxot_tools.ports import Approvals, Ledger, ToolDispatcher
from auxot_tools.router.admission import Admission
from auxot_tools.router.kept_history import KeptHistory
from auxot_tools.router.keys import KeyStore
from auxot_tools.router.session import NewSessions


@dataclass(frozen=True, slots=True)
class RouterLimits:
    """What one router takes on. Sizes in bytes, durations in seconds."""

    max_body_bytes: int = 32_000_000
    max_concurrent_requests: int = 256
    ping_interval_s: float = 10.0
    blocking_budget_s: float = 240.0
    call_timeout_s: float = 150.0
    last_answer_s: float = LAST_ANSWER_S


@dataclass(frozen=True, slots=True)
class Services:
    """`cors_origins`: the web pages that may use this router; `*` stands for all.

    Without `approvals` no call ever waits for an operator. `worker_serves` says whether the worker
    can run calls now, within seconds, and raises `Unavailable`; without it a worker that is reached
    counts as well.
    """

    keys: KeyStore
    providers: Providers
    dispatcher: ToolDispatcher
    catalogue: Catalogue
    loop_settings: LoopSettings
    limits: RouterLimits
    cors_origins: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=MemoryLedger)
    kept_history: KeptHistory = field(default_factory=KeptHistory)
    admission: Admission = field(default_factory=Admission)
    sessions: NewSessions = field(default_factory=NewSessions)
    approvals: Approvals | None = None
    worker_serves: Callable[[], Awaitable[bool]] | None = None
