"""`GET …/models`, `GET …/models/{id}` and `POST …/messages/count_tokens`: small questions.

One job: their answers, in the form that the official SDKs read (`anthropic` 2.12.0: `ModelInfo`,
its page, `MessageTokensCount`). Must not know loops or streams.
"""

import logging
from collections.abc import Sequence

from starlette.datastructures import QueryParams

from auxot_tools.errors import AuxotError, NotFound, RequestError, UpstreamError
from auxot_tools.messages import exact_json
from auxot_tools.messages.estimate import estimated_tokens
from auxot_tools.messages.request import parse_count_request
from auxot_tools.router.bodies import offloaded, parsed
from auxot_tools.router.conversation import Client, prepared
from auxot_tools.router.services import Services
from auxot_tools.types import JSON

logger = logging.getLogger(__name__)

DEFAULT_LIMIT, MAX_LIMIT = 20, 1000
UNKNOWN_DATE = "1970-01-01T00:00:00Z"  # what the Models API says of a date that is not known


def model_page(services: Services, query: QueryParams) -> JSON:
    """A page of the models that a client may ask for. Raises `RequestError`."""
    names = services.providers.models()
    limit = _limit(query)
    after, before = query.get("after_id"), query.get("before_id")
    if after is not None:
        names = names[_place(names, "after_id", after) + 1 :]
    if before is not None:
        names = names[: _place(names, "before_id", before)]
    backwards = before is not None and after is None
    shown = names[-limit:] if backwards else names[:limit]
    return {
        "data": [_model_info(name) for name in shown],
        "has_more": len(shown) < len(names),
        "first_id": shown[0] if shown else None,
        "last_id": shown[-1] if shown else None,
    }


def one_model(services: Services, model_id: str) -> JSON:
    """What there is to know of one model. Raises `NotFound`."""
    if not services.providers.serves(model_id):
        raise NotFound(f"model: {model_id}")
    return _model_info(model_id)


async def counted_tokens(services: Services, client: Client, body: bytes) -> JSON:
    """The input tokens of what would be sent upstream: by the upstream's word, or an estimate.

    Raises what the upstream says of the request itself.
    """
    services.admission.count(client.key)
    request = await parsed(body, parse_count_request)
    conversation = await prepared(services, client, request, body)
    asked = conversation.loop.body_for_counting()
    forwarded = client.forwarded
    count: int | None = None
    try:
        count = await conversation.route.count_tokens(asked, forwarded.headers, forwarded.query)
    except UpstreamError as error:
        if 400 <= error.status < 500 and error.status not in (401, 403, 429):
            raise
        logger.info("%s: the upstream did not count: %s", client.request_id, error)
    except AuxotError as error:
        logger.info("%s: the upstream did not count: %s", client.request_id, error)
    if count is None:
        count = await offloaded(body, _estimate, asked)
    return {"input_tokens": count}


def _estimate(body: bytes) -> int:
    return estimated_tokens(exact_json.decode(body))


def _limit(query: QueryParams) -> int:
    text = query.get("limit", str(DEFAULT_LIMIT))
    digits = text.lstrip("0")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAX_LIMIT))
    if not is_number or int(digits) > MAX_LIMIT:
        raise RequestError(f"limit: Input should be a whole number from 1 to {MAX_LIMIT}")
    return int(digits)


def _place(names: Sequence[str], parameter: str, model_id: str) -> int:
    try:
        return names.index(model_id)
    except ValueError:
        raise RequestError(f"{parameter}: there is no model {model_id}") from None


def _model_info(model_id: str) -> JSON:
    return {
        "type": "model",
        "id": model_id,
        "display_name": model_id,
        "created_at": UNKNOWN_DATE,
        "lifecycle": "active",
    }
