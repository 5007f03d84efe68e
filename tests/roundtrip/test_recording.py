"""A recording goes into a file and back; a file that is none is told, and why."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.roundtrip.recording import (
    VERSION,
    Answer,
    Asked,
    Exchanged,
    Facts,
    Piece,
    Recording,
    Sent,
    as_json,
    load,
    save,
)

FACTS = Facts("http://h", "m", "abc", True, True, "echo", 15.0)
DONE = Exchanged(
    "plain",
    Sent("POST", "/v1/messages", {"anthropic-beta": "x"}, {"model": "m"}),
    Answer(200, 0.1, {"request-id": "r"}, (Piece("世".encode()[:2], 0.1), Piece(b"text", 0.2))),
    asked=(Asked({"model": "m"}, {}, {"blocks": []}, 0.05, "left"),),
)
RECORDING = Recording(FACTS, {"plain": DONE, "tool": Exchanged("tool", skipped="no tools")})


def test_a_recording_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    save(RECORDING, tmp_path / "file")
    assert load(tmp_path / "file") == RECORDING


def test_a_file_that_was_there_keeps_no_rest(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x" * 100_000)
    save(RECORDING, tmp_path / "file")
    assert load(tmp_path / "file") == RECORDING


def changed(**members: Any) -> str:
    return json.dumps(as_json(RECORDING) | members)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[" * 300 + "]" * 300, "nested too deep"),
        ("[]", "is no recording of a round trip"),
        ('{"format": "har"}', "is no recording of a round trip"),
        (changed(version=VERSION + 1), f"version {VERSION + 1}, this program reads {VERSION}"),
        (changed(facts={}), "damaged at facts"),
        (changed(facts=as_json(RECORDING)["facts"] | {"quiet_s": "long"}), "damaged at facts"),
        (changed(exchanges=[{}]), "damaged at exchanges.0"),
        (changed(exchanges=[{"name": "plain"}]), "damaged at exchanges.0"),
        (changed(exchanges=[{"name": "x", "skipped": "y", "sent": []}]), "damaged at exchanges.0"),
        (
            changed(exchanges=[{"name": "x", "failure": "y", "asked": [3]}]),
            "damaged at exchanges.0",
        ),
    ],
)
def test_a_file_that_is_no_recording_is_told(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(ConfigError, match=words):
        load(tmp_path / "file")


def test_damage_within_an_answer_is_told(tmp_path: Path) -> None:
    for damage in ({"status": "200"}, {"pieces": [{"at_s": 1}]}, {"pieces": 3}, {"headers": None}):
        content = as_json(RECORDING)
        content["exchanges"][0]["answer"] |= damage
        (tmp_path / "file").write_text(json.dumps(content))
        with pytest.raises(ConfigError, match=r"damaged at exchanges\.0"):
            load(tmp_path / "file")


def test_places_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: no such file"):
        load(tmp_path / "missing")
    with pytest.raises(ConfigError, match="cannot be written: is a directory"):
        save(RECORDING, tmp_path)


def test_an_exchange_has_one_end(tmp_path: Path) -> None:
    both = replace(DONE, failure="closed")
    save(Recording(FACTS, {"plain": both}), tmp_path / "file")
    with pytest.raises(ConfigError, match="damaged"):
        load(tmp_path / "file")
