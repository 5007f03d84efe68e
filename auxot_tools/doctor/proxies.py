"""Which proxy a client would use for a host, by the environment.

One job: the variables that HTTP clients obey, as curl and httpx read them. Must not read the
environment itself. Passwords in them are left out.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

_NAMES = {"http": ("HTTP_PROXY", "ALL_PROXY"), "https": ("HTTPS_PROXY", "ALL_PROXY")}


def proxies_for(environ: Mapping[str, str], scheme: str, host: str) -> dict[str, str]:
    """Name of the variable -> `scheme://host:port` of the proxy; empty when none is used."""
    if _is_excepted(environ, host):
        return {}
    found = {}
    for name in _NAMES.get(scheme, ()):
        for spelling in (name.lower(), name):
            if environ.get(spelling, "").strip():
                found[spelling] = _shown(environ[spelling].strip())
                return found
    return found


def _is_excepted(environ: Mapping[str, str], host: str) -> bool:
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    for entry in (one.strip().lower().lstrip("*").lstrip(".") for one in listed.split(",")):
        name = entry.partition(":")[0] if entry.count(":") == 1 else entry
        if (name and (host == name or host.endswith(f".{name}"))) or listed.strip() == "*":
            return True
    return False


def _shown(proxy: str) -> str:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "a proxy whose URL is malformed"
    return f"{parts.scheme}://{parts.hostname or ''}{port}"
