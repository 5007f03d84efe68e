"""No credential leaves in what a tool writes, wherever the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auxot_tools.ports import KeptOutput, OutputFile, SandboxOutcome
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


@pytest.mark.parametrize("cut", range(1, len(KEY)))
def test_a_part_of_a_credential_beside_a_cut_goes_too(cut: int) -> None:
    secret = KEY.encode()
    kept = KeptOutput(b"before " + secret[:cut], secret[cut:] + b" after", 10)
    clean = OutputTap(REDACTOR).clean(SandboxOutcome(exit_code=0, stdout=kept)).stdout
    assert clean == KeptOutput(b"before ", b" after", 10 + len(secret))


def test_files_are_cleaned_too() -> None:
    outcome = SandboxOutcome(exit_code=0, files=(OutputFile("a", b"\0" + KEY.encode()),))
    assert OutputTap(REDACTOR).clean(outcome).files[0].data == b"\0[credential API_KEY]"


def test_without_credentials_chunks_pass_as_they_are_and_memory_is_bounded() -> None:
    tap = OutputTap(Redactor({}))
    chunk = OutputChunk("stderr", b"x" * 2**20)
    for _ in range(6):
        assert tap.pass_on(chunk) is chunk
    assert len(tap.whole("stderr")) == KEPT_BYTES
    assert tap.whole("stdout") == b""
