"""What is seen in the text of a key, and that nothing of it is shown but prefix and length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.doctor.key import KeyFacts, KeyFault, Redactor

KEY = "rtr_" + "Ab3-_" * 8 + "xyz"

TEXTS = {
    KEY: (),
    f" {KEY}": (KeyFault.SPACE,),
    f"{KEY}\r": (KeyFault.SPACE,),
    f'"{KEY}"': (KeyFault.QUOTED,),
    f"\u201c{KEY}\u201d": (KeyFault.QUOTED,),
    f"bearer {KEY}": (KeyFault.HAS_BEARER,),
    f"x-api-key: {KEY}": (KeyFault.HAS_NAME,),
    f"export ANTHROPIC_API_KEY='{KEY}'": (KeyFault.HAS_NAME, KeyFault.QUOTED),
    "": (KeyFault.EMPTY,),
    "   ": (KeyFault.EMPTY, KeyFault.SPACE),
    "${KEY}": (KeyFault.NOT_EXPANDED,),
    "%KEY%": (KeyFault.NOT_EXPANDED,),
    "<your key>": (KeyFault.NOT_EXPANDED, KeyFault.SPACE),
    "rtr_\u2026": (KeyFault.PLACEHOLDER, KeyFault.NOT_ASCII, KeyFault.CUT),
    "your-api-key": (KeyFault.PLACEHOLDER,),
    KEY[:-1]: (KeyFault.CUT,),
    "any-other-key": (),
}


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_wrong_with_a_key_is_seen(text: str) -> None:
    assert KeyFacts(text).faults == TEXTS[text]


@pytest.mark.parametrize("text", [one for one in TEXTS if KEY in one])
def test_the_key_that_was_meant_is_found(text: str) -> None:
    assert KeyFacts(text).clean == KEY


def test_a_key_is_shown_by_prefix_and_length_only() -> None:
    assert KeyFacts(KEY).shown == "rtr_\u2026 (47 characters)"
    assert KeyFacts("0123456789").shown == "\u2026 (10 characters)"
    assert KeyFacts(None).shown == "no key"


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=4, max_size=60),
       st.text(max_size=40), st.text(max_size=40))  # fmt: skip
def test_no_text_that_is_shown_holds_the_key(key: str, before: str, after: str) -> None:
    facts = KeyFacts(key)
    shown = Redactor([facts]).clean(f"{before}{key}{after}")
    assert key not in shown.replace(facts.shown, "")


@pytest.mark.parametrize("text", [
    f"x-api-key: {KEY}", f"Authorization: Bearer {KEY}", f'{{"x-api-key": "{KEY}"}}', f"key {KEY}",
    "sk-ant-api03-ABCDEFGHIJKLMNOPQ", "tools.0123456789.abcdefghijk",
])  # fmt: skip
def test_what_looks_like_a_key_is_hidden_without_being_known(text: str) -> None:
    shown = Redactor().clean(text)
    assert KEY not in shown
    assert "ABCDEFGHIJ" not in shown
    assert "abcdefghijk" not in shown
