"""What docs/client.md shows of the examples is what they are, and what it names exists."""

import re
from pathlib import Path

import pytest

from auxot_tools.client import AsyncClient, CallOptions, Client

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text("utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[one.strip()[:30] for one in SNIPPETS])
def test_every_piece_of_python_is_out_of_an_example(snippet: str) -> None:
    examples = [path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")]
    assert any(snippet in example for example in examples)


def test_every_file_it_names_exists() -> None:
    named = re.findall(r"`((?:examples|proto)/[\w/.-]*)`", PAGE)
    assert len(named) >= 5
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_both_clients_have_the_same_methods_and_every_option_is_described() -> None:
    def methods(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)
    assert [name for name in CallOptions.__annotations__ if f"| `{name}` |" not in PAGE] == []


def test_no_line_is_too_long_to_read() -> None:
    assert [line for line in PAGE.splitlines() if len(line) > 160] == []
