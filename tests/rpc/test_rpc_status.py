"""Every error has a gRPC status, and every gRPC status an end that a model can read."""

import grpc
import pytest

from auxot_tools.errors import WIRE_STATUS, AuxotError
from auxot_tools.rpc.status import call_failure, code_of, unavailable_text
from auxot_tools.types import Status


@pytest.mark.parametrize("cls", list(WIRE_STATUS))
def test_every_error_becomes_the_status_of_the_table(cls: type[AuxotError]) -> None:
    error = cls.__new__(cls)  # some take arguments of their own
    assert code_of(error) is grpc.StatusCode[WIRE_STATUS[cls].grpc]


def test_an_exception_that_is_not_ours_is_internal() -> None:
    assert code_of(KeyError("x")) is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_every_status_ends_a_call_as_a_failure_in_plain_words(code: grpc.StatusCode) -> None:
    for was_refused in (True, False):
        status, text = call_failure(code, was_refused=was_refused)
        assert status is not Status.COMPLETED
        assert text.endswith(".")
        assert ("This call was not run." in text) is was_refused
        assert code.name not in text
        assert "grpc" not in text.lower()


@pytest.mark.parametrize("code", list(grpc.StatusCode))
def test_an_operator_is_told_which_worker(code: grpc.StatusCode) -> None:
    assert "unix:/w.sock" in unavailable_text(code, "unix:/w.sock")
