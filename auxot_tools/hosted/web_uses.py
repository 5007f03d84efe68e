"""How often one request has used a tool.

One job: count, within bounded memory. It must not know what the tools do.
"""

from collections import OrderedDict

from auxot_tools.ports import HostedAnswer, HostedCall
from auxot_tools.types import Status

# Requests that are remembered: far more than run at once, and about 2 MB.
MAX_REQUESTS = 10_000


class Uses:
    """Counts the uses of one tool by request, and refuses those beyond `limit`.

    A request that has not been heard of for `max_requests` others begins again at nothing.
    """

    def __init__(self, tool_name: str, limit: int, max_requests: int = MAX_REQUESTS) -> None:
        self._tool_name = tool_name
        self._limit = limit
        self._max_requests = max_requests
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()

    def refusal(self, call: HostedCall) -> HostedAnswer | None:
        """Count a use; what to answer instead when there have been enough, otherwise None.

        A call that names no request counts alone.
        """
        if not call.request_id:
            return None
        key = (call.tenant, call.request_id)
        used = self._counts.get(key, 0)
        self._counts[key] = min(used + 1, self._limit)
        self._counts.move_to_end(key)
        while len(self._counts) > self._max_requests:
            self._counts.popitem(last=False)
        return self._enough() if used >= self._limit else None

    def _enough(self) -> HostedAnswer:
        calls = "one call" if self._limit == 1 else f"{self._limit} calls"
        text = (
            f"{self._tool_name} was not run: this request has made the {calls} of it that are "
            "allowed. Answer with what you have."
        )
        return HostedAnswer.of(text, Status.DENIED)
