"""What an engine says of itself, for people who look whether a machine is ready.

One job: one question to the engine, read into plain values. Blocking; makes and changes nothing.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from docker.errors import ImageNotFound

from auxot_tools.sandbox.engine import connect, engine_errors
from auxot_tools.sandbox.image import REPOSITORY, STANDARD, image_tag


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """``image`` is the one that is wanted; ``older_images`` others of ours that are there."""

    version: str
    arch: str
    cgroup: str
    runtimes: tuple[str, ...]
    has_seccomp: bool
    unix_s: float | None
    image: str
    has_image: bool
    older_images: int


def engine_facts(
    engine_url: str = "",
    image: str = "",
    base: str = "",
    packages: str = STANDARD,
    timeout_s: int = 8,
) -> EngineFacts:
    """Ask. ``image`` empty: the one that `build_image` would make of ``base`` and ``packages``.

    Raises `EngineUnavailable` or `Unavailable` within about ``timeout_s`` seconds for each of its
    four calls.
    """
    client = connect(engine_url or None, timeout_s)
    try:
        with engine_errors(base_url=engine_url or None):
            info: dict[str, Any] = client.info()
            arch = str(client.version()["Arch"])
            wanted = image or image_tag(arch, base, packages=packages)
            has_image = True
            try:
                client.inspect_image(wanted)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                has_image = False
            ours = client.images(name=REPOSITORY)
    finally:
        client.close()
    tags = {tag for one in ours for tag in (one.get("RepoTags") or ())}
    return EngineFacts(
        version=str(info.get("ServerVersion", "unknown")),
        arch=arch,
        cgroup=str(info.get("CgroupVersion", "unknown")),
        runtimes=tuple(sorted(info.get("Runtimes") or ())),
        has_seccomp=any("seccomp" in str(one) for one in info.get("SecurityOptions") or ()),
        unix_s=_unix_s(str(info.get("SystemTime", ""))),
        image=wanted,
        has_image=has_image,
        older_images=len(tags - {wanted}),
    )


def _unix_s(text: str) -> float | None:
    """The engine's clock; it writes nanoseconds, of which Python reads six digits."""
    with suppress(ValueError):
        whole, dot, rest = text.removesuffix("Z").partition(".")
        return datetime.fromisoformat(f"{whole}{dot}{rest[:6]}+00:00").timestamp()
    return None
