"""TLS and client certificates, and PEM files that do not serve."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from auxot_tools.errors import ConfigError
from auxot_tools.rpc.client import RemoteDispatcher
from auxot_tools.rpc.target import WorkerTarget
from auxot_tools.types import Status
from tests.support.fake_dispatcher import FakeDispatcher, text_of
from tests.support.served_worker import KEY, result_of, served

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Pki:
    """PEM files of one authority: a server's for 127.0.0.1, a client's; and of a stranger."""

    ca: str
    server: dict[str, str]
    client: dict[str, str]
    stranger_ca: str
    stranger: dict[str, str]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    folder = tmp_path_factory.mktemp("pki")
    ca, stranger = trustme.CA(), trustme.CA()

    def pair(authority: trustme.CA, name: str) -> dict[str, str]:
        cert = authority.issue_cert("127.0.0.1", f"{name}@example.org")
        cert_path, key_path = folder / f"{name}.pem", folder / f"{name}.key"
        cert.cert_chain_pems[0].write_to_path(cert_path)
        cert.private_key_pem.write_to_path(key_path)
        return {"tls_cert": str(cert_path), "tls_key": str(key_path)}

    ca.cert_pem.write_to_path(folder / "ca.pem")
    stranger.cert_pem.write_to_path(folder / "stranger-ca.pem")
    return Pki(
        str(folder / "ca.pem"),
        pair(ca, "server"),
        pair(ca, "client"),
        str(folder / "stranger-ca.pem"),
        pair(stranger, "stranger"),
    )


async def test_a_client_that_trusts_the_authority_is_served(pki: Pki) -> None:
    async with served(FakeDispatcher(), key=KEY, **pki.server) as server:
        target = WorkerTarget(server.addresses[0], KEY, tls_ca=pki.ca)
        async with RemoteDispatcher(target) as client:
            assert not (await result_of(client)).is_error


async def test_a_worker_that_cannot_be_trusted_is_not_talked_to(pki: Pki) -> None:
    fake = FakeDispatcher()
    async with served(fake, **pki.server) as server:
        for ca in ("", pki.stranger_ca):  # no TLS at all, and another authority
            target = WorkerTarget(server.addresses[0], KEY, tls_ca=ca)
            async with RemoteDispatcher(target) as client:
                result = await result_of(client)
                assert result.status is Status.UNAVAILABLE
                assert text_of(result).endswith("This call was not run.")
    assert fake.calls == []


async def test_a_client_certificate_is_asked_for_and_checked(pki: Pki) -> None:
    fake = FakeDispatcher()
    async with served(fake, tls_client_ca=pki.ca, **pki.server) as server:
        for pair, is_served in (({}, False), (pki.stranger, False), (pki.client, True)):
            target = WorkerTarget(server.addresses[0], "", pki.ca, **pair)
            async with RemoteDispatcher(target) as client:
                assert (await result_of(client)).is_error is not is_served
    assert len(fake.calls) == 1


async def test_all_interfaces_with_tls_and_a_key_is_allowed(pki: Pki) -> None:
    async with served(FakeDispatcher(), "0.0.0.0:0", key=KEY, **pki.server) as server:
        port = server.addresses[0].rpartition(":")[2]
        async with RemoteDispatcher(WorkerTarget(f"127.0.0.1:{port}", KEY, pki.ca)) as client:
            assert not (await result_of(client)).is_error


async def test_files_that_do_not_serve_are_named(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    junk = str(tmp_path / "junk.pem")
    for settings, names in (
        ({"tls_cert": "/nowhere.pem", "tls_key": junk}, "worker.tls_cert: cannot read"),
        ({"tls_cert": junk, "tls_key": junk}, "are not a PEM certificate"),
        ({**pki.server, "tls_key": pki.client["tls_key"]}, "are not a PEM certificate"),
        ({**pki.server, "tls_client_ca": junk}, "worker.tls_client_ca"),
    ):
        with pytest.raises(ConfigError, match=names):
            async with served(FakeDispatcher(), **settings):
                pass
