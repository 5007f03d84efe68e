"""What a call runs with, and which kinds of boxes are worth having ready."""

import dataclasses
import json

import pytest

from auxot_tools.ports import BoxSpec
from auxot_tools.share import share_dir
from auxot_tools.types import CallLimits, ToolCall
from auxot_tools.worker.admission import Admitted, admit, expected_spec, ready_specs
from auxot_tools.worker.isolation import IsolationPolicy
from auxot_tools.worker.registry import Registry


@pytest.fixture(scope="module")
def ours() -> Registry:
    return Registry.load([share_dir("tools")], policy=IsolationPolicy("warm"))


def ask(ours: Registry, limits: CallLimits | None = None, **arguments: object) -> Admitted | str:
    call = ToolCall(
        "toolu_1", "code_executor", json.dumps(arguments).encode(), limits=limits or CallLimits()
    )
    return admit(ours.tools["code_executor"], call, "picture")


def test_the_language_chooses_the_box_and_the_caller_the_time(ours: Registry) -> None:
    admitted = ask(ours, CallLimits(timeout_s=3), code="1", language="javascript")
    assert isinstance(admitted, Admitted)
    assert admitted.program.command == ("node", "/work/main.cjs")
    assert (admitted.spec.image, admitted.spec.isolation) == ("picture", "warm")
    assert (admitted.spec.ready, admitted.spec.limits.timeout_s) == ("node", 3)


def test_an_input_that_does_not_fit_and_a_program_that_cannot_be_run_are_texts(
    ours: Registry,
) -> None:
    unknown = ask(ours, code="1", user="root")
    assert isinstance(unknown, str)
    assert "/user: unknown field `user`" in unknown
    nul = ask(ours, code="a\0b")
    assert isinstance(nul, str)
    assert nul.startswith("The program in the input cannot be run: 1 problem; nothing was run.")
    assert "/code: has a NUL character at position 1" in nul


def test_before_the_input_is_known_the_default_language_is_expected(ours: Registry) -> None:
    tool = ours.tools["code_executor"]
    assert expected_spec(tool, "x") == BoxSpec("x", tool.limits, "warm", "python")


def test_every_kind_of_box_is_kept_ready_once_except_for_sessions(
    ours: Registry, registry: Registry
) -> None:
    limits = ours.tools["code_executor"].limits
    kinds = (BoxSpec("", limits, "warm", "python"), BoxSpec("", limits, "warm", "node"))
    assert ready_specs(ours.tools.values(), "") == kinds
    assert len(registry.tools) == 2
    assert ready_specs(registry.tools.values(), "") == (
        BoxSpec("", registry.tools["run"].limits, "call", "python"),
    )
    kept = Registry({"kept": dataclasses.replace(registry.tools["run"], isolation="session")})
    assert ready_specs(kept.tools.values(), "") == ()
