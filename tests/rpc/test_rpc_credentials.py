"""Credentials that a call brings: to its program and no further, where nobody can read along."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import grpc
import pytest
import trustme

from auxot_tools.assembly.worker import credential_fault
from auxot_tools.connect import frames
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.convert import MAX_CREDENTIALS, request_to_wire
from auxot_tools.rpc.servicer import Servicer
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.sandbox.variables import LIMIT_BYTES, MOST
from auxot_tools.types import Status, ToolCall
from auxot_tools.v1.tools_pb2_grpc import ToolsServicer, add_ToolsServicer_to_server
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, text_of, tool_spec
from tests.support.served_worker import (
    FACTS,
    KEY,
    raw_channel,
    refusal_of,
    remote,
    result_of,
    served,
)

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-call"
CALL = ToolCall("toolu_1", "echo", b"{}", credentials={"API_KEY": SECRET})
NOT_RUN = "This call was not run."


@asynccontextmanager
async def plain_server(servicer: ToolsServicer) -> AsyncIterator[WorkerTarget]:
    """Any servicer, at a loopback port."""
    server = grpc.aio.server()
    add_ToolsServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield WorkerTarget(f"127.0.0.1:{port}")
    finally:
        with anyio.CancelScope(shield=True):
            await server.stop(0)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "unix:{}/w.sock"])
async def test_they_reach_the_call_and_no_log_or_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, listen: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fake = FakeDispatcher()
    async with (
        served(fake, listen.format(tmp_path), credential_fault=credential_fault) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        result = await result_of(client, CALL)
        assert await client.list_approvals() == ()
    assert not result.is_error
    assert fake.calls == [CALL]
    assert SECRET not in caplog.text + repr(fake.calls) + repr(result)


async def test_they_go_over_tls_to_any_address(tmp_path: Path) -> None:
    ca = trustme.CA()
    paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "cert", "key")}
    issued = ca.issue_cert("127.0.0.1")
    ca.cert_pem.write_to_path(paths["ca"])
    issued.cert_chain_pems[0].write_to_path(paths["cert"])
    issued.private_key_pem.write_to_path(paths["key"])
    tls = {"tls_cert": str(paths["cert"]), "tls_key": str(paths["key"])}
    fake = FakeDispatcher()
    async with served(fake, key=KEY, **tls) as server:
        target = WorkerTarget(server.addresses[0], KEY, tls_ca=str(paths["ca"]))
        async with RemoteDispatcher(target) as client:
            assert not (await result_of(client, CALL)).is_error
    assert fake.calls == [CALL]


@pytest.mark.parametrize(
    ("target", "may"),
    [
        (WorkerTarget("unix:/w.sock"), True),
        (WorkerTarget("127.0.0.1:1"), True),
        (WorkerTarget("127.9.9.9:1"), True),
        (WorkerTarget("[::1]:1"), True),
        (WorkerTarget("localhost:1"), True),
        (WorkerTarget("10.0.0.1:1"), False),
        (WorkerTarget("[fe80::1]:1"), False),
        (WorkerTarget("0.0.0.0:1"), False),
        (WorkerTarget("localhost.example.org:1"), False),
        (WorkerTarget("worker.internal:1", tls_ca="ca.pem"), True),
    ],
)
def test_which_ways_they_may_go(target: WorkerTarget, may: bool) -> None:
    assert (target.credentials_refusal == "") is may


async def test_nothing_is_sent_where_others_could_read_them_and_the_result_says_what_to_set() -> (
    None
):
    # An address that every system answers from itself, and that nobody calls loopback.
    fake = FakeDispatcher()
    open_to_all = "0.0.0.0:0"
    async with (
        served(fake, open_to_all, key=KEY, allow_plaintext=True) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0], KEY)) as client,
    ):
        assert not (await result_of(client)).is_error
        result = await result_of(client, CALL)
    assert len(fake.calls) == 1
    assert result.status is Status.DENIED
    said = text_of(result)
    assert "has no TLS" in said
    for setting in ("router.worker_tls_ca", "worker.tls_cert", "AUXOT_TOOLS_<TOOL>__<NAME>"):
        assert setting in said
    assert said.endswith(NOT_RUN)
    assert SECRET not in said


class _Older(Servicer):
    """A worker from before credentials: it sees the message without what it does not know."""

    async def ExecuteTool(self, request: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        request.ClearField("credentials")
        await super().ExecuteTool(request, context)


async def test_an_older_worker_never_runs_a_call_without_its_credentials() -> None:
    fake = FakeDispatcher()
    async with (
        plain_server(_Older(fake, FACTS)) as target,
        RemoteDispatcher(target) as client,
    ):
        result = await result_of(client, CALL)
        without = await result_of(client)
    assert not without.is_error
    assert len(fake.calls) == 1
    assert result.is_error
    assert text_of(result) == (
        "The tools worker is of a version that takes no credentials with a call; its operator has "
        "to make it a newer one, or set them there, as AUXOT_TOOLS_<TOOL>__<NAME>. "
        "This call was not run."
    )


class _Talkative(Servicer):
    """A worker that repeats what it was sent in its failure."""

    async def ExecuteTool(self, request: Any, context: Any) -> None:  # type: ignore[override]  # noqa: N802
        await context.abort(grpc.StatusCode.INTERNAL, f"cannot run {SECRET}")


async def test_the_words_of_a_worker_that_repeats_them_are_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        plain_server(_Talkative(FakeDispatcher(), FACTS)) as target,
        RemoteDispatcher(target) as client,
    ):
        result = await result_of(client, CALL)
    assert result.status is Status.INTERNAL
    assert "INTERNAL: (not shown" in caplog.text
    assert SECRET not in caplog.text + text_of(result)


BAD: dict[str, tuple[dict[str, str], str]] = {
    "of the loader": ({"LD_PRELOAD": SECRET}, "The variable LD_PRELOAD is not for a tool to set"),
    "no name": ({"": SECRET}, "cannot name a variable"),
    "a long name": ({"A" * 129: SECRET}, "cannot name a variable"),
    "a null": ({"A": f"{SECRET}\0"}, "has a null character"),
    "too large": ({"A": SECRET * LIMIT_BYTES}, f"the limit is {LIMIT_BYTES}"),
    "too many": ({f"A{n}": SECRET for n in range(MOST + 1)}, f"a program can be given {MOST}"),
    "far too many": ({f"A{n}": SECRET for n in range(50_000)}, f"can be given {MOST}"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_worker_judges_them_itself_and_repeats_no_value(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    given, said = BAD[name]
    fake = FakeDispatcher()
    async with (
        served(fake, credential_fault=credential_fault) as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        result = await result_of(client, ToolCall("toolu_1", "echo", b"{}", credentials=given))
    assert result.status is Status.INVALID_ARGUMENTS
    assert said in text_of(result)
    assert text_of(result).endswith(NOT_RUN)
    assert fake.calls == []
    assert SECRET not in text_of(result) + caplog.text


def test_the_bounds_are_the_same_wherever_they_are_kept() -> None:
    assert MAX_CREDENTIALS == MOST == frames.MAX_CREDENTIALS


async def test_a_worker_that_was_given_no_rule_takes_none() -> None:
    fake = FakeDispatcher()
    async with plain_server(Servicer(fake, FACTS)) as target, RemoteDispatcher(target) as client:
        result = await result_of(client, CALL)
    assert result.status is Status.INVALID_ARGUMENTS
    assert "takes none from its callers" in text_of(result)
    assert fake.calls == []


@pytest.mark.parametrize("key", ["", "wrong-k3y", SECRET])
async def test_they_let_nobody_in_who_has_not_the_workers_key(key: str) -> None:
    fake = FakeDispatcher()
    request = request_to_wire(ToolCall("t", "echo", b"{}", credentials={"authorization": KEY}))
    metadata = (("authorization", f"Bearer {key}"),) if key else ()
    async with served(fake, key=KEY) as server, raw_channel(server) as channel:
        error = await refusal_of(channel, request, metadata)
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert fake.calls == []


async def test_a_call_that_names_its_tool_twice_is_refused_as_it_might_run_without_them() -> None:
    fake = FakeDispatcher()
    request = request_to_wire(CALL)
    request.tool_name = "echo"
    async with served(fake) as server, raw_channel(server) as channel:
        error = await refusal_of(channel, request)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "`tool_name` must be empty" in str(error.details())
    assert SECRET not in str(error.details())
    assert fake.calls == []


async def test_two_calls_of_one_id_never_share_an_answer() -> None:
    def reply(call: ToolCall) -> str:
        return f"for {call.credentials.get('USER', 'nobody')}"

    def call(user: str) -> ToolCall:
        given = {"USER": user} if user else {}
        return ToolCall("toolu_1", "echo", b"{}", idempotency_key="the same", credentials=given)

    async with remote(FakeDispatcher([FakeTool(tool_spec("echo"), reply=reply)])) as client:
        said = [text_of(await result_of(client, call(user))) for user in ("ann", "ben", "")]
    assert said == ["for ann", "for ben", "for nobody"]
