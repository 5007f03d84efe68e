"""The files that a program left behind: as artifacts for the caller, and in words for the model.

One job: that translation. Pure: it must not know how the files were taken out of the box. Names are
the program's own choice, so that they are cleaned wherever they go.
"""

import mimetypes
from collections.abc import Sequence

from auxot_tools.ports import CollectLimits, LeftOutFile, OutputFile
from auxot_tools.types import Artifact
from auxot_tools.worker.readable import readable_name, short_name, size_text

OUT_FOLDER = "/work/out"
_UNKNOWN_TYPE = "application/octet-stream"
_MAX_NAMED = 20  # left-out files listed to a model; it may have made thousands
_TYPES = mimetypes.MimeTypes()  # the library's own table: the same on every machine


def made_artifacts(files: Sequence[OutputFile]) -> tuple[Artifact, ...]:
    """The files with their media types, which are guessed from the names alone."""
    return tuple(Artifact(_plain(file.name), media_type(file.name), file.data) for file in files)


def media_type(name: str) -> str:
    """For example ``image/png``. A compressed file is what its compression makes it."""
    guessed, encoding = _TYPES.guess_type(f"/{name}", strict=False)  # never read as a URL
    return guessed if guessed and encoding is None else _UNKNOWN_TYPE


def files_notes(
    files: Sequence[OutputFile], left_out: Sequence[LeftOutFile], limits: CollectLimits
) -> list[str]:
    """What the model is told of the files: those returned, then those that are not, and why."""
    notes = []
    if files:
        told = (f"{short_name(file.name)} ({len(file.data)} bytes)" for file in files)
        notes.append(f"Files: {', '.join(told)}")
    if left_out:
        reasons = _reasons(limits)
        told = (
            f"{short_name(file.name)} ({reasons.get(file.reason, 'it could not be taken')})"
            for file in left_out[:_MAX_NAMED]
        )
        more = len(left_out) - _MAX_NAMED
        rest = f", and {more} more" if more > 0 else ""
        notes.append(f"Files in {OUT_FOLDER} that are not returned: {', '.join(told)}{rest}")
    return notes


def _reasons(limits: CollectLimits) -> dict[str, str]:
    return {
        "too_large": f"it has more than {size_text(limits.file_bytes)}",
        "not_a_file": "it is not a plain file",
        "too_many": f"at most {limits.files} files are returned",
        "total": f"all files together may have {size_text(limits.total_bytes)}",
        "unreadable": "it cannot be read",
        "name": "its name is not UTF-8 text",
        "lost": "the sandbox ended before it was handed over",
    }


def _plain(name: str) -> str:
    """A name that is safe wherever a file is written: no folder, no control character."""
    clean = readable_name(name).replace("/", "_")
    return "_" if clean in {"", ".", ".."} else clean
