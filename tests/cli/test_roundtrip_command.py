"""`auxot-tools roundtrip`: what it shows of a recording, and how mistakes are told."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from auxot_tools.cli.main import main
from auxot_tools.cli.roundtrip import roundtrip
from auxot_tools.roundtrip.recording import (
    Answer,
    Exchanged,
    Facts,
    Piece,
    Recording,
    Sent,
    save,
)
from auxot_tools.roundtrip.rules import ALL

EVIL = "<script>alert(1)</script>\x1b[31m\x00"
FACTS = Facts("http://127.0.0.1:1/api", "m", "abc", False, False, "echo", 15.0, "2026-11-24", "x")


def answered(name: str, status: int, body: bytes) -> Exchanged:
    headers = {"content-type": "application/json", "request-id": "req_1"}
    sent = Sent("POST", "/v1/messages", {}, {"model": "m", "messages": []})
    return Exchanged(name, sent, Answer(status, 0.1, headers, (Piece(body, 0.2),)))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A recording in which one request without a key was answered, with words that do harm."""
    error = {"type": "error", "error": {"type": EVIL, "message": EVIL}, "request_id": "req_1"}
    exchanges = (
        answered("no-key", 403, json.dumps(error).encode()),
        answered("wrong-key", 401, json.dumps(error).encode()),
    )
    save(Recording(FACTS, {each.name: each for each in exchanges}), tmp_path / "run.json")
    return tmp_path / "run.json"


def test_a_replay_shows_what_failed_why_and_by_which_rule(file: Path) -> None:
    done = CliRunner().invoke(roundtrip, ["--replay", str(file), "--only", "auth"])
    assert done.exit_code == 1
    lines = [" ".join(line.split()) for line in done.output.splitlines()]
    assert "FAIL auth.missing-key A request without a key gets 401." in lines
    assert "no-key: status 403, not 401" in lines
    assert "source: Messages API: errors" in lines
    assert "PASS auth.wrong-key A wrong key gets 401." in lines
    assert "NOT TESTABLE auth.bearer The key is taken as a bearer token." in lines
    assert lines[-1] == "2 passed, 3 failed, 2 not testable"


def test_what_an_endpoint_sent_does_no_harm_where_it_is_shown(file: Path) -> None:
    page, junit = file.with_name("page.html"), file.with_name("junit.xml")
    options = ["--replay", str(file), "--html", str(page), "--junit", str(junit)]
    done = CliRunner().invoke(roundtrip, options)
    assert done.exit_code == 1
    assert "\x1b[31m" not in done.output
    html = page.read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
    root = ElementTree.fromstring(junit.read_text())
    failures = [case for case in root.iter("testcase") if case.find("failure") is not None]
    assert any("<script>" in (case.findtext("failure") or "") for case in failures)


def test_the_page_needs_nothing_else(file: Path) -> None:
    page = file.with_name("page.html")
    CliRunner().invoke(roundtrip, ["--replay", str(file), "--html", str(page)])
    html = page.read_text().replace(FACTS.url, "")
    assert "default-src 'none'" in html
    for word in ("http://", "https://", "src=", "<link", "@import", "url(", "<form"):
        assert word not in html


def test_the_page_has_the_score_of_each_group_and_says_what_the_names_in_it_mean(
    file: Path,
) -> None:
    page = file.with_name("page.html")
    CliRunner().invoke(roundtrip, ["--replay", str(file), "--html", str(page)])
    html = page.read_text()
    row = '<tr><td><a href="#auth">auth</a></td><td>2</td><td class="some">3</td><td>2</td></tr>'
    assert row in html
    assert '<section id="auth">' in html
    assert "<dt><code>wrong-key</code></dt><dd>a wrong key</dd>" in html
    assert "source: Messages API: errors" in html


def test_a_replay_for_programs_is_one_json_object(file: Path) -> None:
    done = CliRunner().invoke(roundtrip, ["--replay", str(file), "--json"])
    report = json.loads(done.output)
    assert len(report["checks"]) == len(ALL)
    assert set(report["checks"][0]) == {"id", "group", "meaning", "source", "verdict", "notes"}
    assert "changed" not in report


def test_the_checks_are_listed_with_their_sources() -> None:
    shown = CliRunner().invoke(roundtrip, ["--list"]).output
    assert all(rule.id in shown for rule in ALL)
    listed = json.loads(CliRunner().invoke(roundtrip, ["--list", "--json"]).output)["checks"]
    assert [each["id"] for each in listed] == [rule.id for rule in ALL]
    assert all(each["source"] for each in listed)


URL = ["--url", "http://127.0.0.1:1", "--key", "k-of-this-test", "--model", "m"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (URL, "nobody listens at this address"),
        (["--url", "http://127.0.0.1:1", "--key", "", "--model", "m"], "There is no key"),
        ([*URL[:2], "--key-file", "/nowhere", "--model", "m"], "/nowhere cannot be read: no such"),
        ([*URL[:2], "--key-file", "/dev/zero", "--model", "m"], "too long to be a key"),
        ([*URL, "--upstream-listen", "127.0.0.1:0"], "nobody listens at this address"),
        ([*URL, "--upstream-listen", "9009x"], "write HOST:PORT or PORT, such as"),
        ([*URL, "--upstream-listen", "192.0.2.1:9"], "--upstream-listen: cannot listen on"),
        ([*URL, "--tool", "mine"], "There is no input for the tool mine"),
        ([*URL, "--tool-input", "{"], "--tool-input is not valid JSON"),
        ([*URL, "--tool-input", "[]"], "--tool-input is no JSON object"),
        ([*URL, "--tool-inputs", "/nowhere"], "--tool-inputs: /nowhere cannot be read"),
        ([*URL, "--only", "nothing"], "there is no check or group 'nothing'"),
        (["--replay", "/nowhere"], "/nowhere cannot be read: no such file"),
    ],
)
def test_mistakes_are_told_in_a_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["roundtrip", *options])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert "k-of-this-test" not in told


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "name an endpoint with --url, or a recording with --replay"),
        (["--url", "http://h", "--key", "k-of-this-test"], "name a model with --model"),
        (["--url", "http://h", "--quiet-s", "0"], "0"),
    ],
)
def test_a_command_line_that_says_too_little_is_told(options: list[str], words: str) -> None:
    done = CliRunner().invoke(roundtrip, options)
    assert done.exit_code == 2
    assert words in done.output


def test_an_unknown_kind_of_input_is_told_with_those_there_are(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs.json"
    for content, words in (
        ('{"ecko": {}}', "'ecko', which is none of echo, bad, slow, unique, failing"),
        ('{"echo": 3}', "echo is no JSON object"),
        ('{"bad": {}}', "There is no input for the tool mine"),
    ):
        inputs.write_text(content)
        options = [*URL, "--tool", "mine", "--tool-inputs", str(inputs)]
        done = CliRunner().invoke(roundtrip, options)
        assert words in str(done.exception)


def test_a_place_that_cannot_be_written_is_told(file: Path) -> None:
    done = CliRunner().invoke(roundtrip, ["--replay", str(file), "--junit", "/nowhere/x.xml"])
    assert "/nowhere/x.xml cannot be written: no such file or directory" in str(done.exception)
