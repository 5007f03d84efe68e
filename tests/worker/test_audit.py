"""One line for each call, never its contents, in a file that only its owner reads."""

import hashlib
import json
from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.types import InputFile, Status, text_result
from auxot_tools.worker.audit import AuditLog
from tests.support.executor_calls import a_call

CALL = a_call(
    text='{"code":"the contents"}',
    tenant="alice",
    request_id="msg_1",
    files=(InputFile("a", b"data"),),
)
RESULT = text_result("toolu_1", Status.DENIED, "the answer")


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_says_who_what_and_how_it_ended_and_no_contents(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "audit.log"
    log = AuditLog(path)
    log.write(CALL, RESULT, "refused by 100% bob")
    log.close()
    (line,) = lines(path)
    at, digest = str(line.pop("at")), str(line.pop("input_sha256"))
    assert at.endswith("+00:00")
    assert len(digest) == 64
    assert line == {
        "key": "alice",
        "tool": "run",
        "tool_use_id": "toolu_1",
        "request_id": "msg_1",
        "files_sha256": [hashlib.sha256(b"data").hexdigest()],
        "decision": "refused by 100% bob",
        "outcome": "denied",
        "exit_code": None,
        "duration_s": 0.0,
        "isolation": "",
        "box_id": "",
    }
    assert path.stat().st_mode & 0o777 == 0o600
    assert "contents" not in path.read_text()


def test_names_that_a_caller_chose_stay_on_one_line_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path)
    log.write(a_call(name="x\n" * 1000), RESULT, "allowed")
    log.close()
    (line,) = lines(path)
    assert len(str(line["tool"])) == 200


def test_files_are_rotated_and_bounded_in_number(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    log = AuditLog(path, max_bytes=2000, files=2)
    for _ in range(50):
        log.write(CALL, RESULT, "allowed")
    log.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["audit.log", "audit.log.1", "audit.log.2"]
    assert all(file.stat().st_size <= 2000 for file in files)
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in files)


def test_a_file_that_cannot_be_made_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"worker\.audit_file"):
        AuditLog(tmp_path / "file" / "audit.log")


def test_a_full_disk_is_told_once_and_calls_go_on(caplog: pytest.LogCaptureFixture) -> None:
    log = AuditLog(Path("/dev/full"), max_bytes=0)
    log.write(CALL, RESULT, "allowed")
    log.write(CALL, RESULT, "allowed")
    assert [record.message for record in caplog.records] == [
        "the audit log /dev/full cannot be written"
    ]
    log.close()
