"""Which Debian packages, in which versions, the image is made of: the mirror's of now.

One job: that list, and its note beside the layers, for when the mirror cannot be asked. Must not
know how a mirror is asked, nor what is made of packages.
"""

from collections.abc import Callable
from pathlib import Path

from auxot_tools.errors import Unavailable

_ENDING = "-debian.txt"  # of a note: the recipe's key comes before it


def known_packages(
    folder: Path, key: str, ask: Callable[[], tuple[str, ...]], say: Callable[[str], None]
) -> tuple[str, ...]:
    """What `ask` gives; when nobody answers it, what was noted last, which is said.

    Raises `Unavailable` when nothing was noted either.
    """
    try:
        return ask()
    except Unavailable as error:
        note = _note(folder, key)
        if not note.exists():
            raise
        say(f"{error} Taking the versions of the layer that was made before.")
        return tuple(note.read_text().split())


def note_packages(folder: Path, key: str, packages: tuple[str, ...]) -> None:
    """Note what a layer was made of, and forget the notes of other recipes."""
    note = _note(folder, key)
    note.write_text("".join(f"{one}\n" for one in packages))
    for other in folder.glob(f"*{_ENDING}"):
        if other != note:
            other.unlink(missing_ok=True)


def _note(folder: Path, key: str) -> Path:
    return folder / f"{key}{_ENDING}"
