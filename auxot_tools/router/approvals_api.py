"""`GET` and `POST /api/tools/v1/approvals`: an operator's answers over HTTP.

One job: from a key that may approve to `ports.Approvals`, and back. Must not know who waits, how
long, nor what a decision does.
"""

from auxot_tools.errors import NotFound, PermissionDenied, RequestError
from auxot_tools.ports import WaitingCall
from auxot_tools.router.conversation import Client
from auxot_tools.router.execute_answer import json_or_text
from auxot_tools.router.execute_request import parse_object
from auxot_tools.router.services import Services
from auxot_tools.types import JSON

SHOWN_BYTES = 4096  # of an input, as the port says: what a person reads before saying yes
DECISIONS = {"allow": True, "deny": False}


async def waiting_calls(services: Services, client: Client) -> JSON:
    """Those that wait, oldest first. Raises `PermissionDenied`, `RateLimited`, `Unavailable`."""
    _admit(services, client)
    found = () if services.approvals is None else await services.approvals.list_approvals()
    return {"approvals": [_shown(call) for call in found]}


async def decide(services: Services, client: Client, approval_id: str, body: bytes) -> JSON:
    """Answer for one of them.

    Raises `NotFound`, `PermissionDenied`, `RateLimited`, `RequestError`, `Unavailable`.
    """
    _admit(services, client)
    decision = parse_object(body).get("decision")
    if not isinstance(decision, str) or decision not in DECISIONS:
        raise RequestError("decision: Input should be 'allow' or 'deny'")
    if services.approvals is None:
        raise NotFound("no call with this id waits for an answer (any more)")
    allow = DECISIONS[decision]
    await services.approvals.decide_approval(approval_id, allow=allow, by=client.key.name)
    return {"id": approval_id, "decision": decision}


def _admit(services: Services, client: Client) -> None:
    if not client.key.approves:
        raise PermissionDenied("This key may not answer approvals.")
    services.admission.count(client.key)


def _shown(call: WaitingCall) -> JSON:
    """A waiting call. An input that is no JSON, or was cut, is shown as text."""
    text = call.input_json[:SHOWN_BYTES].decode("utf-8", "replace")
    shown = json_or_text(text)
    return {
        "id": call.id,
        "tool": call.tool_name,
        "key": call.tenant,
        "input": shown,
        "input_is_cut": isinstance(shown, str) and len(call.input_json) >= SHOWN_BYTES,
        "waited_seconds": round(call.waited_s, 1),
        "left_seconds": round(call.left_s, 1),
    }
