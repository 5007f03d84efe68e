"""Takes the key out of whatever is kept or shown.

One job: `KEY_MARK` in place of each secret, in texts, bytes and JSON values. Pure.
"""

import json
from collections.abc import Sequence
from typing import Any

from auxot_tools.roundtrip.recording import KEY_MARK, Piece

SHORTEST = 6  # a shorter one would be found by chance in every other word


class Redactor:
    """Knows the secrets. Those that are too short to be told from words are not looked for."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = tuple(
            form
            for secret in secrets
            if len(secret) >= SHORTEST
            for form in {secret, json.dumps(secret)[1:-1]}
        )

    def text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, KEY_MARK)
        return text

    def bytes(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret.encode(), KEY_MARK.encode())
        return data

    def value(self, value: Any) -> Any:
        """A JSON value; names of members are looked at too."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(str(name)): self.value(each) for name, each in value.items()}
        return value

    def pieces(self, pieces: Sequence[Piece]) -> tuple[Piece, ...]:
        """The pieces of a body. One that holds a secret across two pieces becomes one piece."""
        clean = tuple(Piece(self.bytes(piece.data), piece.at_s) for piece in pieces)
        whole = b"".join(piece.data for piece in clean)
        if self.bytes(whole) == whole:
            return clean
        return (Piece(self.bytes(whole), clean[-1].at_s),)
