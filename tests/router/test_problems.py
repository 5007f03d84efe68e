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


# an upstream's body that is no Messages error -> what is passed on of it
BODIES = {
    b'{"detail": "Not Found"}': ": Not Found",
    b'{"message": "no Route matched"}': ": no Route matched",
    b'{"error": "model is\\nloading\\u001b[2J"}': ": model is loading [2J",
    b'{"error": {"message": "no", "code": 5}}': ": no",
    b'{"detail": [{"msg": "Field required"}]}': "",
    b'{"error": null, "message": 5}': "",
    b"<html>": "",
    b"": "",
}


@pytest.mark.parametrize("body", BODIES)
def test_short_words_of_an_upstream_of_another_dialect_are_passed_on(body: bytes) -> None:
    told = problem_of(UpstreamError(500, body), "r").body["error"]
    words = BODIES[body] or "."
    assert told == {
        "type": "api_error",
        "message": f"The upstream answered with HTTP status 500{words}",
    }


def test_long_words_of_an_upstream_are_cut() -> None:
    told = problem_of(UpstreamError(500, json.dumps({"detail": "x" * 9000}).encode()), "r")
    assert 200 < len(told.body["error"]["message"]) < 400


def test_where_an_upstream_has_no_endpoint_what_was_asked_is_told() -> None:
    told = problem_of(UpstreamError(404, b'{"detail":"Not Found"}'), "r").body["error"]["message"]
    assert told == "The upstream answered POST /v1/messages with HTTP status 404: Not Found"
