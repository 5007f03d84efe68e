"""JSON answers.

One job: a value to a response. Must not know what the value means.
"""

from collections.abc import Mapping

from starlette.responses import Response

from auxot_tools.messages import exact_json


def json_response(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A whole answer. Raises `InvalidJSON` for what is nested too deeply."""
    return Response(exact_json.encode(value), status, headers, media_type="application/json")
