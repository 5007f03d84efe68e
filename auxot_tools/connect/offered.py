"""Which tools are offered to the router: those there are, as far as operator and key allow them.

One job: that set, and why a name is not in it. It must not know connections or jobs.
"""

from collections.abc import Collection, Sequence

from auxot_tools.connect.frames import Policy
from auxot_tools.ports import ToolDispatcher

_LISTED = 20  # names in an error; more help no model

# Tools that Messages clients declare and run themselves under these very names.
_CLIENTS_OWN = ("bash", "memory", "str_replace_based_edit_tool")


class Offered:
    """The names offered now. ``allowed`` is `worker.allowed_tools`, empty for all."""

    def __init__(
        self, dispatcher: ToolDispatcher, allowed: Collection[str], *, deny_by_default: bool = False
    ) -> None:
        self._dispatcher = dispatcher
        self._allowed = frozenset(allowed)
        self._denies_all = deny_by_default and not allowed
        self._policy: Policy | None = None
        self._there: Sequence[str] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The tools offered, ordered by name."""
        return tuple(sorted(name for name in self._there if not self._why_not(name)))

    @property
    def there(self) -> Sequence[str]:
        """The tools that there are, offered or not."""
        return self._there

    @property
    def clients_own(self) -> tuple[str, ...]:
        """Those offered that clients use to have of their own, and that no operator named."""
        unnamed = set(self.names) - self._allowed
        return tuple(name for name in _CLIENTS_OWN if name in unnamed)

    async def refresh(self) -> tuple[str, ...]:
        """Look which tools there are; the names offered. Raises ``Unavailable``."""
        self._there = [spec.name for spec in await self._dispatcher.list_tools()]
        return self.names

    def apply(self, policy: Policy) -> tuple[str, ...]:
        """From now on exactly what this policy names; what it names and there is."""
        self._policy = policy
        return self.names

    def missing(self, policy: Policy) -> list[str]:
        """The tools that a policy names and that cannot be offered."""
        return sorted(policy.allowed_tools - set(self.names))

    def refusal(self, name: str) -> str:
        """Why a job for this tool is not run; empty when it is."""
        if name in self._there:
            return self._why_not(name)
        listed = ", ".join(self.names[:_LISTED]) or "none"
        return f'unknown tool: "{name[:100]}". Tools here: {listed}.'

    def _why_not(self, name: str) -> str:
        if self._denies_all or (self._allowed and name not in self._allowed):
            return f'The operator of this worker does not allow the tool "{name}".'
        if self._policy is not None and name not in self._policy.allowed_tools:
            return f'The policy of this worker\'s key does not allow the tool "{name}".'
        return ""
