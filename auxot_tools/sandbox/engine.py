"""How the Docker engine is reached, and what its failures are called here.

One job: every call of the SDK goes through `engine_errors`, so that no text of Docker's, and no
exception of its libraries, leaves this package. It knows nothing of boxes.
"""

import logging
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import docker
from docker.constants import DEFAULT_DOCKER_API_VERSION, DEFAULT_UNIX_SOCKET
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.transport.unixconn import (
    UnixHTTPAdapter,
    UnixHTTPConnection,
    UnixHTTPConnectionPool,
)
from docker.utils import kwargs_from_env, parse_host
from requests.exceptions import RequestException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_fixed
from urllib3.exceptions import HTTPError

from auxot_tools.errors import EngineUnavailable, ImageMissing, Unavailable
from auxot_tools.types import JSON

log = logging.getLogger(__name__)

CALL_LIMIT_S = 30  # of one engine call; "start" took 0.5 s at worst on a loaded machine
_NOT_FOUND, _CONFLICT = 404, 409  # HTTP
_ENGINE = "http+docker://localhost"  # what the SDK calls the one behind a unix socket
_MOST_WRAPPINGS = 8  # of one exception in another that are looked into
_MAX_POOL = 32  # connections kept for reuse; more would never be in use at once

ENGINE_DOWN = (
    "The Docker engine does not answer. Start it (as root on Debian or Ubuntu: "
    "`deploy/ensure-engine.sh`), or point DOCKER_HOST at one that runs."
)
ENGINE_DOWN_THERE = (
    "The Docker engine at {url} does not answer. Start it (as root on Debian or Ubuntu: "
    "`deploy/ensure-engine.sh`), or correct the setting `sandbox.engine_url`."
)
ENGINE_URL_MALFORMED = (
    "The setting `sandbox.engine_url` is {url}, which is no address of a Docker engine. Write it "
    "like `unix:///var/run/docker.sock` or `tcp://host:2376`, or leave it empty."
)
ENGINE_FORBIDDEN = (
    "This user may not talk to the Docker engine. Join the group `docker` (its members are as good "
    "as root on this machine) and log in again, or run this as root."
)
IMAGE_MISSING = (
    "The sandbox image {image} is not on this engine. Build it: `auxot-tools sandbox build`."
)
IMAGE_MISSING_THERE = (
    "The image {image}, which the setting `sandbox.image` names, is not on this engine. Put it "
    "there, or name another."
)
ENGINE_DISK_FULL = "The Docker engine has no disk space left to make a sandbox with. Free some."
_PASSWORD = re.compile(r"//[^/@]*@")  # of a URL; errors and logs do not show it


def connect(base_url: str | None = None, timeout_s: int = CALL_LIMIT_S) -> docker.APIClient:
    """A client for the engine at `base_url`, or, when that is `None`, where Docker's own settings
    (`DOCKER_HOST` and its kin) point. Blocking. Raises `EngineUnavailable`.
    """
    if base_url:
        _check_url(base_url)
    settings: JSON = {"base_url": base_url} if base_url else dict(kwargs_from_env())
    settings |= {"timeout": timeout_s, "max_pool_size": _MAX_POOL}
    with engine_errors(base_url=base_url):
        return _client(settings, _api_version(settings))


def _client(settings: JSON, version: str) -> docker.APIClient:
    client = docker.APIClient(**settings, version=version)
    _, is_unix, path = (settings.get("base_url") or DEFAULT_UNIX_SOCKET).partition("unix://")
    if is_unix:
        engine = _OneEngine(f"http+unix://{path}", settings["timeout"], 1, _MAX_POOL)
        client.mount("http+docker://", engine)
    return client


def _api_version(settings: JSON) -> str:
    """The engine's. The SDK's own way to ask leaks its connection when the engine breaks off."""
    asking = _client(settings, DEFAULT_DOCKER_API_VERSION)
    try:
        return str(asking.version(api_version=False)["ApiVersion"])
    finally:
        asking.close()


