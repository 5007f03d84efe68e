"""No credential leaves in what a tool writes, wherever the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.ports import KeptOutput, LeftOutFile, OutputFile, SandboxOutcome
from auxot_tools.types import OutputChunk
from auxot_tools.worker.output_tap import KEPT_BYTES, OutputTap
from auxot_tools.worker.redaction import Redactor

KEY = "sk-4711 &x"  # changes when it is percent-encoded
REDACTOR = Redactor({"API_KEY": KEY, "SHORT": "abc"})


@pytest.mark.parametrize(
    "text", [KEY, "sk-4711%20%26x", "sk-4711+%26x", f"a{KEY}{KEY}b", f'{{"key": "{KEY}"}}']
)
def test_a_credential_is_replaced_in_its_usual_spellings(text: str) -> None:
    said = REDACTOR.redact_text(text)
    assert "4711" not in said
    assert "[credential API_KEY]" in said


@pytest.mark.parametrize(
    "text",
    [
        "pass/wörd\r\nline",
        "pass\\/w\\u00f6rd\\nline",
        "pass\\/wörd\\nline",
        "pass/wörd\\nline",
        "pass/w%C3%B6rd%0Aline",
        "pass%2fw%c3%b6rd%0aline",
    ],
)
def test_other_spellings_that_programs_make_are_replaced_too(text: str) -> None:
    assert Redactor({"KEY": "pass/wörd\nline"}).redact_text(f"<{text}>") == "<[credential KEY]>"


def test_what_is_too_short_to_be_told_from_words_stays() -> None:
    assert REDACTOR.redact_text("abcdef") == "abcdef"
    assert not Redactor({"SHORT": "abc"})


def test_half_of_a_surrogate_pair_passes() -> None:
    assert REDACTOR.redact_text(f"\ud800{KEY}") == "\ud800[credential API_KEY]"


def test_the_longer_of_two_credentials_goes_first() -> None:
    both = Redactor({"A": "secret", "B": "secret-and-more"})
    assert both.redact(b"secret-and-more secret") == b"[credential B] [credential A]"


@given(st.lists(st.integers(1, 12), max_size=6), st.binary(max_size=6), st.booleans())
def test_a_stream_may_be_cut_anywhere(sizes: list[int], around: bytes, twice: bool) -> None:
    whole = around + KEY.encode() * (2 if twice else 1) + around
    tap, said, at = OutputTap(REDACTOR), b"", 0
    for size in [*sizes, len(whole)]:
        piece, at = whole[at : at + size], at + size
        chunk = tap.pass_on(OutputChunk("stdout", piece)) if piece else None
        said += chunk.data if chunk else b""
    assert KEY.encode() not in said
    assert tap.whole("stdout") == REDACTOR.redact(whole)
    assert tap.whole("stdout").startswith(said)


@given(
    st.lists(st.sampled_from([b"alice", b"alice-S3cret!pass", b"ret!past", b"x"]), max_size=6),
    st.lists(st.integers(1, 12), max_size=8),
)
def test_credentials_that_overlap_are_replaced_as_in_one_piece(
    parts: list[bytes], sizes: list[int]
) -> None:
    both = Redactor({"USER": "alice", "PASSWORD": "alice-S3cret!pass", "THIRD": "ret!past"})
    whole, tap, at = b"".join(parts), OutputTap(both), 0
    for size in [*sizes, len(whole)]:
        piece, at = whole[at : at + size], at + size
        if piece:
            tap.pass_on(OutputChunk("stdout", piece))
    assert tap.whole("stdout") == both.redact(whole)


@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_part_of_a_credential_beside_a_cut_goes_too(cut: int) -> None:
    secret = KEY.encode()
    kept = KeptOutput(b"before " + secret[:cut], secret[cut:] + b" after", 10)
    clean = OutputTap(REDACTOR).clean(SandboxOutcome(exit_code=0, stdout=kept)).stdout
    assert clean == KeptOutput(b"before ", b" after", 10 + len(secret))


def test_files_are_cleaned_too_with_their_names() -> None:
    outcome = SandboxOutcome(
        exit_code=0,
        files=(OutputFile(f"{KEY}.txt", b"\0" + KEY.encode()),),
        files_left_out=(LeftOutFile(KEY, "too_large"),),
    )
    clean = OutputTap(REDACTOR).clean(outcome)
    assert clean.files == (OutputFile("[credential API_KEY].txt", b"\0[credential API_KEY]"),)
    assert clean.files_left_out == (LeftOutFile("[credential API_KEY]", "too_large"),)


def test_without_credentials_chunks_pass_as_they_are_and_memory_is_bounded() -> None:
    tap = OutputTap(Redactor({}))
    chunk = OutputChunk("stderr", b"x" * 2**20)
    for _ in range(6):
        assert tap.pass_on(chunk) is chunk
    assert len(tap.whole("stderr")) == KEPT_BYTES
    assert tap.whole("stdout") == b""
