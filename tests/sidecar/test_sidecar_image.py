"""The image of the services as the engine has it: the same each time, small, closed, complete."""

import json
from pathlib import Path

import pytest

from deploy.service_image.build import PACKAGES_LABEL, Inputs, build
from tests.sidecar.sidecar import docker

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MOST_BYTES = 210_000_000  # 195 MB measured; more is worth a look
HARDENED = ("--rm", "--read-only", "--cap-drop=ALL", "--network=none")
# Every module of ours, but for the two that need an SDK which is not here.
IMPORT_ALL = """
import importlib, pkgutil, auxot_tools
names = [one.name for one in pkgutil.walk_packages(auxot_tools.__path__, "auxot_tools.")]
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        if error.name in {"anthropic", "openai", "litellm", "pytest"} or "SDK" in str(error):
            continue
        raise
print(len(names))
"""


def test_two_builds_from_the_same_inputs_are_one_image(
    inputs: Inputs, image: str, tmp_path: Path
) -> None:
    """Nothing is kept from one to the next: packages are fetched, installed, compiled anew."""
    lines: list[str] = []
    ids = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        ids.append(build(inputs, tmp_path / name, tmp_path / name, None, lines.append))
    assert ids[0] == ids[1], "\n".join(lines)
    assert docker("image", "inspect", "--format", "{{.Id}}", image) == ids[0]


def test_the_image_is_small_and_says_what_it_is_and_holds_no_secret(image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image))
    assert found["Size"] < MOST_BYTES
    config = found["Config"]
    assert config["User"] == "10001:10001"
    assert config["Labels"]["io.auxot.tools"] == "1"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert not [one for one in config["Env"] if "KEY" in one.split("=")[0]]
    assert found["Created"].startswith("1970-01-01")


def test_the_packages_that_it_says_are_those_in_it(inputs: Inputs, image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image))
    assert found["Config"]["Labels"][PACKAGES_LABEL] == " ".join(inputs.debian)
    (version,) = (one for one in inputs.debian if one.startswith("python3.11="))
    entry = "--entrypoint=/usr/bin/python3"
    code = "import sys; print(sys.version.split()[0])"
    there = docker("run", *HARDENED, entry, image, "-I", "-c", code)
    assert version.startswith(f"python3.11={there}-")


def test_it_runs_without_root_without_writing_and_without_a_network(image: str) -> None:
    assert "code_executor" in docker("run", *HARDENED, image, "list")
    settings = docker("run", *HARDENED, image, "config", "show")
    assert 'sandbox.run_dir = "/run/auxot-tools/boxes"' in " ".join(settings.split())


def test_there_is_no_program_in_it_but_python_and_ours(image: str) -> None:
    code = """
import os
folders = [one for one in os.environ["PATH"].split(":") if os.path.isdir(one)]
print(*sorted({name for one in folders for name in os.listdir(one)}))
"""
    found = docker("run", *HARDENED, "--entrypoint=/usr/bin/python3", image, "-c", code)
    assert found.split() == ["auxot-tools", "python3", "python3.11"]


def test_every_module_can_be_loaded_in_it(image: str) -> None:
    entry = "--entrypoint=/usr/bin/python3"
    assert int(docker("run", *HARDENED, entry, image, "-I", "-c", IMPORT_ALL)) > 100


def test_root_certificates_are_there_for_what_goes_out(image: str) -> None:
    code = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"
    entry = "--entrypoint=/usr/bin/python3"
    assert int(docker("run", *HARDENED, entry, image, "-I", "-c", code)) > 50
