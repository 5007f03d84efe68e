"""Every error of ours has a Messages form, and none tells what it must not."""

import json

import pytest

from auxot_tools.errors import (
    AuthenticationError,
    Overloaded,
    RateLimited,
    RemoteProtocolError,
    Unavailable,
    UpstreamError,
)
from auxot_tools.router.problems import problem_of


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (AuthenticationError("no"), 401, "authentication_error"),
        (RateLimited("slow down", 7), 429, "rate_limit_error"),
        (Unavailable("gone"), 503, "api_error"),
        (Overloaded("full"), 529, "overloaded_error"),
        (RemoteProtocolError("odd"), 502, "api_error"),
        (ZeroDivisionError("inner"), 500, "api_error"),
        (UpstreamError(418, b"", ""), 418, "invalid_request_error"),
        (UpstreamError(302, b"", ""), 502, "api_error"),
        (UpstreamError(503, b'{"error": "text"}', ""), 503, "api_error"),
    ],
)
def test_each_error_has_its_status_and_type(error: Exception, status: int, kind: str) -> None:
    problem = problem_of(error, "req_1")
    assert problem.status == status
    assert problem.body["error"]["type"] == kind
    assert problem.body["request_id"] == "req_1"
    assert "inner" not in json.dumps(problem.body)


def test_details_of_an_upstream_error_are_kept() -> None:
    told = {"type": "invalid_request_error", "message": "m", "details": {"error_code": "x"}}
    body = json.dumps({"type": "error", "error": told}).encode()
    assert problem_of(UpstreamError(400, body, ""), "r").body["error"] == told


def test_a_repeat_is_forbidden_once_tools_ran() -> None:
    assert problem_of(Unavailable("x"), "r", may_repeat=False).headers["x-should-retry"] == "false"
    assert "x-should-retry" not in problem_of(Unavailable("x"), "r").headers
