"""Socket files and ports: replaced, refused, removed."""

import socket
import stat
from pathlib import Path

import pytest

from auxot_tools.errors import ConfigError
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.listeners import ListenerConfig
from auxot_tools.rpc.server import WorkerServer
from auxot_tools.rpc.target import WorkerTarget
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import FACTS, result_of, served

pytestmark = pytest.mark.anyio


async def test_one_server_listens_on_tcp_and_unix_at_once(tmp_path: Path) -> None:
    async with served(FakeDispatcher(), "127.0.0.1:0", f"unix:{tmp_path}/w.sock") as server:
        assert server.addresses[0] != "127.0.0.1:0"
        for address in server.addresses:
            async with RemoteDispatcher(WorkerTarget(address)) as client:
                assert not (await result_of(client)).is_error


async def test_a_unix_socket_is_the_owners_alone_and_goes_with_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    async with served(FakeDispatcher(), f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "w.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with (
        served(FakeDispatcher(), f"unix:{path}") as server,
        RemoteDispatcher(WorkerTarget(server.addresses[0])) as client,
    ):
        assert not (await result_of(client)).is_error


async def test_a_living_workers_socket_is_left_alone(tmp_path: Path) -> None:
    listen = f"unix:{tmp_path}/w.sock"
    async with served(FakeDispatcher(), listen) as server:
        with pytest.raises(ConfigError, match="a running process listens"):
            async with served(FakeDispatcher(), listen):
                pass
        async with RemoteDispatcher(WorkerTarget(server.addresses[0])) as client:
            assert not (await result_of(client)).is_error


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="not a socket"):
        async with served(FakeDispatcher(), f"unix:{path}"):
            pass
    assert path.read_text() == "mine"


async def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folder of .* is missing"):
        async with served(FakeDispatcher(), f"unix:{tmp_path}/none/w.sock"):
            pass


async def test_a_taken_port_is_told_and_nothing_listens_then(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "w.sock"
    async with served(FakeDispatcher()) as server:
        with pytest.raises(ConfigError, match=server.addresses[0]):
            async with served(FakeDispatcher(), f"unix:{path}", server.addresses[0]):
                pass
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(OSError):
        probe.connect(str(path))
    assert "Failed to add" not in capfd.readouterr().err, "gRPC's own words beside ours"


def test_what_the_rules_forbid_is_never_listened_on() -> None:
    with pytest.raises(ConfigError) as caught:
        WorkerServer(FakeDispatcher(), FACTS, ListenerConfig(("0.0.0.0:0",)))
    assert len(caught.value.mistakes) == 2
