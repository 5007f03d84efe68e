"""An image as one file, the form that `docker load` and `ctr images import` read.

One job: layers and a configuration in, an archive out. The image's id is the digest of the
configuration, which names the layers by their digests: the same content is the same image anywhere.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deploy.service_image.layers import Layer

CREATED = "1970-01-01T00:00:00Z"  # an image that is fixed by its content has no other time


def image_config(
    arch: str, settings: Mapping[str, Any], layers: Mapping[str, Layer]
) -> dict[str, Any]:
    """The image's configuration; ``layers`` by what each of them is, the lowest first. Pure."""
    return {
        "architecture": arch,
        "os": "linux",
        "created": CREATED,
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers.values()]},
        "history": [{"created": CREATED, "created_by": name} for name in layers],
    }


def write_archive(
    config: Mapping[str, Any], layers: Sequence[Layer], tag: str, target: Path
) -> str:
    """Write the archive; the image's id. Raises `OSError`."""
    config_bytes = _json(config)
    digest = hashlib.sha256(config_bytes).hexdigest()
    names = [f"{layer.diff_id.removeprefix('sha256:')}/layer.tar" for layer in layers]
    manifest = [{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": names}]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, f"{digest}.json", config_bytes)
        for name, layer in zip(names, layers, strict=True):
            info = tarfile.TarInfo(name)
            info.size = layer.path.stat().st_size
            with layer.path.open("rb") as file:
                tar.addfile(info, file)
        _add(tar, "manifest.json", _json(manifest))
    return f"sha256:{digest}"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
