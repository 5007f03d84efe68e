"""The error taxonomy: every error has a wire status, and the table has nothing else."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import auxot_tools
from auxot_tools import errors
from auxot_tools.errors import WIRE_STATUS, AuxotError, ConfigError, wire_status

# The names of gRPC's status codes and the Messages API's error types, as both document them.
GRPC_NAMES = {
    "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "PERMISSION_DENIED", "INTERNAL",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED", "FAILED_PRECONDITION", "UNAVAILABLE", "UNAUTHENTICATED",
}  # fmt: skip
ERROR_TYPES = {
    "invalid_request_error": range(400, 401),
    "authentication_error": range(401, 402),
    "permission_error": range(403, 404),
    "not_found_error": range(404, 405),
    "request_too_large": range(413, 414),
    "rate_limit_error": range(429, 430),
    "api_error": range(500, 504),
    "not_implemented_error": range(501, 502),
    "timeout_error": range(504, 505),
    "overloaded_error": range(529, 530),
}


def family(kind: type[AuxotError]) -> Iterator[type[AuxotError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


# Plugins whose program is not installed here, and which declare no error of their own.
OF_OTHER_PROGRAMS = frozenset({"auxot_tools.plugins.litellm"})
OURS = [kind for kind in family(AuxotError) if kind.__module__ == errors.__name__]


def test_every_error_and_nothing_else_is_in_the_status_table() -> None:
    assert set(OURS) == set(WIRE_STATUS)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_an_errors_statuses_exist_and_fit_one_another(kind: type[AuxotError]) -> None:
    status = WIRE_STATUS[kind]
    assert status.grpc in GRPC_NAMES
    assert status.http in ERROR_TYPES[status.error_type]


def test_an_error_declared_elsewhere_has_the_status_of_its_family() -> None:
    for module in pkgutil.walk_packages(auxot_tools.__path__, "auxot_tools."):
        if module.name not in OF_OTHER_PROGRAMS:
            importlib.import_module(module.name)
    wrong = [
        kind.__name__
        for kind in family(AuxotError)
        if wire_status(kind.__new__(kind))
        != next(WIRE_STATUS[parent] for parent in kind.__mro__ if parent in WIRE_STATUS)
    ]
    assert wrong == []


def test_the_tree_at_the_top_of_the_module_is_the_real_one() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert ["AuxotError", *drawn] == [kind.__name__ for kind in OURS]


def test_an_exception_that_is_not_ours_counts_as_an_internal_fault() -> None:
    assert wire_status(ValueError("x")) == WIRE_STATUS[AuxotError]


def test_a_config_error_holds_every_mistake() -> None:
    error = ConfigError(["One.", "Two."])
    assert error.mistakes == ("One.", "Two.")
    assert str(error) == "One.\nTwo."
