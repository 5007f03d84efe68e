"""Which paths are served, and what is said of the others.

One job: a path to what it means, as data. Clients add `/v1/messages` (Claude Code, the official
SDKs) or `/messages` (the Vercel AI SDK) to their base URL, and people set it with and without
`/v1`: every combination is served. Facts: `anthropic` 2.12.0, resources; Messages API reference,
"Errors". Must not know requests or answers.
"""

from dataclasses import dataclass
from enum import Enum

ROOT = "/api/anthropic"
PREFIXES = (f"{ROOT}/v1", f"{ROOT}/v1/v1", ROOT)
HEALTH_PATH = "/health"
MESSAGES_PATH = f"{ROOT}/v1/messages"

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
    NOT_IMPLEMENTED = "another part of the API"
    UNKNOWN = "nothing"


METHODS = {
    Resource.MESSAGES: "POST",
    Resource.COUNT_TOKENS: "POST",
    Resource.MODELS: "GET",
    Resource.MODEL: "GET",
    Resource.HEALTH: "GET",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a path means; `model_id` is what follows `models/`."""

    resource: Resource
    model_id: str = ""


def _served() -> dict[str, Place]:
    places = {HEALTH_PATH: Place(Resource.HEALTH)}
    for prefix in PREFIXES:
        for resource in (Resource.MESSAGES, Resource.COUNT_TOKENS, Resource.MODELS):
            places[f"{prefix}/{resource.value}"] = Place(resource)
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
    return _UNKNOWN