class _OneEngine(UnixHTTPAdapter):
    """Keeps connections for the next call. The SDK's own adapter keeps a pool for each URL, and so
    collects connections (25 of them) that are never used again.
    """

    def get_connection(self, url: str | bytes, proxies: object = None) -> UnixHTTPConnectionPool:
        del url, proxies  # there is one engine
        with self.pools.lock:
            pool = self.pools.get(_ENGINE)
            if pool is None:
                pool = _Connections(_ENGINE, self.socket_path, self.timeout, self.max_pool_size)
                self.pools[_ENGINE] = pool
        return pool


class _Connections(UnixHTTPConnectionPool):
    def _new_conn(self) -> UnixHTTPConnection:  # type: ignore[override]  # as the SDK does
        return _Connection(self.base_url, self.socket_path, self.timeout)  # type: ignore[arg-type]


class _Connection(UnixHTTPConnection):
    """Closes a socket that finds no engine; the SDK's own leaves it to the garbage collector."""

    def connect(self) -> None:
        with ExitStack() as unless_connected:
            sock = unless_connected.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(self.timeout)
            sock.connect(self.unix_socket)
            unless_connected.pop_all()
        self.sock = sock


def _check_url(base_url: str) -> None:
    try:
        parse_host(base_url)
    except (DockerException, ValueError) as error:
        shown = _without_password(base_url)
        raise EngineUnavailable(ENGINE_URL_MALFORMED.format(url=shown)) from error


def _without_password(url: str) -> str:
    return _PASSWORD.sub("//", url)[:200]


def _is_forbidden(error: BaseException | None) -> bool:
    """Whether the engine's socket may not be opened; the SDK's libraries wrap that, twice."""
    for _ in range(_MOST_WRAPPINGS):
        if isinstance(error, PermissionError):
            return True
        error = error and (error.__cause__ or error.__context__)
    return False


def _is_engine_fault(error: BaseException) -> bool:
    return isinstance(error, APIError) and error.is_server_error()


# An engine that kills a container which just ended by itself answers 500, once.
_REMOVING = Retrying(
    stop=stop_after_attempt(3),
    wait=wait_fixed(0.2),
    retry=retry_if_exception(_is_engine_fault),
    reraise=True,
)


def remove_container(client: docker.APIClient, container: str, base_url: str | None = None) -> bool:
    """Kill and remove a container; False when it is gone, or on its way, already. Blocking.

    Raises `EngineUnavailable`, or `Unavailable` when the engine refuses.
    """
    with engine_errors(base_url=base_url):
        try:
            _REMOVING(client.remove_container, container, force=True, v=True)
        except APIError as error:
            is_going = error.status_code == _CONFLICT and "already in progress" in str(error)
            if error.status_code != _NOT_FOUND and not is_going:
                raise
            return False
    return True


@contextmanager
def engine_errors(
    image: str = "", base_url: str | None = None, *, is_our_image: bool = True
) -> Iterator[None]:
    """Turns what the SDK raises into `ImageMissing`, `EngineUnavailable` or `Unavailable`.

    Their texts name the image and, when one was configured, the engine's address.
    A container that is not there stays `docker.errors.NotFound`: callers expect that one.
    """
    try:
        yield
    except ImageNotFound as error:
        text = IMAGE_MISSING if is_our_image else IMAGE_MISSING_THERE
        raise ImageMissing(text.format(image=image or "asked for")) from error
    except NotFound:
        raise
    except APIError as error:
        # Docker's words are for our log, not for a user or a model.
        log.warning("the engine refused a call: %s", error.explanation or error)
        if "no space left on device" in str(error.explanation or error):
            raise Unavailable(ENGINE_DISK_FULL) from error
        raise Unavailable(
            f"The Docker engine refused what the sandbox asked of it (HTTP {error.status_code})."
        ) from error
    except PermissionError as error:
        raise EngineUnavailable(ENGINE_FORBIDDEN) from error
    except (DockerException, RequestException, HTTPError, OSError) as error:
        if _is_forbidden(error):
            raise EngineUnavailable(ENGINE_FORBIDDEN) from error
        log.warning("the engine does not answer: %s", type(error).__name__)
        down = (
            ENGINE_DOWN_THERE.format(url=_without_password(base_url)) if base_url else ENGINE_DOWN
        )
        raise EngineUnavailable(down) from error
