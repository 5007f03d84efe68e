"""The units of systemd are valid, hardened, and break visibly when changed.

`systemd-analyze verify` looks for the program of a unit: it is shown a root folder that has one,
and the targets that each unit hangs on.
"""

import re
from pathlib import Path

import pytest

from auxot_tools.cli.main import COMMANDS
from tests.deploy.programs import Said, run
from tests.deploy.settings_of import environment_problems

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
UNITS = ("worker", "router", "connect")
PROGRAM = "opt/auxot-tools/bin/auxot-tools"
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "multi-user")
MOST_EXPOSED = 20  # of 100, as `systemd-analyze security` counts; what it calls "OK" goes to 40
CLEAN_UP_S = 70  # after worker.grace_s: 45 s for clean-ups, 25 s until every box is removed
SPECIFIERS = {"%d": "/run/credentials/unit", "%S": "/var/lib", "%t": "/run"}


def text_of(which: str) -> str:
    return (FOLDER / f"auxot-tools-{which}.service").read_text()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine with the program and without a unit of ours."""
    for folder in (Path(PROGRAM).parent, "etc/systemd/system", "lib/systemd/system"):
        (tmp_path / folder).mkdir(parents=True)
    program = tmp_path / PROGRAM
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for target in TARGETS:
        unit = tmp_path / "lib/systemd/system" / f"{target}.target"
        unit.write_text(f"[Unit]\nDescription={target}\nDefaultDependencies=no\n")
    return tmp_path


def verified(root: Path, which: str, text: str) -> Said:
    name = f"auxot-tools-{which}.service"
    (root / "etc/systemd/system" / name).write_text(text)
    return run(["systemd-analyze", "verify", f"--root={root}", name])


def values(text: str, key: str) -> list[str]:
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def environment(text: str) -> dict[str, str]:
    found = dict(line.split("=", 1) for line in values(text, "Environment"))
    for specifier, value in SPECIFIERS.items():
        found = {name: one.replace(specifier, value) for name, one in found.items()}
    return found


@pytest.mark.parametrize("which", UNITS)
def test_systemd_takes_the_unit_without_a_word(root: Path, which: str) -> None:
    said = verified(root, which, text_of(which))
    assert (said.code, said.out, said.err) == (0, "", "")


@pytest.mark.parametrize("which", UNITS)
def test_the_unit_starts_a_command_that_there_is_with_settings_that_load(which: str) -> None:
    text = text_of(which)
    (start,) = values(text, "ExecStart")
    assert start == f"/{PROGRAM} {which}"
    assert which in COMMANDS
    assert list(environment_problems(environment(text))) == []


@pytest.mark.parametrize("which", UNITS)
def test_secrets_are_credentials_and_never_in_the_environment(which: str) -> None:
    text = text_of(which)
    given = {line.split(":")[0] for line in values(text, "LoadCredential")}
    used = {
        value.rpartition("/")[2] for value in environment(text).values() if "credentials" in value
    }
    assert given == used


@pytest.mark.parametrize("which", ["worker", "connect"])
def test_the_engine_s_group_is_said_to_be_root(which: str) -> None:
    text = text_of(which)
    assert values(text, "SupplementaryGroups") == ["docker"]
    assert "IS ROOT ON THIS MACHINE" in text
    assert "SupplementaryGroups" not in text_of("router")
    # The engine must see the folder of the boxes' sockets: no folder of PrivateTmp.
    (folder,) = values(text, "RuntimeDirectory")
    assert environment(text)["AUXOT_SANDBOX__RUN_DIR"] == f"/run/{folder}"


@pytest.mark.parametrize("which", ["worker", "connect"])
def test_a_worker_sees_which_other_workers_live(which: str) -> None:
    assert "ProtectProc" not in "".join(re.findall(r"^[^#].*", text_of(which), re.MULTILINE))


def test_a_worker_has_the_time_to_end() -> None:
    text = text_of("worker")
    grace_s = float(environment(text)["AUXOT_WORKER__GRACE_S"])
    assert float(values(text, "TimeoutStopSec")[0]) >= grace_s + CLEAN_UP_S


def exposure(file: Path) -> Said:
    return run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(file)]
    )


@pytest.mark.parametrize("which", UNITS)
def test_the_unit_is_little_exposed_by_systemd_s_own_count(which: str) -> None:
    said = exposure(FOLDER / f"auxot-tools-{which}.service")
    assert said.code == 0, said.out


def test_a_unit_without_its_hardening_is_found_out(tmp_path: Path) -> None:
    file = tmp_path / "auxot-tools-worker.service"
    kept = [line for line in text_of("worker").splitlines() if not line.startswith("Restrict")]
    file.write_text("\n".join(kept) + "\n")
    assert exposure(file).code != 0


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("ProtectSystem=", "ProtectSystems=", "ProtectSystems"),
        ("RestartSec=2", "RestartSec=soon", "soon"),
        ("Type=exec", "Type=run", "run"),
        ("@system-service", "@system-services", "@system-services"),
        ("/opt/auxot-tools/bin/", "/opt/elsewhere/", "not executable"),
        ("[Service]", "[Services]", "Services"),
    ],
)
def test_a_unit_that_is_broken_is_found_out(root: Path, old: str, new: str, sentence: str) -> None:
    text = text_of("worker")
    assert old in text
    said = verified(root, "worker", text.replace(old, new))
    assert sentence in said.err
