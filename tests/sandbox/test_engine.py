"""Whatever the SDK and its libraries raise becomes one of our errors, in our words."""

import gc
import socketserver
import threading
import warnings
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
import urllib3
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.transport.unixconn import UnixHTTPAdapter

from auxot_tools.errors import AuxotError, EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.sandbox.engine import connect, engine_errors, remove_container


@pytest.mark.parametrize(
    ("raised", "becomes", "words"),
    [
        (ImageNotFound("SECRET"), ImageMissing, "image:1.*sandbox build"),
        (APIError("SECRET", explanation="SECRET"), Unavailable, "refused"),
        (DockerException("SECRET"), EngineUnavailable, "does not answer"),
        (requests.exceptions.ReadTimeout("SECRET"), EngineUnavailable, "does not answer"),
        (urllib3.exceptions.ProtocolError("SECRET"), EngineUnavailable, "does not answer"),
        (ConnectionRefusedError("SECRET"), EngineUnavailable, "does not answer"),
        (PermissionError("SECRET"), EngineUnavailable, "group `docker`"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_every_failure_has_one_name_and_none_of_dockers_words(
    raised: Exception, becomes: type[AuxotError], words: str
) -> None:
    with pytest.raises(becomes, match=words) as caught, engine_errors("image:1"):
        raise raised
    assert type(caught.value) is becomes
    assert "SECRET" not in str(caught.value)


def test_a_socket_that_this_user_may_not_open_is_told_apart_when_libraries_wrap_it() -> None:
    aborted = urllib3.exceptions.ProtocolError("aborted")
    aborted.__context__ = PermissionError(13, "SECRET")
    wrapped = requests.exceptions.ConnectionError(aborted)
    wrapped.__context__ = aborted
    with pytest.raises(EngineUnavailable, match="group `docker`"), engine_errors():
        raise wrapped


def test_a_full_disk_is_told_apart_from_other_refusals() -> None:
    words = "write /var/lib/docker/x: no space left on device"
    with pytest.raises(Unavailable, match="no disk space left"), engine_errors():
        raise APIError("no", explanation=words)


def test_a_container_that_is_gone_stays_what_it_is() -> None:
    with pytest.raises(NotFound), engine_errors():
        raise NotFound("gone")


def test_a_configured_engine_is_named_without_its_password() -> None:
    url = "tcp://user:SECRET@engine:2376"
    with pytest.raises(EngineUnavailable) as caught, engine_errors(base_url=url):
        raise ConnectionRefusedError
    assert "tcp://engine:2376" in str(caught.value)
    assert "`sandbox.engine_url`" in str(caught.value)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense://x", "tcp://", "tcp://host:port"])
def test_an_address_that_is_none_is_told_as_a_mistake_in_the_setting(url: str) -> None:
    with pytest.raises(EngineUnavailable, match=r"`sandbox\.engine_url` is .* no address"):
        connect(url)


class Refusing:
    """An engine that answers every removal with one error."""

    def __init__(self, status: int, words: str) -> None:
        response = requests.Response()
        response.status_code = status
        self.error = APIError("no", response, words)

    def remove_container(self, *_arguments: object, **_options: object) -> None:
        raise self.error


def test_a_removal_that_is_in_progress_or_done_already_is_no_failure() -> None:
    going = Refusing(409, "removal of container 1 is already in progress")
    assert not remove_container(going, "1")  # type: ignore[arg-type]
    assert not remove_container(Refusing(404, "No such container"), "1")  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        remove_container(Refusing(409, "something else"), "1")  # type: ignore[arg-type]


@pytest.mark.engine
def test_connections_to_the_engine_are_used_again() -> None:
    """The SDK's own adapter keeps a pool for every URL, and so uses none of them twice."""
    client = connect()
    try:
        for number in range(30):
            client.containers(filters={"label": f"no-such-label-{number}"})
        adapter = client.get_adapter("http+docker://localhost")
        assert isinstance(adapter, UnixHTTPAdapter)
        assert len(adapter.pools) == 1
    finally:
        client.close()


class RefusingOnce:
    """An engine that is surprised by a container's own end, the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def remove_container(self, *_arguments: object, **_options: object) -> None:
        self.asked += 1
        if self.asked == 1:
            raise Refusing(500, "Could not kill running container").error


def test_a_removal_that_meets_a_containers_own_end_is_tried_again() -> None:
    engine = RefusingOnce()
    assert remove_container(engine, "1")  # type: ignore[arg-type]
    assert engine.asked == 2


class OnlyItsVersion(BaseHTTPRequestHandler):
    """An engine that says its version, and is gone after that."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "22")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b'{"ApiVersion": "1.41"}')

    def log_message(self, *_arguments: object) -> None:
        pass


def test_a_socket_that_finds_no_engine_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    with socketserver.UnixStreamServer(str(path), OnlyItsVersion) as engine:
        serving = threading.Thread(target=engine.handle_request)
        serving.start()
        client = connect(f"unix://{path}")
        serving.join()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        with pytest.raises(EngineUnavailable), engine_errors():
            client.containers()
        client.close()
        gc.collect()
    assert not [str(one.message) for one in seen if issubclass(one.category, ResourceWarning)]
