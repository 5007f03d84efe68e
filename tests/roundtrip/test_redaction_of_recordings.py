"""The key is in nothing that is kept, however it came back."""

from auxot_tools.roundtrip.recording import KEY_MARK, Piece
from auxot_tools.roundtrip.redaction import Redactor

KEY = 'sk-"quoted"-key'


def test_the_key_leaves_texts_bytes_and_values() -> None:
    redactor = Redactor([KEY])
    assert redactor.text(f"Bearer {KEY}!") == f"Bearer {KEY_MARK}!"
    assert redactor.bytes(KEY.encode()) == KEY_MARK.encode()
    assert redactor.value({"a": [KEY, 1], KEY: None}) == {"a": [KEY_MARK, 1], KEY_MARK: None}


def test_the_key_as_json_has_it_leaves_too() -> None:
    assert KEY_MARK in Redactor([KEY]).text('{"key": "sk-\\"quoted\\"-key"}')


def test_a_key_across_two_pieces_leaves_too() -> None:
    data = f"before {KEY} after".encode()
    pieces = Redactor([KEY]).pieces([Piece(data[:10], 1.0), Piece(data[10:], 2.0)])
    assert pieces == (Piece(f"before {KEY_MARK} after".encode(), 2.0),)


def test_pieces_without_a_key_keep_their_times() -> None:
    pieces = (Piece(b"a", 1.0), Piece(b"b", 2.0))
    assert Redactor([KEY]).pieces(pieces) == pieces


def test_a_key_that_could_be_any_word_is_not_looked_for() -> None:
    assert Redactor(["a"]).text("a banana") == "a banana"
