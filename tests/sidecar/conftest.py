"""What the tests of the sidecar share: the images, and a prepared folder with keys."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deploy.service_image.build import CACHE, Inputs, build, read_inputs
from tests.sidecar.sidecar import ROOT, docker
from tests.support.engine import sandbox_image

PREPARE_S = 120.0


@pytest.fixture(scope="session")
def inputs() -> Iterator[Inputs]:
    """What the image is made of, our wheel included, as it is now."""
    with TemporaryDirectory(prefix="auxot-service-") as folder:
        yield read_inputs(Path(folder), CACHE, lambda _line: None)


@pytest.fixture(scope="session")
def image(inputs: Inputs) -> Iterator[str]:
    """The tag of the image of the services; gone afterwards unless it was there before."""
    was_there = docker("images", "-q", inputs.tag) != ""
    with TemporaryDirectory(prefix="auxot-service-") as folder:
        build(inputs, CACHE, Path(folder), None, lambda _line: None)
    try:
        yield inputs.tag
    finally:
        if not was_there:
            docker("image", "rm", inputs.tag)


@pytest.fixture(scope="session")
def home(image: str) -> Iterator[Path]:
    """What `deploy/sidecar.sh prepare` makes."""
    sandbox_image()
    with TemporaryDirectory(prefix="auxot-home-") as folder:
        done = subprocess.run(
            [ROOT / "deploy" / "sidecar.sh", "prepare"],
            env={
                "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "AUXOT_HOME": folder,
                "AUXOT_IMAGE": image,
            },
            capture_output=True,
            text=True,
            timeout=PREPARE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield Path(folder)
