"""Fixtures of the worker's tests: a registry with one parallel tool and one that is not."""

import json
from pathlib import Path

import pytest

from auxot_tools.worker.registry import Registry


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    for name, parallel in (("run", True), ("alone", False)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "main.py").write_bytes(b"pass\n")
        declared = {
            "description": "Runs.",
            "input_schema": {
                "type": "object",
                "properties": {
                    "code": {"type": "string"},
                    "seconds": {"type": "integer", "default": 20},
                },
                "additionalProperties": False,
            },
            "command": ["python3", "/tool/main.py"],
            "limits": {"timeout_s": 100, "timeout_from_input": "seconds"},
            "parallel": parallel,
        }
        (folder / "tool.json").write_text(json.dumps(declared))
    return Registry.load([tmp_path])
