"""The estimate of tokens: every kind of block counts, and more of anything never counts less."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.messages.estimate import IMAGE_TOKENS, PAGE_BYTES, PAGE_TOKENS, estimated_tokens
from auxot_tools.types import JSON

WORDS = "the quick brown fox jumps over the lazy dog " * 20  # 880 characters, 180 words
CJK = "敏捷的棕色狐狸跳过了懒狗" * 20  # 240 characters
PIXELS = base64.b64encode(b"\x89PNG" * 500).decode()


def tokens(*content: Any, **body: Any) -> int:
    """Of a request with one user message."""
    return estimated_tokens({"messages": [{"role": "user", "content": list(content)}], **body})


def adds(*content: Any) -> int:
    """What this content counts beyond an empty message."""
    return tokens(*content) - tokens()


def text(words: str) -> JSON:
    return {"type": "text", "text": words}


def image(**source: Any) -> JSON:
    return {"type": "image", "source": source}


def document(**source: Any) -> JSON:
    return {"type": "document", "source": source}


IMAGE = image(type="base64", media_type="image/png", data=PIXELS)
BLOCKS: dict[str, tuple[JSON, int]] = {
    "text": (text(WORDS), 180),
    "cjk": (text(CJK), 240),
    "image, base64": (IMAGE, IMAGE_TOKENS),
    "image, url": (image(type="url", url="https://host/x.png"), IMAGE_TOKENS),
    "image, file": (image(type="file", file_id="file_1"), IMAGE_TOKENS),
    "pdf, base64": (document(type="base64", data=PIXELS), PAGE_TOKENS),
    "pdf, url": (document(type="url", url="https://host/x.pdf"), PAGE_TOKENS),
    "text document": (document(type="text", media_type="text/plain", data=WORDS), 180),
    "document of blocks": (document(type="content", content=[text(WORDS), IMAGE]), 1780),
    "document of one text": (document(type="content", content=WORDS), 180),
    "tool_use": (
        {"type": "tool_use", "id": "toolu_1", "name": "run", "input": {"code": WORDS}},
        180,
    ),
    "tool_result of one text": (
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": WORDS},
        180,
    ),
    "tool_result of blocks": (
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text(WORDS), IMAGE]},
        1780,
    ),
    "tool_result of a document": (
        {"type": "tool_result", "tool_use_id": "t", "content": [document(type="url", url="u")]},
        PAGE_TOKENS,
    ),
    "thinking": ({"type": "thinking", "thinking": WORDS, "signature": "c2ln"}, 180),
    "redacted_thinking": ({"type": "redacted_thinking", "data": PIXELS}, 500),
    "search_result": (
        {"type": "search_result", "source": "https://h", "title": "T", "content": [text(WORDS)]},
        180,
    ),
    "server_tool_use": (
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": WORDS}},
        180,
    ),
    "web_search_tool_result": (
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [{"type": "web_search_result", "encrypted_content": WORDS, "title": "T"}],
        },
        180,
    ),
    "mcp_tool_use": (
        {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {"a": WORDS}},
        180,
    ),
    "mcp_tool_result": (
        {"type": "mcp_tool_result", "tool_use_id": "m", "content": [text(WORDS)]},
        180,
    ),
    "unknown, with texts": ({"type": "hologram", "words": WORDS}, 180),
    "unknown, with blocks": ({"type": "hologram", "parts": [text(WORDS), IMAGE]}, 1780),
    "unknown, with a table": ({"type": "hologram", "data": {"deep": {"er": [WORDS]}}}, 180),
    "no type": ({"words": WORDS}, 180),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_every_kind_of_block_counts_for_about_what_it_is(name: str) -> None:
    block, at_least = BLOCKS[name]
    assert at_least <= adds(block) <= 2.5 * at_least


@pytest.mark.parametrize("name", BLOCKS)
def test_one_more_block_counts_as_much_again(name: str) -> None:
    block, _ = BLOCKS[name]
    assert abs(adds(block, block) - 2 * adds(block)) <= 2


def test_the_bytes_of_an_image_do_not_count() -> None:
    large = image(type="base64", media_type="image/png", data=PIXELS * 100)
    assert adds(large) == adds(IMAGE)


def test_a_large_pdf_counts_for_its_pages() -> None:
    pages = document(type="base64", data="A" * (20 * PAGE_BYTES * 4 // 3))
    assert 19 * PAGE_TOKENS <= adds(pages) <= 22 * PAGE_TOKENS


def test_title_and_context_of_a_document_count() -> None:
    plain = document(type="text", data=WORDS)
    assert adds(plain | {"title": WORDS}) >= adds(plain) + 180
    assert adds(plain | {"context": WORDS}) >= adds(plain) + 180


def test_a_message_of_one_text_counts_like_one_of_one_block() -> None:
    as_text = estimated_tokens({"messages": [{"role": "user", "content": WORDS}]})
    assert abs(as_text - tokens(text(WORDS))) <= 6


def test_each_message_adds_a_little_for_its_frame() -> None:
    message = {"role": "user", "content": "hi"}
    many = estimated_tokens({"messages": [message] * 100})
    assert many >= 100 * (estimated_tokens({"messages": [message]}) - 1)
    assert estimated_tokens({"messages": [{"role": "user", "content": ""}]}) >= 1


@pytest.mark.parametrize("system", [WORDS, [text(WORDS)], [{**text(WORDS), "cache_control": {}}]])
def test_the_system_prompt_counts(system: Any) -> None:
    assert tokens(system=system) >= tokens() + 180


def test_tools_count_by_what_is_declared_and_the_first_one_more() -> None:
    tool: JSON = {"name": "run", "description": WORDS, "input_schema": {"type": "object"}}
    one, two = tokens(tools=[tool]), tokens(tools=[tool, tool])
    assert one - tokens() > two - one >= 180
    assert tokens(tools=[{**tool, "input_schema": {"description": WORDS}}]) >= one + 150
    assert tokens(tools=[]) == tokens(tools=None) == tokens()
    assert tokens(tools=[{"type": "bash_20250124", "name": "bash"}]) > tokens()


SCRIPTS = {
    "japanese": "素早い茶色の狐はのろまな犬を飛び越える",
    "korean": "빠른 갈색 여우가 게으른 개를 뛰어넘는다",
    "emoji": "🦊🐶🌍🎉🔥",
    "thai": "สุนัขจิ้งจอกสีน้ำตาลกระโดดข้ามสุนัขขี้เกียจ",
    "hindi": "तेज़ भूरी लोमड़ी आलसी कुत्ते के ऊपर से कूदती है",
    "arabic": "الثعلب البني السريع يقفز فوق الكلب الكسول",
    "russian": "быстрая коричневая лиса прыгает через ленивую собаку",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_character_of_another_script_is_more_than_one_of_english(script: str) -> None:
    words = SCRIPTS[script] * 20
    assert adds(text(words)) >= 1.5 * adds(text("x" * len(words)))


@pytest.mark.parametrize(
    "content",
    ["x", 5, None, True, [], [None], ["x"], [5], [{}], [{"type": None}], [{"type": "image"}]],
)
def test_odd_content_has_an_estimate_too(content: Any) -> None:
    inner = {"type": "tool_result", "tool_use_id": "t", "content": content}
    assert adds(inner) > 0
    assert estimated_tokens({"messages": [{"role": "user", "content": content}]}) >= 1


@pytest.mark.parametrize(
    "source",
    [None, "x", [], {}, {"type": "base64"}, {"type": "base64", "data": 5}, {"type": "text"}],
)
def test_odd_sources_have_an_estimate_too(source: Any) -> None:
    for kind in ("image", "document"):
        assert adds({"type": kind, "source": source}) >= IMAGE_TOKENS


def test_what_json_writers_fear_has_an_estimate_too() -> None:
    assert adds({"type": "tool_use", "input": {"n": 2**70, "text": "\ud800" + WORDS}}) >= 180
    assert adds(text("\ud800")) > 0


@pytest.mark.parametrize("kind", ["text", "image", "document"])
def test_an_input_that_looks_like_a_block_counts_for_its_text(kind: str) -> None:
    given_input = {"type": kind, "words": WORDS * 20}
    odd = {"type": "tool_use", "id": "t", "name": "draw", "input": given_input}
    assert adds(odd) >= 20 * 180


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.text(), st.text())
def test_more_text_never_counts_less(first: str, more: str) -> None:
    assert adds(text(first + more)) >= adds(text(first))
    assert adds(text(first), text(more)) >= adds(text(first))


@given(st.lists(JSON_VALUES, max_size=4), JSON_VALUES)
def test_more_of_anything_never_counts_less(content: list[Any], more: Any) -> None:
    assert tokens(*content, more) >= tokens(*content) >= 1
    assert tokens(*content, tools=[{"x": more}]) > tokens(*content)
