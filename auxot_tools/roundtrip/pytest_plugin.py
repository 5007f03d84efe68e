"""The pytest plugin: fixtures with which others test their own tools and loops.

One job: options, markers, and from a test's wishes to the objects of its fixtures. It is imported
at every start of pytest where the package is installed, so it imports nothing of ours: all else is
loaded when a fixture is asked for. It must not know Docker, gRPC or HTTP.

    def test_my_tool(scripted_model, messages_client):
        scripted_model.calls("word_count", {"text": "two words"})
        assert "2" in messages_client.ask("go").text
"""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from auxot_tools.roundtrip.pytest_client import MessagesClient
    from auxot_tools.roundtrip.pytest_lab import Lab
    from auxot_tools.roundtrip.pytest_model import ScriptedModelServer
    from auxot_tools.roundtrip.pytest_worker import Worker

TOOLS, WORKER = "auxot_tools", "auxot_worker"
_TOOLS_HELP = "the folders that tools are read from (default: those that come with auxot-tools)"
_WORKER_HELP = "the address of a running worker, used in place of one in this process"
_MARKERS = (
    "auxot_tools(*folders): read this test's tools from these folders, beside the test's file",
    "auxot_functions(**functions): this test's tools are Python functions; needs no Docker engine",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our two settings, each as an option and in the configuration file."""
    group = parser.getgroup("auxot-tools")
    group.addoption("--auxot-tools", action="append", metavar="FOLDER", help=_TOOLS_HELP)
    group.addoption("--auxot-worker", metavar="ADDRESS", help=_WORKER_HELP)
    parser.addini(TOOLS, _TOOLS_HELP, type="paths", default=[])
    parser.addini(WORKER, _WORKER_HELP, default="")


def pytest_configure(config: pytest.Config) -> None:
    """Markers that `--strict-markers` takes."""
    for marker in _MARKERS:
        config.addinivalue_line("markers", marker)


@pytest.fixture(scope="session")
def _auxot_lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> "Iterator[Lab]":
    """What the tests of a process share: an event loop in a thread, a server, workers."""
    module = import_module("auxot_tools.roundtrip.pytest_lab")
    home = tmp_path_factory.mktemp("auxot")
    with module.opened_lab(home, os.environ, request.config.rootpath) as lab:
        yield lab


@pytest.fixture
def scripted_model(
    request: pytest.FixtureRequest, _auxot_lab: "Lab"
) -> "Iterator[ScriptedModelServer]":
    """A model that says what the test wants, served on loopback (`.url`).

    At the end of a test that has passed so far it says what was not as its scenario wants: a
    request that was not as expected, a turn that was not played.
    """
    module = import_module("auxot_tools.roundtrip.pytest_model")
    failed_before = request.session.testsfailed
    with module.served_model(_auxot_lab, request.path.parent) as served:
        yield served
        problems = served.problems()
        if problems and request.session.testsfailed == failed_before:
            pytest.fail("\n".join(problems), pytrace=False)


@pytest.fixture
def auxot_worker(request: pytest.FixtureRequest, _auxot_lab: "Lab") -> "Worker":
    """A worker with the tools of a folder, on the real Docker engine; `.call(name, input)`.

    Which tools, the first of these that is there: the marker `auxot_functions`, a worker that runs
    (`--auxot-worker`), the marker `auxot_tools`, `--auxot-tools`. The options may also stand in
    pytest's configuration file, as `auxot_worker` and `auxot_tools`. A worker is kept for
    other tests with the same folders.
    """
    module = import_module("auxot_tools.roundtrip.pytest_worker")
    worker: Worker | str = module.worker_of(_auxot_lab, **_wished(request))
    if isinstance(worker, str):
        pytest.fail(worker, pytrace=False)
    return worker


@pytest.fixture
def messages_client(
    request: pytest.FixtureRequest,
    _auxot_lab: "Lab",
    scripted_model: "ScriptedModelServer",
    auxot_worker: "Worker",
) -> "Iterator[MessagesClient]":
    """A client of a router between `scripted_model` and `auxot_worker`: the whole loop.

    Every stream is checked; `.url` and `.key` are for clients of your own. A failing test's report
    names calls of tools that nobody here has.
    """
    module = import_module("auxot_tools.roundtrip.pytest_client")

    def tell(text: str) -> None:
        request.node.add_report_section("call", "auxot-tools", text)

    with module.opened_client(_auxot_lab, scripted_model, auxot_worker, tell) as client:
        yield client


def _wished(request: pytest.FixtureRequest) -> dict[str, object]:
    """What `worker_of` is asked for by this test."""
    config = request.config
    functions = request.node.get_closest_marker("auxot_functions")
    if functions is not None:
        return {"functions": functions.kwargs}
    if address := config.getoption("--auxot-worker") or config.getini(WORKER):
        return {"address": address}
    marker = request.node.get_closest_marker("auxot_tools")
    if marker is not None:
        return {"folders": tuple(request.path.parent / folder for folder in marker.args)}
    chosen = config.getoption("--auxot-tools")
    if chosen:
        return {"folders": tuple(config.invocation_params.dir / folder for folder in chosen)}
    return {"folders": tuple(Path(folder) for folder in config.getini(TOOLS))}
