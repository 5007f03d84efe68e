"""The worker of a test: one that runs elsewhere, functions, and why there is none."""

from asyncio import CancelledError
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

from auxot_tools.roundtrip.pytest_lab import MAX_KEPT, Lab, opened_lab
from auxot_tools.roundtrip.pytest_worker import FunctionTools, Worker, worker_of
from tests.support.fake_dispatcher import FakeDispatcher, echo_tool
from tests.support.served_worker import served


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    environ = {"AUXOT_SANDBOX__ENGINE_URL": f"unix://{tmp_path}/nobody.sock"}
    with opened_lab(tmp_path, environ, tmp_path) as lab:
        yield lab


def the_worker(lab: Lab, **wished: Any) -> Worker:
    worker = worker_of(lab, **wished)
    assert isinstance(worker, Worker)
    return worker


def test_a_worker_that_runs_elsewhere_is_called_by_its_address(lab: Lab, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/w.sock"
    elsewhere = FakeDispatcher((echo_tool("echo"),))
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(served(elsewhere, address)),
    ):
        worker = the_worker(lab, address=address)
        assert worker.tools == ("echo",)
        assert worker.call("echo", {"a": 1}, session="s").text == '{"a": 1}'
        assert worker.call("echo", "{cut").text == "{cut"
        assert elsewhere.calls[0].session == "s"
        assert the_worker(lab, address=address).dispatcher is worker.dispatcher


def test_a_worker_that_does_not_answer_is_said_with_its_address(lab: Lab, tmp_path: Path) -> None:
    told = worker_of(lab, address=f"unix:{tmp_path}/nobody.sock")
    assert told == (
        f"There is no worker for this test:\nthe tools worker at unix:{tmp_path}/nobody.sock does "
        "not answer; start it with `auxot-tools worker`"
    )


def test_an_engine_that_does_not_answer_is_said_with_what_to_do(lab: Lab, tmp_path: Path) -> None:
    told = worker_of(lab)
    assert isinstance(told, str)
    assert f"The Docker engine at unix://{tmp_path}/nobody.sock does not answer. Start it" in told


def test_mistakes_in_the_settings_are_said(tmp_path: Path) -> None:
    with opened_lab(tmp_path, {"AUXOT_SANDBOX__READY": "many"}, tmp_path) as lab:
        told = worker_of(lab)
    assert isinstance(told, str)
    assert 'sandbox.ready is "many"' in told


def test_a_folder_without_tools_is_said(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    told = worker_of(lab, folders=(tmp_path / "empty",))
    assert told == f"There is no worker for this test:\nThere is no tool in {tmp_path}/empty."


def test_functions_are_tools_with_their_own_words(lab: Lab) -> None:
    def shout(text: str) -> str:
        """Says it louder."""
        return text.upper()

    worker = the_worker(lab, functions={"shout": shout})
    assert [(spec.name, spec.description) for spec in worker.specs] == [
        ("shout", "Says it louder.")
    ]
    assert worker.call("shout", {"text": "hi"}).text == "HI"
    assert worker.call("shout", "[]").status == "invalid_arguments"
    failed = worker.call("shout", {"text": 5})
    assert failed.is_error
    assert "upper" in failed.text


def raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


def test_whatever_a_function_raises_is_its_answer_and_the_next_call_goes_on(lab: Lab) -> None:
    raised: dict[str, tuple[BaseException, str]] = {
        "exit": (SystemExit(3), "It raised SystemExit: 3"),
        "fail": (pytest.fail.Exception("no"), "It raised Failed: no"),
        "stop": (StopIteration(), "It failed."),
        "ctrl_c": (KeyboardInterrupt(), "It raised KeyboardInterrupt: "),
        "cancel": (CancelledError(), "It raised CancelledError: "),
    }
    functions = {name: raising(error) for name, (error, _) in raised.items()}
    worker = the_worker(lab, functions={**functions, "odd": lambda: {(1, 2): 3}})
    for name, (_, told) in raised.items():
        answer = worker.call(name)
        assert (answer.status, answer.is_error, answer.text) == ("internal", True, told)
    assert worker.call("odd").is_error  # what it returns cannot be written as JSON
    assert worker.call("exit").is_error


def test_only_some_workers_are_kept(lab: Lab) -> None:
    closed: list[int] = []

    class Kept(FunctionTools):
        def __init__(self, number: int) -> None:
            super().__init__({})
            self.number = number

        async def __aenter__(self) -> "Kept":
            return self

        async def __aexit__(self, *_exc: object) -> None:
            closed.append(self.number)

    for number in (*range(MAX_KEPT), 0, MAX_KEPT):
        lab.kept(number, partial(Kept, number))
    assert closed == [1]  # 0 was used again
