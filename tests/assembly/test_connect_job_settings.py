"""What a configuration makes of jobs for an Auxot router."""

from pathlib import Path

import pytest

from auxot_tools.assembly import run_connect
from auxot_tools.assembly.connect import job_settings
from auxot_tools.config import Credentials, load_config
from auxot_tools.errors import ConfigError
from tests.support.fake_dispatcher import FakeDispatcher
from tests.support.served_worker import KEY, served

pytestmark = pytest.mark.anyio


async def test_without_a_key_nothing_is_started(tmp_path: Path) -> None:
    config = load_config(None, {}, tmp_path).config
    with pytest.raises(ConfigError, match="AUXOT_TOOLS_KEY is required"):
        await run_connect(config, Credentials())


def test_the_settings_bound_jobs_and_the_key_names_their_tenant(tmp_path: Path) -> None:
    environ = {
        "AUXOT_CONNECT__CONCURRENT_JOBS": "3",
        "AUXOT_CONNECT__MAX_WAITING": "4",
        "AUXOT_CONNECT__JOB_TIMEOUT_S": "5",
    }
    config = load_config(None, environ, tmp_path).config
    made = job_settings(config, "tools.team-7.secret")
    assert (made.concurrent_jobs, made.max_waiting, made.job_timeout_s) == (3, 4, 5)
    assert made.tenant == "auxot-team-7"
    named = load_config(None, {"AUXOT_CONNECT__TENANT": "shop"}, tmp_path).config
    assert job_settings(named, "tls_x").tenant == "shop"


@pytest.mark.parametrize(
    ("worker", "tls_ca", "is_open"),
    [
        ("unix:/w.sock", "", False),
        ("127.0.0.1:50061", "", False),
        ("[::1]:50061", "", False),
        ("10.0.0.7:50061", "", True),
        ("worker.internal:50061", "", True),
        ("worker.internal:50061", "ca.pem", False),
    ],
)
def test_a_jobs_credentials_go_to_a_worker_only_where_nobody_can_read_along(
    tmp_path: Path, worker: str, tls_ca: str, is_open: bool
) -> None:
    environ = {"AUXOT_CONNECT__WORKER": worker}
    if tls_ca:
        environ["AUXOT_ROUTER__WORKER_TLS_CA"] = tls_ca
    settings = job_settings(load_config(None, environ, tmp_path).config, "tls_x")
    refusal = settings.credential_fault({"KEY": "value"})
    assert ("has no TLS" in refusal) is is_open
    assert ("router.worker_tls_ca" in refusal) is is_open
    assert "PATH" in settings.credential_fault({"PATH": "value"}) or is_open


@pytest.mark.parametrize("name", ["LD_PRELOAD", "PATH", "NODE_OPTIONS", "a b"])
def test_a_job_cannot_change_how_programs_start(tmp_path: Path, name: str) -> None:
    settings = job_settings(load_config(None, {}, tmp_path).config, "tls_x")
    assert name in settings.credential_fault({name: "value"})
    assert "value" not in settings.credential_fault({name: "value"})
    assert settings.credential_fault({"BRAVE_SEARCH_API_KEY": "value"}) == ""


async def test_a_remote_worker_without_any_allowed_tool_ends_the_start(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/w.sock"
    environ = {
        "AUXOT_CONNECT__WORKER": address,
        "AUXOT_WORKER_KEY": KEY,
        "AUXOT_TOOLS_KEY": "tls_x",
        "AUXOT_ALLOWED_TOOLS": "ecko",
    }
    config = load_config(None, environ, tmp_path).config
    async with served(FakeDispatcher(), address, key=KEY):
        with pytest.raises(ConfigError, match=r"ecko \(did you mean echo\?\)"):
            await run_connect(config, Credentials())
