"""The official JSON-Schema-Test-Suite, as it lies inside the source archive of ``jsonschema``.

One job: fetch it once through pip, pinned by its SHA-256, and read its cases. Kept in ``.state/``.
Fails loudly when it cannot be had: a test that needs it must not pass without it.

    python tests/support/json_schema_suite.py      fetches it now
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUIREMENT = "jsonschema==4.26.0"
ARCHIVE = "jsonschema-4.26.0.tar.gz"
SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"
DOWNLOAD_S = 300  # pip also builds the archive's metadata; 15 to 50 s were measured

_STATE = Path(__file__).parents[2] / ".state"
_SUITE = _STATE / f"json-schema-test-suite-{SHA256[:12]}"


@dataclass(frozen=True)
class SuiteCase:
    """One value judged by one schema of the suite."""

    dialect: str
    file: str  # relative to the dialect's folder, for example "optional/format/date.json"
    group: str
    name: str
    schema: Any
    value: Any
    valid: bool


def suite_dir() -> Path:
    """The suite's folder, fetched when it is not there yet. Raises ``RuntimeError``."""
    if not _SUITE.is_dir():
        _fetch()
    return _SUITE


def cases(dialect: str) -> Iterator[SuiteCase]:
    """Every case of one dialect, for example ``draft2020-12``, the optional ones included."""
    folder = suite_dir() / "tests" / dialect
    for path in sorted(folder.rglob("*.json")):
        for group in json.loads(path.read_bytes()):
            for one in group["tests"]:
                yield SuiteCase(
                    dialect=dialect,
                    file=str(path.relative_to(folder)),
                    group=group["description"],
                    name=one["description"],
                    schema=group["schema"],
                    value=one["data"],
                    valid=one["valid"],
                )


def _fetch() -> None:
    _STATE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_STATE) as folder:
        archive = _download(Path(folder))
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        if digest != SHA256:
            raise RuntimeError(f"{ARCHIVE} has the SHA-256 {digest}, expected {SHA256}")
        unpacked = Path(folder) / "suite"
        _unpack(archive, unpacked)
        try:
            unpacked.rename(_SUITE)
        except OSError:
            if not _SUITE.is_dir():  # otherwise another run was quicker
                raise


def _unpack(archive: Path, into: Path) -> None:
    """Write the suite's JSON files; the archive's hash was checked, so its names are trusted."""
    prefix = ARCHIVE.removesuffix(".tar.gz") + "/json/"
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.name.startswith(prefix) or not member.name.endswith(".json"):
                continue
            file = tar.extractfile(member)
            assert file is not None
            target = into / member.name.removeprefix(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read())


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--no-binary", "jsonschema", "--dest", str(folder), REQUIREMENT]
    try:
        done = subprocess.run(command, capture_output=True, timeout=DOWNLOAD_S, check=False)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"pip did not fetch {REQUIREMENT} within {DOWNLOAD_S} s") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")[-1000:]
        raise RuntimeError(f"pip could not fetch {REQUIREMENT}, which holds the suite:\n{said}")
    return folder / ARCHIVE


if __name__ == "__main__":
    print(suite_dir())
