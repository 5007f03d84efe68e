"""Which paths are served, and what is said of the others.

One job: a path to what it means, as data. Clients add `/v1/messages` (Claude Code, the official
SDKs) or `/messages` (the Vercel AI SDK) to their base URL, and people set it with and without
`/v1`: every combination is served. Facts: `anthropic` 2.12.0, resources; Messages API reference,
"Errors". The tools API has one spelling; `list` is what Auxot's documents call `tools`. Must not
know requests or answers.
"""

from dataclasses import dataclass
from enum import Enum

ROOT = "/api/anthropic"
PREFIXES = (f"{ROOT}/v1", f"{ROOT}/v1/v1", ROOT)
HEALTH_PATH = "/health"
MESSAGES_PATH = f"{ROOT}/v1/messages"
TOOLS_ROOT = "/api/tools/v1"
TOOLS_HINT = (
    f"The tools API is GET {TOOLS_ROOT}/tools, POST {TOOLS_ROOT}/execute, "
    f"GET {TOOLS_ROOT}/approvals and POST {TOOLS_ROOT}/approvals/ID."
)

# The rest of the API: what comes after a prefix -> nothing of it is served here.
_OTHER_RESOURCES = (
    "messages/batches",
    "complete",
    *[
        "agents",
        "deployment_runs",
        "deployments",
        "dreams",
        "environments",
        "files",
        "memory_stores",
    ],
    *["organizations", "sessions", "skills", "tunnels", "user_profiles", "vaults"],
)


class Resource(Enum):
    MESSAGES = "messages"
    COUNT_TOKENS = "messages/count_tokens"
    MODELS = "models"
    MODEL = "models/"
    HEALTH = "health"
    TOOLS = "tools"
    EXECUTE = "execute"
    APPROVALS = "approvals"
    APPROVAL = "approvals/"
    NOT_IMPLEMENTED = "another part of the API"
    UNKNOWN = "nothing"


METHODS = {
    Resource.MESSAGES: "POST",
    Resource.COUNT_TOKENS: "POST",
    Resource.MODELS: "GET",
    Resource.MODEL: "GET",
    Resource.HEALTH: "GET",
    Resource.TOOLS: "GET",
    Resource.EXECUTE: "POST",
    Resource.APPROVALS: "GET",
    Resource.APPROVAL: "POST",
}
TOOLS_API = frozenset({Resource.TOOLS, Resource.EXECUTE, Resource.APPROVALS, Resource.APPROVAL})


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means; `id` is what follows `models/` or `approvals/`."""

    resource: Resource
    id: str = ""


def _served() -> dict[str, Place]:
    places = {HEALTH_PATH: Place(Resource.HEALTH)}
    for prefix in PREFIXES:
        for resource in (Resource.MESSAGES, Resource.COUNT_TOKENS, Resource.MODELS):
            places[f"{prefix}/{resource.value}"] = Place(resource)
    for resource in (Resource.TOOLS, Resource.EXECUTE, Resource.APPROVALS):
        places[f"{TOOLS_ROOT}/{resource.value}"] = Place(resource)
    places[f"{TOOLS_ROOT}/list"] = Place(Resource.TOOLS)
    return places


_SERVED = _served()
_UNKNOWN = Place(Resource.UNKNOWN)


def place_of(path: str) -> Place:
    """What is at `path`; one slash at its end changes nothing."""
    place = _SERVED.get(path) or _SERVED.get(path.removesuffix("/"))
    if place is not None:
        return place
    for prefix in PREFIXES:
        rest = path.removeprefix(f"{prefix}/")
        if rest == path:
            continue
        model_id = rest.removeprefix("models/")
        if model_id not in ("", rest):
            return Place(Resource.MODEL, model_id)
        if any(rest == name or rest.startswith(f"{name}/") for name in _OTHER_RESOURCES):
            return Place(Resource.NOT_IMPLEMENTED)
    approval_id = path.removeprefix(f"{TOOLS_ROOT}/approvals/").removesuffix("/")
    if approval_id != path and approval_id and "/" not in approval_id:
        return Place(Resource.APPROVAL, approval_id)
    return _UNKNOWN


def is_of_tools(path: str) -> bool:
    """Whether whoever asked for `path` meant the tools API."""
    root = TOOLS_ROOT.removesuffix("/v1")
    return path == root or path.startswith(f"{root}/")
