"""The blocking client: the same results, from any thread, without an event loop of one's own."""

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import pytest
import trustme

from auxot_tools.client import AsyncClient, Client, Status
from auxot_tools.errors import ConfigError, RequestError, Unavailable
from tests.support.client_calls import message, over, says, tool, use
from tests.support.fake_dispatcher import FakeDispatcher, FakeTool, text_of
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio

_T = TypeVar("_T")
PATIENCE_S = 10.0


async def in_a_thread(work: Callable[[], _T]) -> _T:
    """What ``work`` gives in a thread, as this one's event loop serves the worker."""
    with anyio.fail_after(PATIENCE_S):
        return await anyio.to_thread.run_sync(work)


def test_a_turn_is_answered_without_an_event_loop() -> None:
    with Client.over(over(FakeDispatcher())) as client:
        assert [spec["name"] for spec in client.specs()] == ["echo"]
        answers = client.run(message(use("toolu_1", given={"n": 1}), use("toolu_2", "weather")))
        assert answers is not None
        assert [block["tool_use_id"] for block in answers["content"]] == ["toolu_1", "toolu_2"]
        assert [other.name for other in answers.others] == ["weather"]
        assert client.run(message(says("Hi."), stop="end_turn")) is None
        assert text_of(client.call("echo", {"n": 2})) == '{"n":2}'


def test_many_threads_may_use_one_client_at_once() -> None:
    dispatcher = FakeDispatcher()

    def call(number: int) -> str:
        return text_of(client.call("echo", {"n": number}))

    with Client.over(over(dispatcher)) as client, ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(40))) == [f'{{"n":{n}}}' for n in range(40)]
    assert len(dispatcher.calls) == 40


class ToldWhenRunning(FakeDispatcher):
    """Says to another thread that a call runs."""

    def __init__(self, tools: Sequence[FakeTool]) -> None:
        self.happened = threading.Event()
        super().__init__(tools)

    def note(self) -> None:
        super().note()
        self.happened.set()


def test_an_interrupt_while_waiting_stops_the_call() -> None:
    dispatcher = ToldWhenRunning([tool("hang", hangs=True)])
    waiting = threading.get_ident()

    def press_ctrl_c() -> None:
        if dispatcher.happened.wait(PATIENCE_S):
            dispatcher.happened.clear()
            signal.pthread_kill(waiting, signal.SIGINT)

    pressing = threading.Thread(target=press_ctrl_c)
    pressing.start()
    with Client.over(over(dispatcher)) as client:
        with pytest.raises(KeyboardInterrupt):
            client.call("hang")
        assert dispatcher.happened.wait(PATIENCE_S)  # though the client is still open
        assert (dispatcher.running, len(dispatcher.cancelled)) == (0, 1)
    pressing.join(PATIENCE_S)


def test_closing_it_stops_the_calls_of_other_threads() -> None:
    dispatcher = ToldWhenRunning([tool("hang", hangs=True)])
    with ThreadPoolExecutor(1) as threads:
        with Client.over(over(dispatcher)) as client:
            calling = threads.submit(client.call, "hang")
            assert dispatcher.happened.wait(PATIENCE_S)
        with pytest.raises(RequestError, match="was closed while it waited"):
            calling.result(PATIENCE_S)
    assert (dispatcher.running, len(dispatcher.cancelled)) == (0, 1)


def test_errors_come_to_the_thread_that_asked() -> None:
    with Client.over(over(FakeDispatcher(list_error=Unavailable("gone")))) as client:
        with pytest.raises(Unavailable, match="gone"):
            client.specs()
        with pytest.raises(RequestError, match="takes the assistant's message"):
            client.run({"role": "user", "content": "hi"})


def test_a_client_that_is_not_open_says_so() -> None:
    client = Client.over(over(FakeDispatcher()))
    with pytest.raises(RequestError, match=r"with Client\(\.\.\.\)"):
        client.specs()


