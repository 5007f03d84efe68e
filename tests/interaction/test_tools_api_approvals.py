"""An operator's answers over HTTP: who may give them, what is shown, and every mistake."""

from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import Unavailable
from tests.support.fake_approvals import TRICK, FakeApprovals, waiting_call
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.tools_api import Answer, tools_api

pytestmark = pytest.mark.anyio

APPROVER: dict[str, Any] = {"approves": True}
ALLOW = {"decision": "allow"}
NOT_WAITING = (404, "not_found_error")


async def asked(
    tmp_path: Path,
    approvals: FakeApprovals | None,
    *asked: tuple[Any, ...],
    key: dict[str, Any] | None = None,
) -> list[Answer]:
    """What each of these requests gets: a path alone, or a path and a body to post."""
    options = {"key": APPROVER if key is None else key, "approvals": approvals}
    async with tools_api(tmp_path, FakeDispatcher(), **options) as client:
        return [await client.ask("POST" if len(one) > 1 else "GET", *one) for one in asked]


async def listed(tmp_path: Path, *inputs: bytes) -> list[Any]:
    waiting = [waiting_call(f"a{n}", input_json) for n, input_json in enumerate(inputs)]
    (got,) = await asked(tmp_path, FakeApprovals(waiting), ("approvals",))
    assert got.status == 200
    return list(got.body["approvals"])


async def test_what_waits_is_shown_with_its_input_as_json(tmp_path: Path) -> None:
    (first, second) = await listed(tmp_path, b'{"code":"1"}', b"{}")
    assert first == {
        "id": "a0",
        "tool": "bash",
        "key": "ann",
        "input": {"code": "1"},
        "input_is_cut": False,
        "waited_seconds": 12.5,
        "left_seconds": 47.5,
    }
    assert (second["id"], second["input"]) == ("a1", {})


@pytest.mark.parametrize(
    ("written", "shown", "is_cut"),
    [
        (b"", "", False),
        (b'{"code":', '{"code":', False),
        (b"\xff\x00", "\ufffd\x00", False),
        (TRICK.encode(), TRICK, False),
        (b'{"a":"' + b"x" * 5000 + b'"}', '{"a":"' + "x" * 4090, True),
        (b"[" * 4096, "[" * 4096, True),
        (b"[" * 300 + b"]" * 300, "[" * 300 + "]" * 300, False),
    ],
)
async def test_an_input_that_is_no_whole_json_is_shown_as_text(
    tmp_path: Path, written: bytes, shown: str, is_cut: bool
) -> None:
    (told,) = await listed(tmp_path, written)
    assert (told["input"], told["input_is_cut"]) == (shown, is_cut)


@pytest.mark.parametrize(("decision", "allow"), [("allow", True), ("deny", False)])
async def test_a_decision_reaches_the_desk_with_the_keys_name(
    tmp_path: Path, decision: str, allow: bool
) -> None:
    approvals = FakeApprovals([waiting_call("a1"), waiting_call("a2")])
    got, again = await asked(
        *(tmp_path, approvals),
        ("approvals/a2", {"decision": decision}),
        ("approvals/a2", {"decision": decision}),
    )
    assert (got.status, got.body) == (200, {"id": "a2", "decision": decision})
    assert again.error[:2] == NOT_WAITING
    assert approvals.decided == [("a2", allow, "tester")]


@pytest.mark.parametrize("key", [{}, {"approves": False}, {"allowed_tools": ("echo",)}])
async def test_a_key_that_may_not_approve_learns_and_decides_nothing(
    tmp_path: Path, key: dict[str, Any]
) -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    requests = (("approvals",), ("approvals/a1", ALLOW), ("approvals/none", b"{"))
    for got in await asked(tmp_path, approvals, *requests, key=key):
        assert got.error == (403, "permission_error", "This key may not answer approvals.")
    assert approvals.decided == []


async def test_approving_gives_a_key_no_tools(tmp_path: Path) -> None:
    key = {"approves": True, "allowed_tools": ()}
    (got,) = await asked(tmp_path, FakeApprovals(), ("execute", {"tool": "echo"}), key=key)
    assert got.error[:2] == (403, "permission_error")


async def test_without_a_desk_nothing_waits(tmp_path: Path) -> None:
    empty, got = await asked(tmp_path, None, ("approvals",), ("approvals/a1", ALLOW))
    assert (empty.status, empty.body) == (200, {"approvals": []})
    assert got.error[:2] == NOT_WAITING


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"allow"', b"\xff", b"[" * 100_000),
        *({}, {"decision": None}, {"decision": True}, {"decision": "yes"}, {"decision": "ALLOW"}),
        *({"decision": ["allow"]}, {"decision": {"allow": 1}}, {"decision": "allow "}),
        {"allow": True},
    ],
)
async def test_a_body_that_is_no_decision_decides_nothing(tmp_path: Path, body: Any) -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    (got,) = await asked(tmp_path, approvals, ("approvals/a1", body))
    assert got.error[:2] == (400, "invalid_request_error")
    assert approvals.decided == []


@pytest.mark.parametrize("approval_id", ["none", "a%2F1", "%1b%5b2J", "ä", "x" * 4000])
async def test_an_id_under_which_nothing_waits_is_not_found(
    tmp_path: Path, approval_id: str
) -> None:
    approvals = FakeApprovals([waiting_call("a1")])
    (got,) = await asked(tmp_path, approvals, (f"approvals/{approval_id}", ALLOW))
    assert got.error[:2] == NOT_WAITING
    assert approvals.decided == []


async def test_a_worker_that_is_away_is_a_503(tmp_path: Path) -> None:
    approvals = FakeApprovals(error=Unavailable("the worker does not answer"))
    for got in await asked(tmp_path, approvals, ("approvals",), ("approvals/a1", ALLOW)):
        assert got.error == (503, "service_unavailable", "The worker does not answer.")
        assert got.headers["retry-after"] == "1"


async def test_questions_of_a_limited_key_are_limited(tmp_path: Path) -> None:
    key = APPROVER | {"requests_per_minute": 1}
    answers = await asked(tmp_path, FakeApprovals(), *[("approvals",)] * 62, key=key)
    assert [got.status for got in answers[:60]] == [200] * 60
    assert answers[-1].error[:2] == (429, "rate_limit_error")
