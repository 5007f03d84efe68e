"""Which targets a client can be made for."""

from pathlib import Path

import pytest
import trustme

from auxot_tools.errors import ConfigError
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget, channel_credentials, target_problems


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (WorkerTarget("nonsense"), "router.worker: `nonsense`"),
        (WorkerTarget("127.0.0.1:0"), "port 0"),
        (WorkerTarget("127.0.0.1:1", "two words"), "AUXOT_WORKER_KEY"),
        (WorkerTarget("127.0.0.1:1", tls_cert="c.pem", tls_ca="ca.pem"), "set both or neither"),
        (WorkerTarget("127.0.0.1:1", tls_cert="c", tls_key="k"), "router.worker_tls_ca is not set"),
    ],
)
def test_what_no_client_can_be_made_for_is_one_sentence(target: WorkerTarget, says: str) -> None:
    problems = target_problems(target)
    assert len(problems) == 1
    assert says in problems[0]
    assert "two words" not in problems[0]
    with pytest.raises(ConfigError):
        RemoteDispatcher(target)


@pytest.mark.parametrize("worker", ["127.0.0.1:1", "worker.internal:50061", "unix:/w.sock"])
def test_without_tls_settings_the_channel_is_plain(worker: str) -> None:
    assert channel_credentials(WorkerTarget(worker, "key")) is None


def test_pem_files_are_read_and_checked_when_the_client_is_made(tmp_path: Path) -> None:
    ca = trustme.CA()
    good, junk = tmp_path / "ca.pem", tmp_path / "junk.pem"
    ca.cert_pem.write_to_path(good)
    junk.write_text("junk")
    assert channel_credentials(WorkerTarget("127.0.0.1:1", tls_ca=str(good))) is not None
    for path in (junk, tmp_path / "none.pem"):
        with pytest.raises(ConfigError, match=r"router\.worker_tls_ca"):
            channel_credentials(WorkerTarget("127.0.0.1:1", tls_ca=str(path)))