def test_a_client_is_opened_once_and_an_open_one_goes_on() -> None:
    client = Client.over(over(FakeDispatcher()))
    with client:
        with pytest.raises(RequestError, match="opened before, and a client is opened once"):
            client.__enter__()
        assert client.call("echo").status is Status.COMPLETED
    with pytest.raises(RequestError, match="opened before"):
        client.__enter__()
    with pytest.raises(RequestError, match="is not open"):
        client.specs()


def test_an_option_that_cannot_be_is_told_to_the_thread_that_asked() -> None:
    odd: dict[str, Any] = {"timeout": 1}
    with (
        Client.over(over(FakeDispatcher())) as client,
        pytest.raises(RequestError, match="no option timeout; allowed: timeout_s"),
    ):
        client.call("echo", **odd)


async def test_a_worker_behind_grpc_and_its_key() -> None:
    async with served(FakeDispatcher(), key=KEY) as server:
        address = server.addresses[0]

        def talk(key: str) -> tuple[list[Any], Status, Any]:
            with Client(address, key=key) as client:
                status = client.call("echo", {"n": 1}).status
                return client.specs(), status, client.run(message(use("toolu_1")))

        specs, status, answers = await in_a_thread(lambda: talk(KEY))
        assert [spec["name"] for spec in specs] == ["echo"]
        assert (status, answers.goes_on) == (Status.COMPLETED, True)
        with pytest.raises(Unavailable, match="does not accept our key"):
            await in_a_thread(lambda: talk("wrong"))


async def test_a_worker_that_goes_away_is_a_result_for_each_call() -> None:
    async with served(FakeDispatcher()) as server:
        client = AsyncClient(server.addresses[0], timeout_s=0.5)
        await client.__aenter__()
        await client.specs()
    try:
        answers = await client.run(message(use("toolu_1"), use("toolu_2", "weather")))
    finally:
        await client.__aexit__(None, None, None)
    assert answers is not None
    assert [result.status for result in answers.results] == [Status.UNAVAILABLE]
    assert [block["is_error"] for block in answers["content"]] == [True, True]
    assert "This call was not run." in answers["content"][0]["content"][0]["text"]


async def test_a_worker_with_a_certificate_is_checked(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    pair = authority.issue_cert("127.0.0.1")
    cert, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    pair.cert_chain_pems[0].write_to_path(cert)
    pair.private_key_pem.write_to_path(key)
    for name, made in (("ca", authority), ("stranger", stranger)):
        made.cert_pem.write_to_path(str(tmp_path / name))
    async with served(FakeDispatcher(), tls_cert=cert, tls_key=key) as server:
        address = server.addresses[0]
        async with AsyncClient(address, tls_ca=str(tmp_path / "ca")) as client:
            assert (await client.call("echo")).status is Status.COMPLETED
        async with AsyncClient(address, tls_ca=str(tmp_path / "stranger")) as client:
            refused = await client.call("echo", timeout_s=0.5)
            assert refused.status is Status.UNAVAILABLE


def test_a_worker_that_is_not_there_is_a_result() -> None:
    with Client("127.0.0.1:1") as client:
        result = client.call("echo", timeout_s=0.2)
        assert result.status is Status.UNAVAILABLE
        assert "cannot be reached. This call was not run." in text_of(result)


def test_what_cannot_be_used_is_told_in_the_users_own_words() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"worker": "nowhere"}, r"^worker: `nowhere` is not an address"),
        ({"worker": "localhost:1", "key": "two words"}, r"^key has a space"),
        ({"worker": "localhost:1", "key": None}, r"^key: give a text, not None$"),
        ({"worker": None}, r"^worker: give a text, not None$"),
        ({"worker": "localhost:1", "tls_ca": None}, r"^tls_ca: give the path of a file, not None$"),
        ({"worker": "localhost:1", "tls_ca": "/no/such.pem"}, r"^tls_ca"),
        ({"worker": "localhost:1", "tls_cert": "/a"}, r"tls_cert and tls_key: set both"),
    ]
    for given, words in wrong:
        with pytest.raises(ConfigError, match=words) as caught:
            Client(**given)
        assert "router" not in str(caught.value)
        assert "two words" not in str(caught.value)
