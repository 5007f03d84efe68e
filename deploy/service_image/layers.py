"""Folders as layers of an image: the same files give the same bytes, whenever and by whomever.

One job: deterministic tars. Sorted names, no times, no names of users, no setuid bits. It must not
know what the files are.
"""

import hashlib
import io
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_READ_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Layer:
    """A tar on disk. ``diff_id`` is what an image calls it: the digest of its bytes."""

    path: Path
    diff_id: str


@dataclass(frozen=True, slots=True)
class Extra:
    """An entry that is in no folder: a file with this text, or, without one, a folder."""

    text: str | None = None
    mode: int = 0o644
    uid: int = 0


@dataclass(frozen=True, slots=True)
class Content:
    """What a layer holds: a folder's files below ``/``, and entries by their absolute paths."""

    folder: Path | None = None
    extras: Mapping[str, Extra] = field(default_factory=dict)


def write_layer(content: Content, target: Path) -> Layer:
    """Make the tar. Raises `OSError`."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name, entry in sorted(_entries(content).items()):
            _add(tar, name, entry)
    return layer_of(target)


def layer_of(path: Path) -> Layer:
    """The layer that a tar is."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return Layer(path, f"sha256:{digest.hexdigest()}")


def _entries(content: Content) -> dict[str, Path | Extra]:
    found: dict[str, Path | Extra] = {}
    if content.folder is not None:
        found |= {str(path.relative_to(content.folder)): path for path in _files(content.folder)}
    found |= {name.lstrip("/"): extra for name, extra in content.extras.items()}
    for name in list(found):  # every entry's folders come before it, and are ours to describe
        for parent in Path(name).parents:
            if str(parent) not in {".", *found}:
                found[str(parent)] = Extra(None, 0o755)
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files and links; folders follow from them, so that none stays empty by chance."""
    for path in folder.rglob("*"):
        if path.is_symlink() or path.is_file():
            yield path


def _add(tar: tarfile.TarFile, name: str, entry: Path | Extra) -> None:
    info = tarfile.TarInfo(name)
    if isinstance(entry, Extra):
        info.mode, info.uid, info.gid = entry.mode, entry.uid, entry.uid
        if entry.text is None:
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
        else:
            data = entry.text.encode()
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    elif entry.is_symlink():
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(entry.readlink()), 0o777
        tar.addfile(info)
    else:
        facts = entry.stat()
        info.size = facts.st_size
        info.mode = 0o755 if facts.st_mode & stat.S_IXUSR else 0o644
        with entry.open("rb") as file:
            tar.addfile(info, file)
