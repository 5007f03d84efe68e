"""What makes two boxes interchangeable, and what does not."""

from dataclasses import fields, replace

import pytest

from auxot_tools.ports import BoxLimits, BoxSpec
from auxot_tools.sandbox.kind import kind_of

SPEC = BoxSpec("image", BoxLimits())


@pytest.mark.parametrize("name", ["timeout_s", "output_bytes", "output_stop_bytes"])
def test_limits_of_a_call_alone_do_not_make_another_kind(name: str) -> None:
    other = replace(SPEC, limits=replace(SPEC.limits, **{name: 7}))
    assert kind_of(other) == kind_of(SPEC)


@pytest.mark.parametrize(
    "name",
    sorted(
        {field.name for field in fields(BoxLimits)}
        - {"timeout_s", "output_bytes", "output_stop_bytes"}
    ),
)
def test_every_limit_of_the_container_makes_another_kind(name: str) -> None:
    other = replace(SPEC, limits=replace(SPEC.limits, **{name: 7}))
    assert kind_of(other) != kind_of(SPEC)


def test_image_isolation_interpreter_and_hosts_make_another_kind() -> None:
    others = [
        replace(SPEC, image="other"),
        replace(SPEC, isolation="warm"),
        replace(SPEC, isolation="session"),
        replace(SPEC, ready="node"),
        replace(SPEC, hosts=("example.org",)),
        replace(SPEC, hosts=("example.net",)),
    ]
    assert len({kind_of(SPEC), *map(kind_of, others)}) == 7


def test_hosts_are_a_set() -> None:
    one = kind_of(replace(SPEC, hosts=("a.test", "b.test")))
    assert one == kind_of(replace(SPEC, hosts=("b.test", "a.test", "b.test")))


def test_a_box_with_hosts_serves_one_call() -> None:
    assert kind_of(replace(SPEC, isolation="warm", hosts=("a.test",))).isolation == "call"
    assert kind_of(replace(SPEC, isolation="warm")).isolation == "warm"


def test_a_session_has_no_interpreter_that_waits() -> None:
    session = replace(SPEC, isolation="session")
    assert kind_of(replace(session, ready="node")) == kind_of(session)
