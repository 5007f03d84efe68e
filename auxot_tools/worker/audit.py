"""The audit log: one JSON line for each call, with what was decided and how it ended.

One job: writing those lines to a file that is rotated. Never contents: arguments only as a digest,
so that two lines can be compared and a call be proved, and no output at all. It must not know how
calls are run or decided about.
"""

import hashlib
import json
import logging
import os
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from auxot_tools.errors import ConfigError
from auxot_tools.types import ToolCall, ToolResult

logger = logging.getLogger(__name__)

_MAX_CHARS = 200  # of a name or an id that a caller chose


class AuditLog:
    """Appends to ``path`` (mode 0600); a file beyond ``max_bytes`` is rotated, ``files`` old ones
    stay. Raises ``ConfigError`` when it cannot be opened.

    A line that cannot be written later (a full disk) is told in the worker's log, and the call goes
    on.
    """

    def __init__(self, path: Path, max_bytes: int = 16 * 2**20, files: int = 8) -> None:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._handler = _PrivateFile(path, maxBytes=max_bytes, backupCount=files)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            text = f"worker.audit_file: {path} cannot be written: {reason}"
            raise ConfigError([text]) from None

    def write(self, call: ToolCall, result: ToolResult, decision: str) -> None:
        """One line for one call that has ended."""
        facts = {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "key": call.tenant[:_MAX_CHARS],
            "tool": call.name[:_MAX_CHARS],
            "tool_use_id": call.tool_use_id[:_MAX_CHARS],
            "request_id": call.request_id[:_MAX_CHARS],
            "input_sha256": hashlib.sha256(call.input_json).hexdigest(),
            "files_sha256": [hashlib.sha256(file.data).hexdigest() for file in call.files],
            "decision": decision,
            "outcome": str(result.status),
            "exit_code": result.exit_code,
            "duration_s": round(result.duration_s, 4),
            "isolation": result.isolation,
            "box_id": result.box_id[:12],
        }
        self._handler.emit(logging.makeLogRecord({"msg": json.dumps(facts)}))  # no args: as it is

    def close(self) -> None:
        """Close the file; what a full disk did not take is lost."""
        with suppress(OSError):
            self._handler.close()


class _PrivateFile(RotatingFileHandler):
    """Readable by its owner only, and quiet about its troubles but for one line in our log."""

    def __init__(self, path: Path, **options: int) -> None:
        self._has_failed = False
        super().__init__(path, encoding="utf-8", **options)  # type: ignore[arg-type]

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        if not self._has_failed:
            logger.error("the audit log %s cannot be written", self.baseFilename)
        self._has_failed = True
