"""What clients do not see is found again by what they do see, for a while, in bounded memory."""

import logging
from dataclasses import dataclass
from typing import Any

import pytest

from auxot_tools.messages.digests import prefix_digests
from auxot_tools.router.kept_history import KeptHistory, Restored
from auxot_tools.types import JSON

ASKED: tuple[JSON, ...] = ({"role": "user", "content": "hi"},)
VISIBLE: JSON = {"content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}
WHOLE: tuple[JSON, ...] = (
    {"type": "text", "text": "one"},
    {"type": "mcp_tool_use", "id": "mcptoolu_auxot_a", "input": {"n": 2**70}},
    {"type": "text", "text": "two"},
)
NEXT: JSON = {"role": "user", "content": "and now?"}


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def history(answer: Any) -> tuple[JSON, ...]:
    return (*ASKED, {"role": "assistant", "content": answer}, NEXT)


def restored(store: KeptHistory, key: str, messages: tuple[JSON, ...], request: str) -> Restored:
    digests = prefix_digests(messages) if store.is_needed else None
    return store.restore(key, messages, digests, request)


def kept(clock: Clock | None = None, **settings: Any) -> KeptHistory:
    store = KeptHistory(is_hiding=True, clock=clock or Clock(), **settings)
    digest = restored(store, "key", ASKED, "req").digest
    store.keep("key", ASKED, digest, VISIBLE, WHOLE)
    return store


def is_whole(store: KeptHistory, key: str = "key", answer: Any = VISIBLE["content"]) -> bool:
    found = restored(store, key, history(answer), "req").messages
    return list(found[1]["content"]) == list(WHOLE)


def test_a_hidden_call_comes_back_into_the_history() -> None:
    store = kept()
    found = restored(store, "key", history(VISIBLE["content"]), "req")
    assert found.messages[0] == ASKED[0]
    assert list(found.messages[1]["content"]) == list(WHOLE)
    assert found.messages[2] == NEXT


@pytest.mark.parametrize(
    "answer",
    [
        "onetwo",
        [{"type": "text", "text": "onetwo", "cache_control": {"type": "ephemeral"}}],
        [{"type": "text", "text": "one", "citations": None}, {"type": "text", "text": "two"}],
        [{"type": "thinking", "thinking": "…"}, *VISIBLE["content"]],
    ],
)
def test_clients_may_write_the_same_text_in_other_ways(answer: Any) -> None:
    assert is_whole(kept(), answer=answer)


def test_another_key_another_text_and_another_beginning_find_nothing() -> None:
    store = kept()
    assert not is_whole(store, key="other")
    assert not is_whole(store, answer="one two")
    other = ({"role": "user", "content": "ho"}, *history(VISIBLE["content"])[1:])
    assert restored(store, "key", other, "req").messages == other


def test_the_digest_may_be_made_later_from_the_messages() -> None:
    store = KeptHistory(clock=Clock())
    store.keep("key", ASKED, b"", VISIBLE, WHOLE)
    assert is_whole(store)


def test_it_is_kept_for_a_while_after_its_last_use() -> None:
    clock = Clock()
    store = kept(clock, kept_s=100)
    for _ in range(3):
        clock.now += 90
        assert is_whole(store)
    clock.now += 101
    assert not is_whole(store)


def test_all_together_are_bounded_and_the_longest_unused_goes_first() -> None:
    size = 1000
    store = KeptHistory(is_hiding=True, max_bytes=3 * size + 200, clock=Clock())
    whole = ({"type": "text", "text": "x" * size},)
    for number in range(5):
        asked = ({"role": "user", "content": str(number)},)
        store.keep("key", asked, b"", VISIBLE, whole)
    found = []
    for number in range(5):
        asked = ({"role": "user", "content": str(number)},)
        answer = {"role": "assistant", "content": VISIBLE["content"]}
        back = restored(store, "key", (*asked, answer), "req").messages
        found.append(back[1] != answer)
    assert found == [False, False, True, True, True]


def test_what_is_larger_than_the_bound_is_not_kept() -> None:
    store = KeptHistory(is_hiding=True, max_bytes=10, clock=Clock())
    store.keep("key", ASKED, b"", VISIBLE, WHOLE)
    assert not is_whole(store)


def test_what_is_gone_is_told_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    store = kept()
    with caplog.at_level(logging.INFO):
        restored(store, "key", history("something else"), "req_1")
        assert "req_1: 1 assistant messages are not known here" in caplog.text
        caplog.clear()
        restored(store, "key", history(VISIBLE["content"]), "req_2")
        assert caplog.text == ""


def test_an_answer_without_hidden_calls_is_known_and_stays_as_it_is() -> None:
    store = KeptHistory(is_hiding=True, clock=Clock())
    store.keep("key", ASKED, b"", VISIBLE, None)
    messages = history(VISIBLE["content"])
    assert restored(store, "key", messages, "req").messages == messages


def test_where_nothing_is_hidden_nothing_is_looked_for() -> None:
    store = KeptHistory(clock=Clock())
    store.keep("key", ASKED, b"", VISIBLE, None)
    messages = history(VISIBLE["content"])
    found = restored(store, "key", messages, "req")
    assert found.messages is messages
    assert found.digest == b""
