"""Which domains may be reached, by the operator's lists of allowed and blocked ones.

One job: match a host against patterns. It must not know addresses, ports or how names resolve.
"""

from collections.abc import Sequence


def domain_refusal(host: str, allowed: Sequence[str], blocked: Sequence[str]) -> str:
    """Why `host` may not be reached, in a few words; empty when it may be."""
    raise NotImplementedError
