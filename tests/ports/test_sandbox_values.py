"""The values of the ports: what may be compared, and what must not be shown."""

import auxot_tools.ports
from auxot_tools.ports import BoxLimits, BoxSpec, HostedAnswer, HostedCall, Program
from auxot_tools.types import Status


def test_secrets_do_not_show_when_a_value_is_printed() -> None:
    program = Program(("true",), b"", env=(("KEY", "secret-value"),))
    call = HostedCall("toolu_1", {}, credentials={"KEY": "secret-value"})
    assert "secret-value" not in repr(program) + repr(call)


def test_boxes_of_one_kind_are_equal_whatever_made_them() -> None:
    first = BoxSpec("image", BoxLimits(), hosts=("example.org",))
    assert first == BoxSpec("image", BoxLimits(), hosts=("example.org",))
    assert first != BoxSpec("image", BoxLimits())
    assert len({first, BoxSpec("image", BoxLimits(), hosts=("example.org",))}) == 1


def test_an_answer_of_words_is_one_text_block() -> None:
    answer = HostedAnswer.of("no", Status.DENIED)
    assert (answer.content, answer.status) == (({"type": "text", "text": "no"},), Status.DENIED)


def test_every_port_is_to_be_had_from_the_package() -> None:
    for name in auxot_tools.ports.__all__:
        assert getattr(auxot_tools.ports, name).__module__.startswith("auxot_tools.ports") or (
            name in {"Isolation", "Runtime"}
        )
