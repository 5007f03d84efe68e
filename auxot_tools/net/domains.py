"""Which domains may be reached, by lists of allowed and blocked ones.

One job: match a host against patterns. It must not know addresses, ports or how names resolve.
"""

from collections.abc import Sequence
from functools import lru_cache

from auxot_tools.net.hosts import canonical_host, is_address


def domain_refusal(host: str, allowed: Sequence[str], blocked: Sequence[str]) -> str:
    """Why `host` may not be reached, in a few words; empty when it may be.

    The pattern `example.org` covers the domain and all below it, `*.example.org` only those below;
    an address covers itself. Letter case, a trailing dot and the script of a name do not matter.
    `blocked` counts before `allowed`; `allowed` empty: all. What is no host covers nothing.
    """
    name = _spelled(host)
    if not name:
        return "not a host name"
    if any(_covers(pattern, name) for pattern in blocked):
        return "a blocked domain"
    if allowed and not any(_covers(pattern, name) for pattern in allowed):
        return "not an allowed domain"
    return ""


def _covers(pattern: str, name: str) -> bool:
    is_wild = pattern.startswith("*.")
    domain = _spelled(pattern[2:] if is_wild else pattern)
    if not domain:
        return False
    if name == domain:
        return not is_wild
    return not is_address(name) and name.endswith(f".{domain}")


@lru_cache(maxsize=4096)  # patterns are met with every request
def _spelled(host: str) -> str:
    try:
        return canonical_host(host)
    except ValueError:
        return ""
