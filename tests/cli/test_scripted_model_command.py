"""`auxot-tools scripted-model`: serves a scenario, tells each request, and says how it went."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from auxot_tools.cli.main import main

ENDS_S = 30  # a process that should end does so within this time
CALL_AND_ANSWER = """\
turns:
  - tool_use: {id: toolu_1, name: add, input: {a: 1}}
  - expect:
      tool_result: {name: add, contains: "42"}
    text: Fine.
"""
QUESTION = {"role": "user", "content": "go"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "add"}]}


def result(text: str) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": text}
    return {"role": "user", "content": [block]}


@dataclass
class Served:
    """A process that serves, and the address it said."""

    process: subprocess.Popen[str]
    url: str

    def ask(self, *messages: Any, **more: Any) -> dict[str, Any]:
        """The body that came, also of an error."""
        data = json.dumps({"model": "m", "max_tokens": 9, "messages": messages, **more}).encode()
        try:
            with urlopen(Request(f"{self.url}/v1/messages", data), timeout=ENDS_S) as response:
                answer: dict[str, Any] = json.load(response)
        except HTTPError as error:
            with error:
                answer = json.load(error)
        return answer

    def end(self) -> tuple[int, list[str]]:
        """The exit code and the lines after the first."""
        output, _ = self.process.communicate(timeout=ENDS_S)
        return self.process.returncode, output.splitlines()


@contextmanager
def served(folder: Path, scenario: str, *options: str) -> Iterator[Served]:
    (folder / "s.yaml").write_text(scenario)
    command = [sys.executable, "-m", "auxot_tools.cli.main", "scripted-model", "s.yaml", *options]
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            word, _, url = process.stdout.readline().strip().rpartition(" ")
            assert word == "scripted-model ready:"
            yield Served(process, url)
        finally:
            process.kill()


def test_a_conversation_as_expected_ends_with_0_after_its_last_request(tmp_path: Path) -> None:
    with served(tmp_path, CALL_AND_ANSWER, "--exit-after", "2") as model:
        assert model.ask(QUESTION)["stop_reason"] == "tool_use"
        assert model.ask(QUESTION, CALL, result("42"))["content"][0]["text"] == "Fine."
        code, lines = model.end()
    assert code == 0
    assert [line.rpartition(",")[0] for line in lines[:2]] == [
        "POST /v1/messages: 200, turn 1",
        "POST /v1/messages: 200, turn 2",
    ]
    assert lines[2:] == ["2 requests, 0 of them not as expected; 2 of 2 turns played"]


def test_a_request_that_is_not_as_expected_is_refused_with_the_line_and_ends_with_1(
    tmp_path: Path,
) -> None:
    told = (
        "s.yaml:4: turns[1].expect.tool_result: no tool_result is like this "
        '(that of toolu_1: "42" is not in it; it is "41").'
    )
    with served(tmp_path, CALL_AND_ANSWER, "--exit-after", "2") as model:
        model.ask(QUESTION)
        error = model.ask(QUESTION, CALL, result("41"))["error"]
        code, lines = model.end()
    assert error["type"] == "invalid_request_error"
    assert error["message"] == f"This request is not as the scenario expects it. {told}"
    assert code == 1
    assert f"FAIL {told}" in lines
    assert lines[-2:] == [
        "2 requests, 1 of them not as expected; 2 of 2 turns played",
        f"  {told}",
    ]


def test_what_went_wrong_many_times_is_told_once_at_the_end(tmp_path: Path) -> None:
    with served(tmp_path, "turns:\n  - text: a\n", "--exit-after", "4") as model:
        for _ in range(4):
            model.ask(QUESTION)
        code, lines = model.end()
    assert code == 1
    assert lines[-2:] == [
        "4 requests, 3 of them not as expected; 1 of 1 turns played",
        "  s.yaml: The scenario has 1 turn; turn 2 was asked for. (3 times)",
    ]


def test_ctrl_c_ends_it_and_a_turn_that_was_not_played_makes_it_1(tmp_path: Path) -> None:
    with served(tmp_path, CALL_AND_ANSWER) as model:
        model.ask(QUESTION)
        model.process.send_signal(signal.SIGINT)
        code, lines = model.end()
    assert code == 1
    assert lines[-1] == "  s.yaml:3: turns[1]: this turn was not played."


def test_an_answer_that_stalls_does_not_hold_the_end_up(tmp_path: Path) -> None:
    stalls = "turns:\n  - text: a\n    faults: {stall_after_events: 2}\n"
    with served(tmp_path, stalls) as model:
        body = json.dumps({"stream": True}).encode()
        with urlopen(Request(f"{model.url}/v1/messages", body), timeout=ENDS_S) as response:
            assert response.readline() == b"event: message_start\n"
            model.process.send_signal(signal.SIGTERM)
            code, lines = model.end()
    assert code == 0
    assert lines[0].startswith("POST /v1/messages: 200, turn 1")


@dataclass(frozen=True)
class Done:
    """How a command ended that serves nothing."""

    exit_code: int
    output: str
    errors: str


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Runs one to its end, in this process."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["scripted-model", *arguments])
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    return run


def test_only_mistakes_are_looked_for_with_check(
    tmp_path: Path, command: Callable[..., Done]
) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(CALL_AND_ANSWER)
    bad.write_text("turns:\n  - txt: a\n  - text: 1\nselekt: x\n")
    done = command("--check", str(good))
    assert (done.exit_code, done.output) == (0, f"{good}: 2 turns, 1 with `expect`; no mistakes\n")
    done = command("--check", str(bad))
    assert done.exit_code == 2
    places = [line.removeprefix(f"auxot-tools: {bad}:") for line in done.errors.splitlines()]
    assert [place.split(" is ")[0] for place in places] == [
        "2: turns[0].txt",
        "3: turns[1].text",
        "4: selekt",
    ]


def test_the_schema_is_printed(command: Callable[..., Done]) -> None:
    done = command("--schema")
    assert done.exit_code == 0
    assert "turns" in json.loads(done.output)["required"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "here", "s.yaml"], "--listen is 'here'; write HOST:PORT or PORT"),
        (["--listen", "1:99999", "s.yaml"], "--listen is '1:99999'; write HOST:PORT or PORT"),
        (["none.yaml"], "The scenario none.yaml cannot be read: no such file or directory."),
        ([], "name a scenario file, or ask for --schema"),
    ],
)
def test_a_wrong_command_line_is_told_and_ends_with_2(
    options: list[str], told: str, command: Callable[..., Done]
) -> None:
    done = command(*options)
    assert done.exit_code == 2
    assert told in done.errors
