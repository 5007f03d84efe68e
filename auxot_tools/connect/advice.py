"""What an operator is told whose key, or whose router, does not let this worker in.

One job: from a router's refusal to advice; which refusals are final. Pure. No text holds a key:
of a known kind its prefix is named, of others nothing.
"""

import hashlib
import re
from collections.abc import Mapping

_TOOLS_KEY = "a tools key"
# prefix -> what kind of key it is
_KINDS = (
    ("tls_", _TOOLS_KEY),
    ("tools.", "a tool connector key of Auxot Server"),
    ("adm_", "a GPU worker's key"),
    ("rtr_", "an API caller's key"),
    ("agent_", "an agent worker's key"),
    ("user.", "a user's API key"),
    ("team.", "a team's API key"),
)
NO_KEY = (
    "AUXOT_TOOLS_KEY is required (use --tools-key-file or set AUXOT_TOOLS_KEY). It is the `tls_…` "
    "key that `auxot-router setup` printed once; `auxot-router setup --new-tools-key` makes "
    "another, with its hash for the router."
)
# Auxot's router refuses a wrong key with the first of these. Only these very words are final: a
# refusal that merely speaks of authentication may be a trouble that passes.
_WRONG_KEY = frozenset({"authentication failed", "unauthorized", "invalid key"})
_NEW_KEY = (
    "Make a new one with `auxot-router setup --new-tools-key`, put its hash into "
    "AUXOT_TOOLS_KEY_HASH on the router (in single quotes, as it contains $), restart the router, "
    "and set AUXOT_TOOLS_KEY here."
)
_NOT_ENABLED = (
    "The router takes no tools workers: it was started without AUXOT_TOOLS_KEY_HASH. Run "
    "`auxot-router setup --new-tools-key`, set the hash on the router (in single quotes, as it "
    "contains $) and restart it; set the key here as AUXOT_TOOLS_KEY."
)
# The ids that our own router puts into every answer's header, and no Auxot router does.
_OUR_REQUEST_ID = re.compile(r"req_[0-9a-f]{24}")
_OUR_ROUTER = (
    "What answers there is a router of auxot-tools (`make up`, `auxot-tools serve`), which runs "
    "tools without `connect`. `connect` is for Auxot's own router: start that, and set "
    "AUXOT_ROUTER_URL to its address. It is tried again until then"
)


def advice_on_answer(headers: Mapping[str, str]) -> str:
    """What to do about an answer that is no WebSocket; empty where nothing is known of it."""
    is_ours = _OUR_REQUEST_ID.fullmatch(headers.get("request-id", ""))
    return _OUR_ROUTER if is_ours else ""


def final_advice(error: str, key: str, address: str) -> str:
    """What to do about a refusal that stays the same however often one asks; empty for others."""
    said = error.lower().strip(" .!\n")
    if said.startswith("tools workers not enabled"):
        return _NOT_ENABLED
    if said in _WRONG_KEY:
        return f"The router at {address} does not know this key. {_about(key)} {_NEW_KEY}"
    return ""


def _about(key: str) -> str:
    kind = next(((prefix, words) for prefix, words in _KINDS if key.startswith(prefix)), None)
    if kind is None:
        return "It begins with no prefix of Auxot's keys; a tools key begins with `tls_`."
    prefix, words = kind
    if words == _TOOLS_KEY:
        return "It is of the right kind (`tls_…`), so it is an old one, or another router's."
    if prefix == "tools.":
        return (
            "It is a connector key (`tools.…`) of Auxot Server: the open-source router has keys "
            "that begin with `tls_`."
        )
    return f"It begins with `{prefix}`, so it is {words}; a tools worker needs the `tls_…` key."


def tenant_of(key: str) -> str:
    """The name for the jobs of a key: a connector key's id, or a part of the key's digest."""
    parts = key.split(".")
    if (
        len(parts) == 3
        and parts[0] == "tools"
        and parts[1].isprintable()
        and 0 < len(parts[1]) < 80
    ):
        return f"auxot-{parts[1]}"
    return f"auxot-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
